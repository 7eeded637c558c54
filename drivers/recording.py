"""Recordings of a line: bytes with the times at which they came, in a text that people can read.

A recording made by `outpost capture` is lines of ASCII.  The first is `# outpost capture 1`; others
that begin with `#` say `key: value` (port, line, began, by, note; also driver and set, for a test).
Every other line is `SECONDS HEX`: seconds since the beginning, one blank, the bytes as they came.

Three more kinds are read, whose times are not known and given as 0: `hex` (a line of hexadecimal
digits a frame, blanks and `#` comments allowed; also `.hex` by name), `log` (bytes as they came, in
which whole lines that begin with `#` are notes; `.log`, `.nmea`), and `raw` (all else).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MAGIC = "# outpost capture 1"
KINDS = ("capture", "hex", "log", "raw")

LINE_MAX = 64 * 1024
"""Characters of a line; one read of a port is 4096 bytes at most, so 8210."""

_BLOCK = 4096
_BY_SUFFIX = {".hex": "hex", ".log": "log", ".nmea": "log"}
_NOTE = re.compile(r"#\s*([A-Za-z][\w-]*)\s*:\s*(.*?)\s*")


class RecordingError(ValueError):
    """A recording cannot be read; its text says where, what was expected and what was read."""


class Chunk(NamedTuple):
    at: float
    """Seconds since the recording began."""
    data: bytes


def kind_of(path: Path) -> str:
    """One of KINDS, by the first line, else by the name.  OSError: it cannot be read."""
    with path.open("rb") as file:
        if file.readline(len(MAGIC) + 2).rstrip() == MAGIC.encode("ascii"):
            return "capture"
    return _BY_SUFFIX.get(path.suffix.lower(), "raw")


def read(path: Path, kind: str = "") -> Iterator[Chunk]:
    """Chunks in order, never the whole file at once.  OSError, RecordingError."""
    match kind or kind_of(path):
        case "capture":
            yield from _captured(path)
        case "hex":
            yield from (Chunk(0.0, data) for _, data in _hex_lines(path))
        case "log":
            yield from _logged(path)
        case "raw":
            with path.open("rb") as file:
                while data := file.read(_BLOCK):
                    yield Chunk(0.0, data)
        case other:
            raise RecordingError(f"expected a kind of {', '.join(KINDS)}, read {other!r}")


def notes(path: Path) -> list[tuple[str, str]]:
    """What the `# key: value` lines at the beginning say; a key may come again.  OSError."""
    found: list[tuple[str, str]] = []
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(LINE_MAX), b""):
            if not line.startswith(b"#"):
                break
            if match := _NOTE.fullmatch(line.decode("utf-8", "replace").rstrip("\r\n")):
                found.append((match[1].lower(), match[2]))
    return found


def header(values: Mapping[str, str]) -> str:
    """The first lines of a recording; what has no value is left out."""
    told = [f"# {key}: {' '.join(value.split())}" for key, value in values.items() if value]
    return "".join(f"{line}\n" for line in (MAGIC, *told))


def line(chunk: Chunk) -> str:
    """One line of a recording."""
    return f"{chunk.at:.6f} {chunk.data.hex()}\n"


def _captured(path: Path) -> Iterator[Chunk]:
    last = 0.0
    for number, text in _lines(path):
        seconds, _, digits = text.partition(" ")
        try:
            at = float(seconds)
        except ValueError:
            at = math.nan
        if not at >= last or math.isinf(at):
            raise RecordingError(
                f"{path}:{number}: expected seconds, not less than {last:g}, read {_short(seconds)}"
            )
        last = at
        yield Chunk(at, _bytes(path, number, digits))


def _hex_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, text in _lines(path):
        yield number, _bytes(path, number, text)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with something in them, without comments."""
    with path.open("rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(LINE_MAX), b""), 1):
            if len(raw) >= LINE_MAX:
                raise RecordingError(f"{path}:{number}: longer than {LINE_MAX} characters")
            text = raw.decode("utf-8", "replace").partition("#")[0].strip()
            if text:
                yield number, text


def _bytes(path: Path, number: int, digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise RecordingError(
            f"{path}:{number}: expected hexadecimal digits in pairs, read {_short(digits)}"
        ) from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _logged(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file:
        begins = True
        note = False
        # A binary protocol among the text may go without a line's end for long.
        for part in iter(lambda: file.readline(_BLOCK), b""):
            note = part.startswith(b"#") if begins else note
            begins = part.endswith(b"\n")
            if not note:
                yield Chunk(0.0, part)


def joined(chunks: Iterable[Chunk]) -> bytes:
    """All bytes, for those to whom time says nothing."""
    return b"".join(chunk.data for chunk in chunks)
