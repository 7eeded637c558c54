"""The one SQLite connection, its writer thread and all tables.  The only importer of sqlite3.

The loop never waits for the disk: it hands work to the thread and is told when that is committed.
A commit goes to the WAL at once, without fsync (it survives kill -9); the WAL is synced within
50 ms, and at once for what is urgent (it survives a power cut).  Exactly one connection, no mmap,
no other process (SQLite before 3.51.3 can corrupt a WAL that two connections write).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.ranges import Ranges

log = logging.getLogger(__name__)
T = TypeVar("T")

SYNC_WITHIN_S = 0.05
RETRY_S = 0.5
BATCH_MAX = 1000
REMEMBERED_COMMANDS = 2000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS epoch (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
  boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  class TEXT NOT NULL, prev INTEGER NOT NULL, t INTEGER NOT NULL, clock TEXT NOT NULL,
  mono INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (epoch, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (uplink TEXT NOT NULL, epoch INTEGER NOT NULL,
  settled TEXT NOT NULL, PRIMARY KEY (uplink, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, at INTEGER NOT NULL, ack BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class StoreError(OSError):
    """The store cannot be opened; its text says which file and why."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A numbered record as it lies on disk."""

    epoch: int
    """The epoch's id in the store; its name is in `Store.epochs`."""
    seq: int
    klass: str
    prev: int
    t: int
    """UTC ms when it was made, by `clock`."""
    clock: str
    mono: int
    """CLOCK_BOOTTIME, ms, when it was made."""
    body: bytes


class Epoch(msgspec.Struct, kw_only=True):
    """A run of the agent."""

    id: int
    name: str
    boot: str
    first: int = 1
    """The first number that is still held (retention removes the oldest)."""
    last: int = 0
    """The last committed number."""


class Store:
    """Open with `async with Store.open(dir)`; all methods are called on the loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epochs: dict[int, Epoch] = {}
        self.marks: dict[str, dict[int, Ranges]] = {}
        self.commands: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.set_aside: Path | None = None
        """Where a damaged file was put at this start."""
        self.trouble = ""
        """Why nothing can be written at present; empty: all is well."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        """Gets an exception when the file turns out damaged while the agent runs."""
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._closing = threading.Event()
        self._db: sqlite3.Connection
        self._wal = -1

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path) -> Any:
        """StoreError where the folder cannot be used, or another agent has it."""
        store = cls(directory / "outbox.db")
        await asyncio.to_thread(store._open)
        store._thread.start()
        try:
            yield store
        finally:
            store._closing.set()
            store._queue.put(None)
            await asyncio.to_thread(store._thread.join)
            store._db.close()
            os.close(store._wal)

    # -- what the loop asks for ------------------------------------------------------------

    def append(
        self, row: Row, *, urgent: bool, done: Callable[[Row], None], ack_of: str = ""
    ) -> None:
        """Write a record; `done` is called on the loop when it is committed.  `ack_of`: it is the
        outcome of that command, which is remembered in the same transaction."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row.epoch, row.seq, row.klass, row.prev, row.t, row.clock, row.mono, row.body),
            )
            if ack_of:
                db.execute(
                    "INSERT OR REPLACE INTO command VALUES (?, ?, ?)", (ack_of, row.t, row.body)
                )

        if ack_of:
            self.commands[ack_of] = row.body
            while len(self.commands) > REMEMBERED_COMMANDS:
                self.commands.pop(next(iter(self.commands)))
        self._queue.put(_Job(write, lambda: done(row), urgent))

    def begin_epoch(self, name: str, boot: str) -> Epoch:
        """A new epoch, at once; its row is written before any record of it."""
        number = max(self.epochs, default=0) + 1
        epoch = Epoch(id=number, name=name, boot=boot)
        self.epochs[number] = epoch
        self._queue.put(
            _Job(
                lambda db: db.execute("INSERT INTO epoch VALUES (?, ?, ?)", (number, name, boot)),
                None,
                True,
            )
        )
        return epoch

    def save_mark(self, uplink: str, epoch: int, settled: Ranges) -> None:
        """What this uplink's broker has acknowledged."""
        text = ",".join(f"{first}-{last}" for first, last in settled)
        self._put("INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", (uplink, epoch, text))

    def keep(self, name: str, value: bytes, *, urgent: bool = False) -> None:
        """A value that survives a restart (standing alarms ...)."""
        self.kept[name] = value
        self._put("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value), urgent)

    async def read(
        self, epoch: int, first: int, last: int, limit: int, classes: Iterable[str] = ()
    ) -> list[Row]:
        """Rows of first..last in order, at most `limit` of them; of these classes, or of all."""
        wanted = tuple(classes)
        marks = ",".join("?" * len(wanted))
        where = f" AND class IN ({marks})" if wanted else ""
        sql = (
            "SELECT epoch, seq, class, prev, t, clock, mono, body FROM record "
            f"WHERE epoch = ? AND seq BETWEEN ? AND ?{where} ORDER BY seq LIMIT ?"
        )

        def select(db: sqlite3.Connection) -> list[Row]:
            return [
                Row(epoch=e, seq=s, klass=k, prev=p, t=t, clock=c, mono=m, body=b)
                for e, s, k, p, t, c, m, b in db.execute(sql, (epoch, first, last, *wanted, limit))
            ]

        return await self._ask(select)

    async def size_bytes(self) -> int:
        """Pages in use, in bytes (the file may be larger)."""

        def ask(db: sqlite3.Connection) -> int:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            (free,) = db.execute("PRAGMA freelist_count").fetchone()
            (size,) = db.execute("PRAGMA page_size").fetchone()
            return int((pages - free) * size)

        return await self._ask(ask)

    async def first_since(self, epoch: int, t: int) -> int:
        """The first number of `epoch` whose record was made at `t` (UTC ms) or later; one more
        than the last where there is none."""
        sql = "SELECT min(seq) FROM record WHERE epoch = ? AND t >= ?"
        first = await self._ask(lambda db: db.execute(sql, (epoch, t)).fetchone()[0])
        return int(first) if first is not None else self.epochs[epoch].last + 1

    async def delete_before(self, epoch: int, seq: int) -> None:
        """Retention alone deletes: all records of `epoch` below `seq`; the epoch when none is
        left and it is closed."""

        def delete(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM record WHERE epoch = ? AND seq < ?", (epoch, seq))

        await self._ask(delete)
        held = self.epochs[epoch]
        held.first = max(held.first, seq)
        if held.first > held.last and epoch != max(self.epochs):
            del self.epochs[epoch]
            self._put("DELETE FROM epoch WHERE id = ?", (epoch,))
            self._put("DELETE FROM mark WHERE epoch = ?", (epoch,))

    async def flush(self) -> None:
        """Returns when all that was handed over is committed and synced."""
        await self._ask(lambda db: None, urgent=True)

    # -- the thread ------------------------------------------------------------------------

    def _put(self, sql: str, values: tuple[Any, ...], urgent: bool = False) -> None:
        self._queue.put(_Job(lambda db: db.execute(sql, values), None, urgent))

    async def _ask(self, work: Callable[[sqlite3.Connection], T], *, urgent: bool = False) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        results: list[T] = []

        def answer() -> None:
            if not future.done():
                future.set_result(results[-1])

        self._queue.put(_Job(lambda db: results.append(work(db)), answer, urgent))
        return await future

    def _tell(self, callback: Callable[[], object]) -> None:
        # The loop may be gone when the process ends in a hurry.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _work(self) -> None:
        try:
            self._serve()
        except sqlite3.DatabaseError as error:
            failure = StoreError(f"{self.path}: failed: {error}")
            self._tell(lambda: None if self.failed.done() else self.failed.set_exception(failure))

    def _serve(self) -> None:
        unsynced_since: float | None = None
        while True:
            jobs, ended = self._take(unsynced_since)
            if jobs:
                self._commit(jobs)
                if unsynced_since is None:
                    unsynced_since = time.monotonic()
            due = unsynced_since is not None and (
                time.monotonic() - unsynced_since >= SYNC_WITHIN_S
                or any(job.urgent for job in jobs)
            )
            if due or ended:
                self._sync()
                unsynced_since = None
            if ended:
                return

    def _take(self, unsynced_since: float | None) -> tuple[list[_Job], bool]:
        """What waits, at least one job unless a sync is due before one comes."""
        timeout = None
        if unsynced_since is not None:
            timeout = max(0.0, unsynced_since + SYNC_WITHIN_S - time.monotonic())
        jobs: list[_Job] = []
        try:
            job = self._queue.get(timeout=timeout)
            while job is not None and len(jobs) < BATCH_MAX:
                jobs.append(job)
                job = self._queue.get_nowait()
            if job is not None:
                jobs.append(job)
            return jobs, job is None
        except queue.Empty:
            return jobs, False

    def _commit(self, jobs: list[_Job]) -> None:
        """All jobs in one transaction, tried again for as long as the disk refuses."""
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for job in jobs:
                    job.work(self._db)
                self._db.execute("COMMIT")
                break
            except sqlite3.OperationalError as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._set_trouble(str(error))
                if self._closing.wait(RETRY_S):
                    log.error("%s: %d writes were lost at the end: %s", self.path, len(jobs), error)
                    return
        self._set_trouble("")
        callbacks = [job.done for job in jobs if job.done is not None]
        if callbacks:
            self._tell(lambda: [callback() for callback in callbacks])

    def _set_trouble(self, text: str) -> None:
        if text != self.trouble:
            self.trouble = text
            if text:
                log.error("%s: cannot be written: %s", self.path, text)
            else:
                log.warning("%s: can be written again", self.path)

    def _sync(self) -> None:
        # An error here is no reason to lose the agent: the next commit shows what the disk does.
        with contextlib.suppress(OSError):
            os.fdatasync(self._wal)

    # -- opening ---------------------------------------------------------------------------

    def _open(self) -> None:
        directory = self.path.parent
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise StoreError(f"{directory}: cannot be made: {error.strerror}") from error
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise StoreError(f"{self.path}: another agent is using it") from error
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"{self.path}: cannot be opened: {error}") from error
            self._put_aside(error)
            self._connect()
        self._wal = os.open(f"{self.path}-wal", os.O_RDWR | os.O_CREAT, 0o640)
        self._load()

    def _connect(self) -> None:
        # autocommit: transactions are begun and ended by `_commit` alone.
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA mmap_size = 0")
            self._db.execute("PRAGMA wal_autocheckpoint = 1000")
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            self._db.execute("SELECT count(*) FROM epoch").fetchone()
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        self.set_aside = self.path.with_name(f"damaged-{int(time.time())}.db")
        log.error("%s is damaged (%s); set aside as %s", self.path, error, self.set_aside.name)
        for ending in ("", "-wal", "-shm"):
            part = Path(f"{self.path}{ending}")
            if part.exists():
                part.rename(f"{self.set_aside}{ending}")

    def _load(self) -> None:
        for number, name, boot in self._db.execute("SELECT id, name, boot FROM epoch").fetchall():
            first, last = self._db.execute(
                "SELECT min(seq), max(seq) FROM record WHERE epoch = ?", (number,)
            ).fetchone()
            if last is not None:
                held = Epoch(id=number, name=name, boot=boot, first=first, last=last)
                self.epochs[number] = held
            else:
                self._db.execute("DELETE FROM epoch WHERE id = ?", (number,))
        self._db.execute("DELETE FROM mark WHERE epoch NOT IN (SELECT id FROM epoch)")
        for uplink, number, text in self._db.execute("SELECT uplink, epoch, settled FROM mark"):
            pairs = (pair.split("-") for pair in text.split(",") if pair)
            ranges = Ranges((int(first), int(last)) for first, last in pairs)
            self.marks.setdefault(uplink, {})[number] = ranges
        recent = self._db.execute(
            "SELECT id, ack FROM command ORDER BY at DESC LIMIT ?", (REMEMBERED_COMMANDS,)
        ).fetchall()
        self.commands = dict(reversed(recent))
        self._db.execute(
            "DELETE FROM command WHERE at < (SELECT min(at) FROM "
            "(SELECT at FROM command ORDER BY at DESC LIMIT ?))",
            (REMEMBERED_COMMANDS,),
        )
        self.kept = dict(self._db.execute("SELECT name, value FROM kept"))


class _Job:
    __slots__ = ("done", "urgent", "work")

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], object],
        done: Callable[[], None] | None,
        urgent: bool,
    ) -> None:
        self.work = work
        self.done = done
        self.urgent = urgent
