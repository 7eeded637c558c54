"""The incident log: what happened at this unit, one JSON line each, chained by SHA-256.

`incident.jsonl` beside the store.  `prev` of a line is the SHA-256 of the line before it, so that a
line that was changed, taken out or put in later is found; whoever writes the whole file anew is
found by a head (number and digest of a line) that was kept elsewhere: `started` tells it to every
center.  Nothing that stands in a file is ever changed; the oldest files go as wholes.

The loop never waits for the disk: a thread of its own writes, behind a queue that has a ceiling.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from agent.clock import UnitClock
from agent.config import Config
from agent.delivery.rows import Row
from agent.messages import Class, Clock, Mark
from agent.outbox import Outbox

log = logging.getLogger(__name__)

FILE = "incident.jsonl"
NUMBERED = re.compile(r"incident-(\d{6,})\.jsonl")
"""Full files; the number counts up, and is never given twice while its file is there."""
BEGINNING = "0" * 64
"""`prev` of the very first line."""
LINE_MAX = 1 << 20
QUEUE_MAX = 10_000
RETRY_S = 1.0
END_S = 2.0
NOT_WRITTEN = frozenset({"exposure"})
"""Events that repeat each minute what the store holds anyway."""

_encode = msgspec.json.Encoder().encode


T_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999."""

Time = Annotated[int, msgspec.Meta(ge=0, le=T_MAX)]
Slug = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,63}\Z")]
EpochName = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f-]{0,64}\Z")]
"""What becomes a part of a file's name is as narrow as the agent writes it."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line.  `kind`: `alarm` and `event` have the body of that record (messages); `rotated`,
    `cut` and `lost` are about the log itself."""

    n: int
    """Counts from 1, over all files."""
    prev: str
    t: Time
    """UTC ms."""
    clock: Clock
    org: Slug
    unit: Slug
    mark: Mark
    kind: str
    epoch: EpochName
    seq: int = 0
    """The record's number in that epoch; 0 where it is about the log itself."""
    body: msgspec.Raw


class Cut(msgspec.Struct, frozen=True):
    """Body of `cut`: the bytes before this line are no line; a crash ended their writing."""

    bytes: int
    sha256: str


class Rotated(msgspec.Struct, frozen=True):
    """Body of `rotated`, the first line of a file but the first."""

    oldest: int
    """The number with which the oldest file begins that was kept."""
    removed: tuple[str, ...] = ()


class Lost(msgspec.Struct, frozen=True):
    """Body of `lost`: so many lines found the queue full, because the disk stood still."""

    lines: int


class Entry(msgspec.Struct, frozen=True):
    """What is to be a line."""

    t: int
    clock: Clock
    kind: str
    body: bytes
    seq: int = 0


class Head(msgspec.Struct, frozen=True):
    """The last line that is on disk."""

    n: int = 0
    digest: str = BEGINNING


decode_line = msgspec.json.Decoder(Line).decode


def digest(line: bytes) -> str:
    """Of a line without its line feed: lower-case hex."""
    return hashlib.sha256(line).hexdigest()


def files(folder: Path) -> list[Path]:
    """The log's files, oldest first.  OSError where the folder cannot be read."""
    numbered = sorted(
        (int(found[1]), path)
        for path in folder.iterdir()
        if (found := NUMBERED.fullmatch(path.name)) is not None
    )
    current = folder / FILE
    return [path for _, path in numbered] + ([current] if current.exists() else [])


def first_number(path: Path) -> int:
    """`n` of a file's first line; 0 where that is no line."""
    with path.open("rb") as file:
        line = file.readline(LINE_MAX)
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return decode_line(line).n
    return 0


class Incident:
    """The writer.  `record` is called on the loop for every record; all else is the thread's."""

    def __init__(
        self, folder: Path, clock: UnitClock, *, org: str, unit: str, mark: Mark, epoch: str,
        max_bytes: int, max_files: int, queue_max: int = QUEUE_MAX,
    ) -> None:  # fmt: skip
        """`max_files`: with the one that is written; 2 or more."""
        self.head = Head()
        self.trouble = ""
        """Why lines wait; empty: they are on disk."""
        self._folder = folder
        self._clock = clock
        self._org, self._unit, self._mark, self._epoch = org, unit, mark, epoch
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._queue: queue.Queue[Entry | None] = queue.Queue(queue_max)
        self._lost = 0
        """All that found the queue full; counted by the loop alone."""
        self._lost_told = 0
        self._ending = threading.Event()
        self._file = -1
        self._size = 0
        self._thread = threading.Thread(target=self._write_all, name="incident", daemon=True)

    # -- the loop's side -------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Find the chain's end, then write behind.  A disk that refuses keeps no unit from its
        start: the thread goes on trying."""
        try:
            self._open()
        except OSError as error:
            self._fail(error)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits; a disk that stalls is not waited for longer than END_S."""
        self._ending.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(END_S)
        if self._thread.is_alive():
            log.error("the incident log: %d lines are not on disk", self._queue.qsize())

    def record(self, row: Row) -> None:
        """A record of the outbox: alarms and events become lines (the audit of a command is an
        event).  Never waits: what finds the queue full is counted, and a line says so."""
        if row.klass not in (Class.ALARMS, Class.EVENTS) or _is_left_out(row):
            return
        kind = "alarm" if row.klass == Class.ALARMS else "event"
        try:
            self._queue.put_nowait(
                Entry(min(max(row.t, 0), T_MAX), Clock(row.clock), kind, row.body, row.seq)
            )
        except queue.Full:
            self._lost += 1

    def anchor(self) -> dict[str, Any]:
        """The head, to be kept elsewhere."""
        return {"n": self.head.n, "digest": self.head.digest}

    def report(self) -> dict[str, Any]:
        """For the control socket."""
        return {
            **self.anchor(), "trouble": self.trouble, "waiting": self._queue.qsize(),
            "lost": self._lost,
        }  # fmt: skip

    # -- the thread's side -----------------------------------------------------------------------

    def _write_all(self) -> None:
        waiting: list[Entry] = []
        while True:
            ends = self._take(waiting)
            while waiting and not self._write(waiting):
                if self._ending.wait(RETRY_S):
                    return
            if ends:
                if self._file >= 0:
                    os.close(self._file)
                return

    def _take(self, waiting: list[Entry]) -> bool:
        """Wait for one entry, then take all there are; True: it was the last time."""
        entry = self._queue.get()
        while entry is not None:
            waiting.append(entry)
            if self._queue.empty() or len(waiting) >= QUEUE_MAX:
                break
            entry = self._queue.get()
        if lost := self._lost - self._lost_told:
            self._lost_told += lost
            waiting.append(self._now("lost", Lost(lost)))
        return entry is None

    def _write(self, waiting: list[Entry]) -> bool:
        """Write and forget what is written; False: the disk refuses, and the rest waits."""
        try:
            if self._file < 0:
                self._open()
            while waiting:
                if self._size >= self._max_bytes:
                    self._rotate()
                self._write_some(waiting)
            os.fdatasync(self._file)
        except OSError as error:
            self._fail(error)
            return False
        self.trouble = ""
        return True

    def _fail(self, error: OSError) -> None:
        if not self.trouble:
            log.error("the incident log cannot be written, and is tried again: %s", error)
        self.trouble = str(error)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write_some(self, waiting: list[Entry]) -> None:
        """As many lines as the file has room for, in one go."""
        head, lines = self.head, list[tuple[bytes, Head]]()
        size = self._size
        for entry in waiting:
            line = self._line(entry, head)
            head = Head(head.n + 1, digest(line))
            lines.append((line + b"\n", head))
            size += len(line) + 1
            if size >= self._max_bytes:
                break
        data = b"".join(line for line, _ in lines)
        count = os.write(self._file, data)
        self._size += count
        for line, head in lines:
            count -= len(line)
            if count < 0:
                raise OSError(f"{self._folder / FILE}: a line was written in part")
            self.head = head
            del waiting[0]

    def _line(self, entry: Entry, head: Head) -> bytes:
        return _encode(
            Line(
                n=head.n + 1, prev=head.digest, t=entry.t, clock=entry.clock, org=self._org,
                unit=self._unit, mark=self._mark, kind=entry.kind, epoch=self._epoch,
                seq=entry.seq, body=msgspec.Raw(entry.body),
            )
        )  # fmt: skip

    def _now(self, kind: str, body: msgspec.Struct) -> Entry:
        return Entry(self._clock.now_ms(), self._clock.source, kind, _encode(body))

    def _open(self) -> None:
        """Take up the chain where it ends; what was cut off there stays, and a line says so."""
        path = self._folder / FILE
        rest = b""
        for older in reversed(files(self._folder)):
            tail = _tail(older)
            if older == path:
                rest = tail.rest
            if tail.head is not None:
                self.head = tail.head
                break
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._file).st_size
        if not self._size:
            _sync(self._folder)
        if rest:
            log.warning("the incident log: its last line was cut off (%d bytes)", len(rest))
            self._own_line("cut", Cut(len(rest), digest(rest)), rest)

    def _own_line(self, kind: str, body: msgspec.Struct, rest: bytes = b"") -> None:
        """A line about the log.  A cut-off rest gets the line feed that it lacks."""
        line = self._line(self._now(kind, body), self.head)
        data = (b"" if not rest or rest.endswith(b"\n") else b"\n") + line + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError(f"{self._folder / FILE}: a line was written in part")
        self.head = Head(self.head.n + 1, digest(line))
        self._size += len(data)

    def _rotate(self) -> None:
        """Put the full file away, go on in a new one, and remove the oldest."""
        os.fdatasync(self._file)
        older = files(self._folder)[:-1]
        number = int(found[1]) if older and (found := NUMBERED.fullmatch(older[-1].name)) else 0
        full = self._folder / f"incident-{number + 1:06d}.jsonl"
        (self._folder / FILE).rename(full)
        os.close(self._file)
        self._file = -1
        self._open()
        kept = [*older, full]
        removed = [kept.pop(0) for _ in range(len(kept) + 1 - self._max_files)]
        oldest = first_number(kept[0]) if kept else 0
        # Told before it is done: a crash between the two leaves a file too many, not one too few.
        names = tuple(path.name for path in removed)
        self._own_line("rotated", Rotated(oldest or self.head.n + 1, names))
        os.fdatasync(self._file)
        for path in removed:
            path.unlink()


def of_unit(config: Config, clock: UnitClock, outbox: Outbox) -> Incident:
    """The log of a unit, told of every record of its outbox."""
    made = Incident(
        Path(config.store.dir), clock, org=config.unit.org, unit=config.unit.id,
        mark=config.unit.mark, epoch=outbox.epoch.name,
        max_bytes=config.log.incident_mb * 1_000_000, max_files=config.log.incident_files,
    )  # fmt: skip
    outbox.taps.append(made.record)
    return made


class _Tail(msgspec.Struct, frozen=True):
    """The end of a file: its last good line, and the bytes after it that are none."""

    head: Head | None
    rest: bytes


def _tail(path: Path) -> _Tail:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * LINE_MAX))
        data = file.read()
    for start, stop in _backwards(data):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            line = data[start:stop]
            return _Tail(Head(decode_line(line).n, digest(line)), data[stop + 1 :])
    return _Tail(None, data)


def _backwards(data: bytes) -> Iterator[tuple[int, int]]:
    """(first byte, line feed) of each ended line, from the last."""
    stop = data.rfind(b"\n")
    while stop >= 0:
        before = data.rfind(b"\n", 0, stop)
        yield before + 1, stop
        stop = before


def _is_left_out(row: Row) -> bool:
    return row.klass == Class.EVENTS and any(
        row.body.startswith(b'{"event":"%s"' % name.encode()) for name in NOT_WRITTEN
    )


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
