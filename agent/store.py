"""The one SQLite connection and all tables.  The only importer of sqlite3.

The loop never waits for the disk: it hands work to the writer thread and is told when that is
committed.  A commit goes to the WAL at once, without fsync (it survives kill -9); the WAL is synced
within 50 ms, and at once for what is urgent (it survives a power cut).  Exactly one connection, no
mmap, no other process (SQLite before 3.51.3 can corrupt a WAL that two connections write).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent.delivery.ranges import Ranges
from agent.delivery.rows import Epoch, Gone, Row, Usage
from agent.delivery.writer import Job, RefusedError, Writer
from agent.messages import Class

log = logging.getLogger(__name__)
T = TypeVar("T")

REMEMBERED_COMMANDS = 2000
WAITING_MAX = 20_000
"""Records that wait in memory for a disk that refuses; what comes then is sent but not kept."""
WAITING_MAX_URGENT = 22_000
FLUSH_WITHIN_S = 2.0
BUSY_S = 1.0
CHECKED_MB = 16
"""A file up to this size is checked at each start (some ms); a larger one where it is suspect."""
SET_ASIDE_MAX = 2
"""So many damaged files are kept."""
SHRINK_PAGES = 500
WAL_LIMIT = 16 * 1024 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS epoch (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
  boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  class TEXT NOT NULL, prev INTEGER NOT NULL, t INTEGER NOT NULL, clock TEXT NOT NULL,
  mono INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (epoch, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rare ON record (epoch, class, seq) WHERE class <> 'readings';
CREATE TABLE IF NOT EXISTS mark (uplink TEXT NOT NULL, epoch INTEGER NOT NULL,
  settled TEXT NOT NULL, PRIMARY KEY (uplink, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, at INTEGER NOT NULL, ack BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""

_SELECT = (
    "SELECT epoch, seq, class, prev, t, clock, mono, body FROM record{} "
    "WHERE epoch = ? AND class = ? AND seq BETWEEN ? AND ?{} ORDER BY seq {{}} LIMIT ?"
)
_SELECT_READINGS = _SELECT.format("", "")
# By the index `rare` an alarm is found among a million readings; the literal is what it asks for.
_SELECT_RARE = _SELECT.format(" INDEXED BY rare", " AND class <> 'readings'")


class StoreError(OSError):
    """The store cannot be opened, or is damaged; its text says which file and why."""


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
        self.not_kept = 0
        """Records that were not stored because too many waited for a disk that refuses."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        """Gets an exception when the file turns out damaged while the agent runs."""
        self._file = _File(path)
        self.on_trouble: Callable[[str], None] = lambda text: None
        """Called with `trouble` whenever that changes."""
        self._writer = Writer(self._file, str(path), self._fail, lambda text: self.on_trouble(text))
        self._closing = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path) -> AsyncIterator[Store]:
        """StoreError where the folder cannot be used, or another agent has it."""
        store = cls(directory / "outbox.db")
        await asyncio.to_thread(store._open)
        store._writer.start()
        try:
            yield store
        finally:
            store._closing = True
            if await store._writer.close():
                store._file.close()

    @property
    def trouble(self) -> str:
        """Why nothing can be written at present; empty: all is well."""
        return self._writer.trouble

    def _fail(self, error: OSError) -> None:
        if not self._closing and not self.failed.done():
            # The next start looks closer before it trusts the file.
            with contextlib.suppress(OSError):
                _suspect(self.path).touch()
            self.failed.set_exception(error)
            # Who does not wait for it is told by the log.
            self.failed.exception()
            log.critical("%s", error)

    # -- what the loop asks for ------------------------------------------------------------

    def append(
        self, row: Row, *, urgent: bool, done: Callable[[Row], None], ack_of: str = ""
    ) -> None:
        """Write a record; `done` is called on the loop when it is committed (never, where too many
        wait already).  `ack_of`: it is the outcome of that command, which is remembered in the
        same transaction."""
        forgotten: list[str] = []
        if ack_of:
            self.commands[ack_of] = row.body
            while len(self.commands) > REMEMBERED_COMMANDS:
                forgotten.append(next(iter(self.commands)))
                del self.commands[forgotten[-1]]
        if self._writer.waiting >= (WAITING_MAX_URGENT if urgent else WAITING_MAX):
            self.not_kept += 1
            return

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row.epoch, row.seq, row.klass, row.prev, row.t, row.clock, row.mono, row.body),
            )
            if ack_of:
                db.execute(
                    "INSERT OR REPLACE INTO command VALUES (?, ?, ?)", (ack_of, row.t, row.body)
                )
            db.executemany("DELETE FROM command WHERE id = ?", [(name,) for name in forgotten])

        self._writer.put(Job(write, lambda: done(row), urgent))

    def begin_epoch(self, name: str, boot: str) -> Epoch:
        """A new epoch, at once; its row is written before any record of it."""
        number = max(self.epochs, default=0) + 1
        epoch = Epoch(id=number, name=name, boot=boot)
        self.epochs[number] = epoch
        self._put("INSERT INTO epoch VALUES (?, ?, ?)", (number, name, boot), urgent=True)
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
                    rows += _select(db, epoch, klass, first, last, limit - len(rows), newest)
                    if len(rows) >= limit:
                        break
                if rows:
                    return rows
            return []

        return await self._ask(select, writes=False)

    async def numbers(self, epoch: int, first: int, last: int, look: int) -> tuple[Ranges, int]:
        """Which numbers of first..last are held, and up to which that is known: at most `look`
        records are looked at."""
        sql = "SELECT seq FROM record WHERE epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"

        def find(db: sqlite3.Connection) -> tuple[Ranges, int]:
            seqs = [seq for (seq,) in db.execute(sql, (epoch, first, last, look))]
            held = Ranges((seq, seq) for seq in seqs)
            return held, seqs[-1] if len(seqs) == look else last

        return await self._ask(find, writes=False)

    async def usage(self) -> Usage:
        """How large the database is now."""

        def ask(db: sqlite3.Connection) -> Usage:
            pages, free = _pragma(db, "page_count"), _pragma(db, "freelist_count")
            return Usage(pages=pages, free=free, page_bytes=_pragma(db, "page_size"))

        return await self._ask(ask, writes=False)

    async def old_upto(self, epoch: int, look: int, is_old: Callable[[Row], bool | None]) -> int:
        """The last number of the oldest records that are old; 0 where none is.

        `is_old` is asked on the writer thread, oldest first, until it says False or `look` records
        have been seen; None: it cannot be told.  The bodies are empty."""
        sql = (
            "SELECT seq, class, prev, t, clock, mono FROM record WHERE epoch = ? "
            "ORDER BY seq LIMIT ?"
        )

        def find(db: sqlite3.Connection) -> int:
            upto = 0
            for s, k, p, t, c, m in db.execute(sql, (epoch, look)):
                row = Row(epoch=epoch, seq=s, klass=k, prev=p, t=t, clock=c, mono=m, body=b"")
                old = is_old(row)
                if old is False:
                    break
                upto = s if old else upto
            return upto

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
            rows = _select(db, epoch, klass, first, last, most)
            seqs = which(rows) if which else [row.seq for row in rows]
            sql = "DELETE FROM record WHERE epoch = ? AND seq = ?"
            db.executemany(sql, [(epoch, seq) for seq in seqs])
            gone = Gone(first=rows[0].seq, last=rows[-1].seq, count=len(seqs)) if rows else None
            return gone, _edge(db, "min", epoch)

        gone, left = await self._ask(delete)
        if gone is not None and left is None:
            # Of a run that is over nothing comes any more.
            over = epoch != max(self.epochs)
            left = (self.epochs[epoch].last if over else gone.last) + 1
        if left is not None:
            self._now_first(epoch, left)
        return gone

    def _now_first(self, epoch: int, seq: int) -> None:
        held = self.epochs[epoch]
        held.first = max(held.first, seq)
        if held.first > held.last and epoch != max(self.epochs):
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
        self._writer.put(Job(lambda db: db.execute(sql, values), None, urgent))

    async def _ask(
        self, work: Callable[[sqlite3.Connection], T], *, urgent: bool = False, writes: bool = True
    ) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        results: list[T] = []

        def answer() -> None:
            if not future.done():
                future.set_result(results[-1])

        self._writer.put(Job(lambda db: results.append(work(db)), answer, urgent, writes))
        return await future

    # -- opening ---------------------------------------------------------------------------

    def _open(self) -> None:
        directory = self.path.parent
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise StoreError(f"{directory}: cannot be made: {error.strerror}") from error
        try:
            self._load(self._file.open())
        except sqlite3.DatabaseError as error:
            self._file.close()
            if "locked" in str(error):
                raise StoreError(f"{self.path}: another agent is using it") from error
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"{self.path}: cannot be opened: {error}") from error
            self._put_aside(error)
            self._load(self._file.open())
        _suspect(self.path).unlink(missing_ok=True)

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        self.set_aside = self.path.with_name(f"damaged-{time.time_ns() // 1_000_000}.db")
        log.error("%s is damaged (%s); set aside as %s", self.path, error, self.set_aside.name)
        for ending in ("", "-wal", "-shm"):
            part = Path(f"{self.path}{ending}")
            if part.exists():
                part.rename(f"{self.set_aside}{ending}")
        damaged = sorted(self.path.parent.glob("damaged-*.db"))
        for old in damaged[:-SET_ASIDE_MAX]:
            for ending in ("", "-wal", "-shm"):
                Path(f"{old}{ending}").unlink(missing_ok=True)

    def _load(self, db: sqlite3.Connection) -> None:
        self.epochs, self.marks = {}, {}
        for number, name, boot in db.execute("SELECT id, name, boot FROM epoch").fetchall():
            # One question each: asked together they would make SQLite read every record.
            first, last = (_edge(db, end, number) for end in ("min", "max"))
            if last is not None:
                held = Epoch(id=number, name=name, boot=boot, first=first, last=last)
                self.epochs[number] = held
            else:
                db.execute("DELETE FROM epoch WHERE id = ?", (number,))
        db.execute("DELETE FROM mark WHERE epoch NOT IN (SELECT id FROM epoch)")
        for uplink, number, text in db.execute("SELECT uplink, epoch, settled FROM mark"):
            pairs = (pair.split("-") for pair in text.split(",") if pair)
            ranges = Ranges((int(first), int(last)) for first, last in pairs)
            self.marks.setdefault(uplink, {})[number] = ranges
        recent = db.execute(
            "SELECT id, ack FROM command ORDER BY at DESC LIMIT ?", (REMEMBERED_COMMANDS,)
        ).fetchall()
        self.commands = dict(reversed(recent))
        self.kept = dict(db.execute("SELECT name, value FROM kept"))


class _File:
    """The database and its WAL, as the writer thread works on them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._wal = -1

    def open(self) -> sqlite3.Connection:
        """sqlite3.DatabaseError where it is no database, or damaged as far as was looked."""
        large = self._path.exists() and self._path.stat().st_size > CHECKED_MB * 1_000_000
        # autocommit: transactions are begun and ended by `transaction` alone.
        db = self._db = sqlite3.connect(
            self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA mmap_size = 0")
        db.execute("PRAGMA wal_autocheckpoint = 1000")
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        if not large or _suspect(self._path).exists():
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(" ".join(verdict.split()))
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT, 0o640)
        return db

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._wal >= 0:
            os.close(self._wal)
            self._wal = -1

    def transaction(self, works: list[Callable[[Any], object]]) -> None:
        db = self._db
        assert db is not None
        try:
            db.execute("BEGIN IMMEDIATE")
            for work in works:
                work(db)
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if db.in_transaction:
                with contextlib.suppress(sqlite3.OperationalError):
                    db.execute("ROLLBACK")
            raise RefusedError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: failed: {error}") from error

    def read(self, work: Callable[[Any], object]) -> None:
        try:
            work(self._db)
        except sqlite3.OperationalError as error:
            raise RefusedError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: failed: {error}") from error

    def sync(self) -> None:
        try:
            os.fdatasync(self._wal)
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error


def _suspect(path: Path) -> Path:
    """A file beside it says that the database failed while it was in use."""
    return path.with_name(f"{path.name}-suspect")


def _select(
    db: sqlite3.Connection, epoch: int, klass: Class, first: int, last: int, limit: int,
    newest: bool = False,
) -> list[Row]:  # fmt: skip
    sql = _SELECT_READINGS if klass is Class.READINGS else _SELECT_RARE
    sql = sql.format("DESC" if newest else "ASC")
    return [
        Row(epoch=e, seq=s, klass=k, prev=p, t=t, clock=c, mono=m, body=b)
        for e, s, k, p, t, c, m, b in db.execute(sql, (epoch, klass.value, first, last, limit))
    ]


def _edge(db: sqlite3.Connection, end: str, epoch: int) -> Any:
    (seq,) = db.execute(f"SELECT {end}(seq) FROM record WHERE epoch = ?", (epoch,)).fetchone()
    return seq


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
