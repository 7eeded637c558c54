"""Stills that a center has asked for, with where and in which air they were taken.

Each is a picture and a side file in the unit's store; the index is made anew from side files.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from agent.exif import Taken, with_metadata
from agent.media.host import MediaHost
from agent.messages import Class, FixBody, Reading
from agent.messages.media import MediaItem
from agent.outbox import Outbox

log = logging.getLogger(__name__)

FOLDER = "snapshots"
PERIOD_S = 0.5
LEASE_S = 15.0
"""So long the camera may take."""
KEPT_MAX = 200
WAITING_MAX = 16


class Asked(msgspec.Struct, frozen=True):
    id: str
    by: str
    until: float
    """Monotonic seconds."""


class Snapshots:
    """Takes them and keeps the last `KEPT_MAX`; a provider of the gallery."""

    def __init__(
        self,
        media: MediaHost,
        outbox: Outbox,
        store: Path,
        group: asyncio.TaskGroup,
        *,
        readings: Callable[[], Iterable[Reading]],
        fix: Callable[[], FixBody | None],
        on_event: Callable[..., object],
    ) -> None:
        self._unit, self._mark = media.config.unit, media.config.mark.value
        self._media = media
        self._outbox = outbox
        self._folder = store / FOLDER
        self._group = group
        self._readings = readings
        self._fix = fix
        self._on_event = on_event
        self.seen: dict[str, float] = {}
        """When each camera last gave a picture, monotonic seconds."""
        self._asked: dict[str, list[Asked]] = {}
        self._items = {item.id: item for item in _index(self._folder)}

    def take(self, camera: str, by: str) -> str:
        """The id of the picture that will come.  MediaError; ValueError: too many wait."""
        if sum(map(len, self._asked.values())) >= WAITING_MAX:
            raise ValueError(f"{WAITING_MAX} snapshots are waited for already")
        name = self._media.still_soon(camera, PERIOD_S, LEASE_S)
        asked = Asked(secrets.token_hex(6), by, time.monotonic() + LEASE_S)
        self._asked.setdefault(name, []).append(asked)
        return asked.id

    def still(self, camera: str, time_ms: int, jpeg: bytes) -> None:
        """A picture of a camera, whoever asked for it."""
        self.seen[camera] = time.monotonic()
        fix = self._fix()
        readings = tuple(reading for reading in self._readings() if reading.fix is None)
        waiting = self._asked.pop(camera, ())
        if waiting:
            taken = Taken(
                unit=self._unit, camera=camera, time_ms=time_ms, mark=self._mark, fix=fix,
                readings=readings,
            )  # fmt: skip
            jpeg = with_metadata(jpeg, taken)
        for asked in waiting:
            item = MediaItem(
                id=asked.id, kind="snapshot", camera=camera, start=time_ms,
                media_type="image/jpeg", size=len(jpeg),
                digest=f"sha256:{hashlib.sha256(jpeg).hexdigest()}", by=asked.by, fix=fix,
                readings=readings,
            )  # fmt: skip
            self._group.create_task(self._keep(item, jpeg), name=f"snapshot[{item.id}]")

    def tick(self) -> None:
        """Each second or so: who waits in vain is told."""
        now = time.monotonic()
        for camera, asked in list(self._asked.items()):
            for one in [one for one in asked if now >= one.until]:
                asked.remove(one)
                self._on_event(
                    "snapshot_failed", camera, f"no picture within {LEASE_S:g} s",
                    snapshot=one.id, by=one.by,
                )  # fmt: skip
            if not asked:
                del self._asked[camera]

    def items(self) -> list[MediaItem]:
        return list(self._items.values())

    def path(self, item: MediaItem) -> Path:
        return self._folder / f"{item.id}.jpg"

    async def _keep(self, item: MediaItem, jpeg: bytes) -> None:
        self._items[item.id] = item
        old = sorted(self._items.values(), key=lambda one: one.start)[:-KEPT_MAX]
        for one in old:
            del self._items[one.id]
        try:
            await asyncio.to_thread(_write, self._folder, item, jpeg, [one.id for one in old])
        except OSError as error:
            self._items.pop(item.id, None)
            detail = f"it cannot be written: {error.strerror or error}"
            self._on_event(
                "snapshot_failed", item.camera, detail, snapshot=item.id, by=item.by
            )  # fmt: skip
            return
        self._outbox.append(Class.MEDIA, item)


def _write(folder: Path, item: MediaItem, jpeg: bytes, old: Iterable[str]) -> None:
    """The side file last: what has none was cut short."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, data in ((f"{item.id}.jpg", jpeg), (f"{item.id}.json", msgspec.json.encode(item))):
        made = folder / f".{name}"
        made.write_bytes(data)
        os.replace(made, folder / name)
    for one in old:
        for name in (f"{one}.json", f"{one}.jpg"):
            (folder / name).unlink(missing_ok=True)


def _index(folder: Path) -> Iterable[MediaItem]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield msgspec.json.decode(path.read_bytes(), type=MediaItem)
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s: no snapshot's side file: %s", path.name, error)
