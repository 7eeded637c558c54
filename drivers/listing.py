"""Small files of /proc and /sys as one stream of text, so that it can be kept and replayed.

Each line is `PATH:TEXT`, as `grep "" FILE...` prints it; an empty line ends one reading.  So
`grep "" /sys/class/power_supply/*/uevent; echo` makes a recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from drivers import Counters
from drivers.framing import WAIT, Deframer, Drop, Take, Verdict

FILE_MAX = 16 * 1024
"""Bytes that are read of one file; /proc/meminfo has 1600."""
READING_MAX = 64 * 1024
# The one file with a colon in its path is the Raspberry Pi's get_throttled.
_LINE = re.compile(r"((?:soc:firmware|[^:])+):(.*)")


class Reading(NamedTuple):
    at: float
    """Monotonic seconds at which its first byte was read."""
    files: dict[str, list[str]]
    """Path -> lines."""


def read(paths: Iterable[Path], root: Path) -> bytes:
    """One reading of the files that can be read; their paths as if `root` were `/`."""
    lines: list[str] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                text = file.read(FILE_MAX).decode("utf-8", "replace")
        except OSError:
            # A sensor that is not there, or not ready: what it gives is missing from the reading.
            continue
        lines += (f"/{path.relative_to(root)}:{line}" for line in text.splitlines() if line)
    return "".join(f"{line}\n" for line in [*lines, ""]).encode()


def more(data: bytes, lines: dict[str, str]) -> bytes:
    """A reading with lines that are from no file, each under a name without `/`."""
    return "".join(f"{name}:{text}\n" for name, text in lines.items()).encode() + (data or b"\n")


def match(data: bytearray) -> Verdict:
    """Everything up to the next empty line."""
    if data[0] == 0x0A:
        return Drop(1, noise=False)
    end = data.find(b"\n\n", 0, READING_MAX)
    if end < 0:
        return WAIT if len(data) < READING_MAX else Drop(len(data))
    return Take(end + 2, "reading")


class Readings:
    """Bytes in, readings out; never raises."""

    def __init__(self, counters: Counters) -> None:
        self._framer = Deframer(match, limit=READING_MAX + 1, counters=counters)

    def feed(self, data: bytes, at: float) -> list[Reading]:
        return [Reading(frame.at, _files(frame.data)) for frame in self._framer.feed(data, at)]


def _files(data: bytes) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        if (found := _LINE.fullmatch(line)) is not None:
            files.setdefault(found[1], []).append(found[2])
    return files


def number(text: str) -> int | None:
    """A whole number of the kernel; None where it is none."""
    text = text.strip()
    sign = text.startswith("-")
    return int(text) if text[sign:].isdecimal() and len(text) < 20 and text.isascii() else None
