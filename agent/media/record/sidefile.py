"""The side file of a recording: when, where and in which air it was made, and its digest.

The index is made from these alone.  Each closed one has a number and names the digest of the one
before, so that nobody takes one out, or changes a byte of picture, place or time, unnoticed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.messages import Clock, Mark

log = logging.getLogger(__name__)

SUFFIX = ".json"
HEAD = "head"
"""Without suffix: the number and entry of the newest, which stay when it is deleted."""
ID = re.compile(r"\Arec-\d{13}-[0-9a-f]{8}\Z")
TRACK_MAX = 600
NOTES_MAX = 600


class Place(msgspec.Struct, frozen=True, array_like=True):
    """One point of the way."""

    t: int
    """UTC ms."""
    lat: float
    lon: float


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changed: what would have been painted where the camera's own pictures are recorded."""

    t: int
    readings: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """Why it is kept."""

    t: int
    why: str
    by: str = ""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One recording."""

    id: str
    unit: str
    camera: str
    mark: Mark
    file: str
    media_type: str
    start: int
    """UTC ms of its first picture, by the unit's clock when it began."""
    start_mono_s: float
    """CLOCK_MONOTONIC then, of this boot."""
    boot: str
    clock: Clock
    end: int = 0
    end_mono_s: float = 0.0
    state: str = "open"
    """`open`, `closed`, `recovered` (closed after a crash)."""
    size: int = 0
    digest: str = ""
    """`sha256:` of the file as it lies on the disk."""
    number: int = 0
    previous: str = ""
    """The entry's digest of the one before; empty: the first."""
    sealed: bool = False
    sound: bool = False
    painted: bool = True
    """The pictures carry the readings; else only `notes` do."""
    by: str = ""
    """Who asked for it."""
    roll: bool = False
    """Held for an alarm that may come, no longer."""
    track: tuple[Place, ...] = ()
    notes: tuple[Note, ...] = ()
    locks: tuple[Lock, ...] = ()
    locked: bool = False

    @property
    def is_open(self) -> bool:
        return self.state == "open"

    def entry(self) -> str:
        """The digest that the next one names: of all that does not change any more."""
        fixed = msgspec.structs.replace(self, locks=(), locked=False, roll=False)
        return sha256(msgspec.json.encode(fixed, order="deterministic"))


class Head(msgspec.Struct, frozen=True):
    """The newest of the chain."""

    number: int = 0
    entry: str = ""


_decode = msgspec.json.Decoder(Side).decode


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of(path: Path) -> str:
    """Of a file's bytes.  OSError."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def read(path: Path) -> Side:
    """OSError, ValueError: it is no side file."""
    side = _decode(path.read_bytes())
    if not ID.match(side.id) or f"{side.id}{SUFFIX}" != path.name or "/" in side.file:
        raise ValueError(f"read the id {side.id!r} and the file {side.file!r} in {path.name}")
    return side


def scan(folder: Path) -> Iterator[Side]:
    """All that can be read, the oldest first; the rest is logged."""
    for path in sorted(folder.glob(f"rec-*{SUFFIX}")):
        try:
            yield read(path)
        except (OSError, ValueError) as error:
            log.warning("%s: no side file of a recording: %s", path.name, error)


def write(folder: Path, side: Side) -> None:
    """Whole or not at all, and on the disk when this returns.  OSError."""
    _replace(folder, f"{side.id}{SUFFIX}", msgspec.json.encode(side))


def read_head(folder: Path) -> Head:
    """Of an empty folder: nothing."""
    try:
        return msgspec.json.decode((folder / HEAD).read_bytes(), type=Head)
    except (OSError, msgspec.DecodeError):
        return Head()


def write_head(folder: Path, head: Head) -> None:
    """OSError."""
    _replace(folder, HEAD, msgspec.json.encode(head))


def _replace(folder: Path, name: str, data: bytes) -> None:
    made = folder / f".{name}"
    with made.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    made.replace(folder / name)
