"""What fuzzing begins with: the captures, the frames printed in FIELD.md, real receivers' bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from agent.tools import replay
from drivers import recording
from drivers.recording import Chunk

TESTS = Path(__file__).parents[1]
CAPTURES = TESTS / "captures"
FOUND = Path(__file__).parent / "found"
"""Inputs that once broke something, one file each, named `TARGET.what`: every run plays them."""
SHARED = TESTS.parents[1] / "shared"
SEED_MAX = 4000
GNSS_SEED = 1200
"""Bytes of each real receiver: an epoch or two, which is enough to begin with."""

_CODE = re.compile(r"`([^`\n]+)`")
_HEX = re.compile(r"[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2}){2,}")


class Capture(NamedTuple):
    path: Path
    driver: str
    keys: dict[str, Any]
    chunks: list[Chunk]


def captures() -> list[Capture]:
    """Every recording of tests/captures that names its driver."""
    found = []
    for path in sorted(CAPTURES.rglob("*")):
        if path.suffix in (".cap", ".hex", ".log") and "driver" in dict(recording.notes(path)):
            name, keys = replay.wanted(recording.notes(path), "", [])
            found.append(Capture(path, name, keys, list(recording.read(path))))
    return found


def field_frames() -> list[bytes]:
    """Frames printed in FIELD.md, in hexadecimal digits or as a sentence; none without it."""
    path = SHARED / "FIELD.md"
    if not path.is_file():
        return []
    return list(dict.fromkeys(_frames(path.read_text("utf-8"))))


def _frames(text: str) -> Iterator[bytes]:
    for code in _CODE.findall(text):
        if _HEX.fullmatch(code):
            yield bytes.fromhex(code)
        elif code[0] in "$!#" and "*" in code:
            yield code.encode("utf-8") + b"\r\n"


def receivers() -> list[bytes]:
    """The beginnings of real receivers' recordings; none where the corpus is absent."""
    logs = sorted((SHARED / "corpus" / "gnss").glob("*.log"))
    return [
        b"".join(chunk.data for chunk in recording.read(path, "log"))[:GNSS_SEED] for path in logs
    ]


def found(target: str) -> list[bytes]:
    """Whole inputs, header and all, that broke `target` before."""
    return [path.read_bytes() for path in sorted(FOUND.glob(f"{target}.*"))]
