"""What the loop knows of the store, and what it asks of it.

The loop never waits for the disk.  A record goes into the journal first (it survives kill -9) and
then to the writer thread, which commits it to the WAL; that is synced within 50 ms, and at once for
what is urgent (it survives a power cut).  Exactly one connection, no
mmap, no other process (SQLite before 3.51.3 can corrupt a WAL that two connections write).

Where the file cannot be opened at the start (a full, read-only or missing disk) all goes on
without it: what is to be written waits in memory, and the file is taken up when it can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from agent.delivery.ranges import Ranges
from agent.delivery.rows import Epoch, Gone, Row, Usage
from agent.delivery.writer import Job, RefusedError, Writer
from agent.messages import Class
from agent.store import schema
from agent.store.file import REMEMBERED_COMMANDS, Contents, File, StoreError, suspect
from agent.store.journal import Journal

__all__ = ["REMEMBERED_COMMANDS", "Store", "StoreError"]

log = logging.getLogger(__name__)
T = TypeVar("T")

WAITING_MAX = 20_000
"""Records that wait in memory for a disk that refuses; what comes then is sent but not kept."""
WAITING_MAX_URGENT = 22_000
FLUSH_WITHIN_S = 2.0
SHRINK_PAGES = 500


class Store:
    """Open with `async with Store.open(dir)`; all methods are called on the loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epochs: dict[int, Epoch] = {}
        self.marks: dict[str, dict[int, Ranges]] = {}
        self.commands: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.not_kept_of: Counter[str] = Counter()
        """By class: records that were not stored because too many waited for a disk that
        refuses."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        """Gets an exception when the file turns out damaged while the agent runs."""
        self._journal = Journal(path)
        self._file = File(path, self._journal, self._opened_late)
        self.on_trouble: Callable[[str], None] = lambda text: None
        """Called with `trouble` whenever that changes."""
        self.on_late: list[Callable[[dict[str, bytes]], None]] = []
        """Each is called when a file that could not be opened at the start has been: `epochs`,
        `marks` and `commands` have then grown; with what it had kept."""
        self._writer = Writer(self._file, str(path), self._fail, lambda text: self.on_trouble(text))
        self._latest: dict[tuple[object, ...], tuple[str, tuple[Any, ...]]] = {}
        self._closing = False
        self.told: list[Callable[[], None]] = []
        """Each is called when all has been told of that became safe at one moment."""
        self._untold: list[tuple[Callable[[Row], None], Row]] = []
        """Safe; told in the next turn."""
        self._unput: list[Job] = []
        """Of these: not handed to the writer yet."""
        self._waiting = 0
        """Records that wait for their commit, as the journal did not take them."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path, name: str = "outbox.db") -> AsyncIterator[Self]:
        """StoreError where another agent has it.  Where it cannot be opened now, `trouble` says
        why, and it is opened later."""
        store = cls(directory / name)
        try:
            store._take(await asyncio.to_thread(store._file.open))
        except RefusedError as error:
            # Later than any that the file may hold: those are counted from 1, or made like this.
            store._file.only_below = time.time_ns() // 1_000_000
            store._writer.set_trouble(str(error))
        store._writer.start()
        try:
            yield store
        finally:
            store._closing = True
            store._put_all()
            if await store._writer.close():
                store._file.close()
                store._journal.close(empty=not store._writer.waiting)

    @property
    def trouble(self) -> str:
        """Why nothing can be written at present; empty: all is well."""
        return self._writer.trouble

    @property
    def not_kept(self) -> int:
        """Of all classes."""
        return self.not_kept_of.total()

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file was put."""
        return self._file.set_aside

    def _take(self, held: Contents) -> None:
        """What the file held; what this run has is newer."""
        ours = dict(self.epochs)
        self.epochs.clear()
        self.epochs.update(held.epochs | ours)
        for uplink, marks in held.marks.items():
            self.marks[uplink] = marks | self.marks.get(uplink, {})
        self.commands = held.commands | self.commands
        self.kept = held.kept | self.kept

    def _opened_late(self, held: Contents) -> None:
        """On the writer thread."""

        def take() -> None:
            self._take(held)
            for listener in self.on_late:
                listener(held.kept)

        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(take)

    def _fail(self, error: OSError) -> None:
        if not self._closing and not self.failed.done():
            # The next start looks closer before it trusts the file.
            with contextlib.suppress(OSError):
                suspect(self.path).touch()
            self.failed.set_exception(error)
            # Who does not wait for it is told by the log.
            self.failed.exception()
            log.critical("%s", error)

    # -- what the loop asks for ------------------------------------------------------------

    def append(
        self, row: Row, *, urgent: bool, done: Callable[[Row], None], ack_of: str = ""
    ) -> bool:
        """Write a record; `done` is called on the loop, in one of its next turns, when it survives
        kill -9 (never, where too many wait already).  True: it does by now.  `ack_of`: it is the
        outcome of that command, which is remembered in the same transaction."""
        forgotten = self._remember(ack_of, row)
        waiting = self._writer.waiting + len(self._unput)
        if waiting >= (WAITING_MAX_URGENT if urgent else WAITING_MAX):
            self.not_kept_of[row.klass] += 1
            return False

        def write(db: sqlite3.Connection) -> None:
            schema.insert(db, row)
            if ack_of:
                schema.insert_answer(db, ack_of, row)
                db.executemany("DELETE FROM command WHERE id = ?", [(name,) for name in forgotten])

        # In order: none may survive before which one is lost.
        if not self._waiting and not self.trouble:
            epoch = self.epochs[row.epoch]
            if self._journal.take(epoch, row, ack_of, empty=not waiting):
                self._tell_soon(done, row)
                self._unput.append(Job(write, None, urgent, alone=not ack_of))
                return True
        self._waiting += 1

        def committed() -> None:
            self._waiting -= 1
            self._tell_soon(done, row)

        self._put_job(Job(write, committed, urgent, alone=not ack_of))
        return False

    def _remember(self, ack_of: str, row: Row) -> list[str]:
        """The outcome of a command; those that are forgotten for it."""
        forgotten: list[str] = []
        if ack_of:
            self.commands[ack_of] = row.body
            while len(self.commands) > REMEMBERED_COMMANDS:
                forgotten.append(next(iter(self.commands)))
                del self.commands[forgotten[-1]]
        return forgotten

    def _tell_soon(self, done: Callable[[Row], None], row: Row) -> None:
        if not self._untold:
            self._loop.call_soon(self._tell)
        self._untold.append((done, row))

    def _tell(self) -> None:
        """Of what is safe; only then wake the thread: it would take the interpreter from who sends
        the record."""
        untold, self._untold = self._untold, []
        try:
            for done, row in untold:
                done(row)
            self.all_told()
        finally:
            self._put_all()

    def all_told(self) -> None:
        """Whoever else tells of records calls it when all of a moment have been."""
        for listener in list(self.told):
            listener()

    def _put_all(self) -> None:
        jobs, self._unput = self._unput, []
        for job in jobs:
            self._writer.put(job)

    def _put_job(self, job: Job) -> None:
        """In the order in which it was asked for."""
        self._put_all()
        self._writer.put(job)

    def begin_epoch(self, name: str, boot: str) -> Epoch:
        """A new epoch, at once; its row is written before any record of it."""
        number = self._file.only_below or max(self.epochs, default=0) + 1
        epoch = Epoch(id=number, name=name, boot=boot)
        self.epochs[number] = epoch
        self._put("INSERT INTO epoch VALUES (?, ?, ?)", (number, name, boot), urgent=True)
        return epoch

    def save_mark(self, uplink: str, epoch: int, settled: Ranges) -> None:
        """What this uplink's broker has acknowledged."""
        text = ",".join(f"{first}-{last}" for first, last in settled)
        sql = "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)"
        self._put_latest((uplink, epoch), sql, (uplink, epoch, text))

    def keep(self, name: str, value: bytes, *, urgent: bool = False) -> None:
        """A value that survives a restart (standing alarms ...)."""
        self.kept[name] = value
        sql = "INSERT OR REPLACE INTO kept VALUES (?, ?)"
        self._put_latest((name,), sql, (name, value), urgent)

    async def read(
        self, epoch: int, holes: list[tuple[int, int]], classes: Sequence[Class], limit: int,
        newest: bool = False,
    ) -> list[Row]:  # fmt: skip
        """At most `limit` rows of `holes` (ranges, in order), all of one class: of the first of
        `classes` that has any.  `newest`: of each hole the last ones (and the holes are in
        that order too)."""

        def select(db: sqlite3.Connection) -> list[Row]:
            for klass in classes:
                rows: list[Row] = []
                for first, last in holes:
                    rows += schema.select(db, epoch, klass, first, last, limit - len(rows), newest)
                    if len(rows) >= limit:
                        break
                if rows:
                    return rows
            return []

        return await self._ask(select, writes=False)

    async def numbers(self, epoch: int, first: int, last: int, look: int) -> tuple[Ranges, int]:
        """Which numbers of first..last are held, and up to which that is known: at most `look`
        records are looked at."""

        def find(db: sqlite3.Connection) -> tuple[Ranges, int]:
            found = db.execute(schema.SELECT_NUMBERS, (epoch, first, last, look))
            seqs = [seq for (seq,) in found]
            held = Ranges((seq, seq) for seq in seqs)
            return held, seqs[-1] if len(seqs) == look else last

        return await self._ask(find, writes=False)

    async def usage(self) -> Usage:
        """How large the database is now."""

        def ask(db: sqlite3.Connection) -> Usage:
            pages, free = schema.pragma(db, "page_count"), schema.pragma(db, "freelist_count")
            return Usage(pages=pages, free=free, page_bytes=schema.pragma(db, "page_size"))

        return await self._ask(ask, writes=False)

    async def old_upto(self, epoch: int, look: int, is_old: Callable[[Row], bool | None]) -> int:
        """The last number of the oldest records that are old; 0 where none is.

        `is_old` is asked on the writer thread, oldest first, until it says False or `look` records
        have been seen; None: it cannot be told.  The bodies are empty."""

        def find(db: sqlite3.Connection) -> int:
            upto = 0
            for s, k, p, t, c, m in db.execute(schema.SELECT_HEADS, (epoch, look)):
                row = Row(epoch=epoch, seq=s, klass=k, prev=p, t=t, clock=c, mono=m, body=b"")
                old = is_old(row)
                if old is False:
                    break
                upto = s if old else upto
            return upto

        return await self._ask(find, writes=False)

    async def first_from(self, epoch: int, seq: int) -> Row | None:
        """The first record from this number on, with an empty body."""

        def find(db: sqlite3.Connection) -> Row | None:
            found = db.execute(schema.SELECT_FIRST_FROM, (epoch, seq)).fetchone()
            if found is None:
                return None
            s, k, p, t, c, m = found
            return Row(epoch=epoch, seq=s, klass=k, prev=p, t=t, clock=c, mono=m, body=b"")

        return await self._ask(find, writes=False)

    async def delete_before(self, epoch: int, seq: int) -> None:
        """Retention alone deletes: all records of `epoch` below `seq`; the epoch when none is
        left and it is closed."""
        sql = "DELETE FROM record WHERE epoch = ? AND seq < ?"
        await self._ask(lambda db: db.execute(sql, (epoch, seq)))
        self._now_first(epoch, seq)

    async def delete_some(
        self, epoch: int, klass: Class, first: int, last: int, most: int,
        which: Callable[[list[Row]], list[int]] | None = None,
    ) -> Gone | None:  # fmt: skip
        """Retention again: of the `most` oldest records of a class within first..last all go, or
        those that `which` picks (on the writer thread); None where there is no such record."""

        def delete(db: sqlite3.Connection) -> tuple[Gone | None, int | None]:
            rows = schema.select(db, epoch, klass, first, last, most)
            seqs = which(rows) if which else [row.seq for row in rows]
            sql = "DELETE FROM record WHERE epoch = ? AND seq = ?"
            db.executemany(sql, [(epoch, seq) for seq in seqs])
            gone = Gone(first=rows[0].seq, last=rows[-1].seq, count=len(seqs)) if rows else None
            return gone, schema.edge(db, "min", epoch)

        gone, left = await self._ask(delete)
        if gone is not None and left is None:
            # Of a run that is over nothing comes any more.
            left = (self.epochs[epoch].last if self.is_over(epoch) else gone.last) + 1
        if left is not None:
            self._now_first(epoch, left)
        return gone

    def is_over(self, epoch: int) -> bool:
        """Nothing comes of it any more."""
        return epoch != max(self.epochs)

    def _now_first(self, epoch: int, seq: int) -> None:
        held = self.epochs[epoch]
        held.first = max(held.first, seq)
        if held.first > held.last and self.is_over(epoch):
            del self.epochs[epoch]
            self._put("DELETE FROM epoch WHERE id = ?", (epoch,))
            self._put("DELETE FROM mark WHERE epoch = ?", (epoch,))

    async def shrink(self) -> None:
        """Give a piece of the pages that are free back to the disk."""
        sql = f"PRAGMA incremental_vacuum({SHRINK_PAGES})"
        await self._ask(lambda db: db.execute(sql).fetchall())

    async def flush(self) -> bool:
        """True when all that was handed over is committed and synced; False where the disk does
        not take it within 2 s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_WITHIN_S):
                await self._ask(lambda db: None, urgent=True)
            return True
        return False

    def _put(self, sql: str, values: tuple[Any, ...], urgent: bool = False) -> None:
        self._put_job(Job(lambda db: db.execute(sql, values), None, urgent, alone=True))

    def _put_latest(
        self, key: tuple[object, ...], sql: str, values: tuple[Any, ...], urgent: bool = False
    ) -> None:
        """As `_put`, where only the last value counts: one of each waits for the disk."""
        waits = key in self._latest
        self._latest[key] = (sql, values)
        if waits and (not urgent or self.trouble):
            return
        written: list[object] = []

        def write(db: sqlite3.Connection) -> None:
            # None: one that was put before has written it already.
            if latest := self._latest.get(key):
                written[:] = [latest]
                db.execute(*latest)

        def done() -> None:
            if (latest := self._latest.get(key)) is None:
                return
            del self._latest[key]
            if [latest] != written:
                # It changed between the writing and now.
                self._put_latest(key, *latest, urgent)

        self._put_job(Job(write, done, urgent, alone=True))

    async def _ask(
        self, work: Callable[[sqlite3.Connection], T], *, urgent: bool = False, writes: bool = True
    ) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        results: list[T] = []

        def answer() -> None:
            if not future.done():
                future.set_result(results[-1])

        self._put_job(Job(lambda db: results.append(work(db)), answer, urgent, writes))
        return await future
