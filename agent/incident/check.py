"""Reading the incident log: is the chain whole?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.incident.record import (
    BEGINNING,
    LINE_MAX,
    Cut,
    Head,
    Line,
    Rotated,
    decode_line,
    digest,
    files,
)

MISTAKES_MAX = 100
T = TypeVar("T", bound=msgspec.Struct)


class Check:
    """What was found while `lines` was read to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.first = 0
        self.head = Head()
        self.remarks: list[str] = []
        """What is no sign of a hand in the log: lines cut off by a crash, files that went."""
        self.mistakes: list[str] = []
        self._oldest = 1
        self._sought: Head | None = None
        self._found = False

    def lines(self) -> Iterator[Line]:
        """Every good line in order.  OSError where there is no file, or one cannot be read."""
        paths = self.paths()
        for path in paths:
            yield from self._file(path)
        if self.first > self._oldest:
            self.mistake(
                f"{paths[0]}: the log begins at line {self.first}, and no line says that rotation "
                "removed those before it"
            )
        elif self.first > 1:
            self.remarks.append(f"lines 1 to {self.first - 1} were removed by rotation")
        if self._sought is not None and not self._found:
            self.mistake(
                f"the head {self._sought.digest} is not in the log: it was cut short, or written "
                "anew"
            )

    def paths(self) -> list[Path]:
        """The log's files, oldest first.  OSError where there is none."""
        if not (paths := files(self.folder)):
            raise FileNotFoundError(f"{self.folder}: there is no incident log")
        return paths

    def seek(self, head: str) -> None:
        """A digest that was kept elsewhere and must be in the chain."""
        self._sought = Head(0, head.lower())

    def mistake(self, sentence: str) -> None:
        if len(self.mistakes) < MISTAKES_MAX:
            self.mistakes.append(sentence)

    # -- inside ----------------------------------------------------------------------------------

    def _file(self, path: Path) -> Iterator[Line]:
        bad = _Bad()
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(LINE_MAX):
                number += 1
                ended, line = raw.endswith(b"\n"), raw.removesuffix(b"\n")
                read = _decoded(line) if ended else None
                if read is None:
                    bad.add(number, raw)
                    continue
                self._explain(path, bad, read)
                bad = _Bad()
                self._chain(f"{path}:{number}", read)
                self._take(read, line)
                yield read
        if bad.data:
            if bad.data.endswith(b"\n"):
                self.mistake(f"{path}:{bad.line}: {_sentence(bad.data)}")
            else:
                self.remarks.append(
                    f"{path}:{bad.line}: the last line was cut off, {len(bad.data)} bytes are left "
                    "of it; the agent says so in the log when it starts"
                )

    def _explain(self, path: Path, bad: _Bad, line: Line) -> None:
        """Are the bytes before this line what a crash left?"""
        if not bad.data:
            if line.kind == "cut":
                self.mistake(f"{path}: line {line.n} tells of cut-off bytes that are not there")
            return
        where = f"{path}:{bad.line}"
        cut = _body(line, Cut) if line.kind == "cut" else None
        if cut is not None and (cut.bytes, cut.sha256) in (
            (len(data), digest(data)) for data in (bad.data, bad.data.removesuffix(b"\n"))
        ):
            self.remarks.append(f"{where}: a line was cut off, as line {line.n} says")
        else:
            self.mistake(f"{where}: {_sentence(bad.data)}")

    def _chain(self, where: str, line: Line) -> None:
        if not self.count:
            self.first = line.n
            if line.n == 1 and line.prev != BEGINNING:
                self.mistake(f"{where}: the first line names a line before it")
            return
        if line.n != self.head.n + 1:
            self.mistake(f"{where}: expected line {self.head.n + 1}, read line {line.n}")
        if line.prev != self.head.digest:
            self.mistake(
                f"{where}: the chain is broken: line {line.n} follows the digest "
                f"{line.prev[:16]}..., the line before it has {self.head.digest[:16]}..."
            )

    def _take(self, line: Line, raw: bytes) -> None:
        self.count += 1
        self.head = Head(line.n, digest(raw))
        if self._sought is not None and self.head.digest == self._sought.digest:
            self._found = True
        if line.kind == "rotated" and (rotated := _body(line, Rotated)) is not None:
            self._oldest = max(self._oldest, rotated.oldest)
        if line.kind == "lost":
            self.remarks.append(f"line {line.n}: the disk stood still, and lines were lost")


class _Bad:
    """Bytes between good lines."""

    def __init__(self) -> None:
        self.line = 0
        self.data = b""

    def add(self, number: int, raw: bytes) -> None:
        self.line = self.line or number
        # What a crash leaves is short; of what is longer the beginning is enough.
        self.data = (self.data + raw)[: 4 * LINE_MAX]


def _decoded(line: bytes) -> Line | None:
    try:
        return decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _body(line: Line, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(line.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _sentence(data: bytes) -> str:
    return f"expected a line of the log, read {data[:40]!r}"
