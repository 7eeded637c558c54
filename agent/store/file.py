"""The database and its WAL, as the writer thread works on them.

A file that cannot be opened now (full, read-only or missing disk) is tried again later, with the
first transaction that goes.  A damaged one is set aside.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.delivery.ranges import Ranges
from agent.delivery.rows import Epoch
from agent.delivery.writer import RefusedError
from agent.store import schema
from agent.store.journal import Journal

log = logging.getLogger(__name__)

BUSY_S = 1.0
REOPEN_S = 2.0
"""A file that could not be opened is tried again so often."""
CHECKED_MB = 16
"""A file up to this size is checked at each start (some ms); a larger one where it is suspect."""
SET_ASIDE_MAX = 2
"""So many damaged files are kept."""
REMEMBERED_COMMANDS = 2000
WAL_LIMIT = 16 * 1024 * 1024


class StoreError(OSError):
    """The store cannot be used, or is damaged; its text says which file and why."""


class Contents(msgspec.Struct, kw_only=True):
    """What a file held when it was opened."""

    epochs: dict[int, Epoch]
    marks: dict[str, dict[int, Ranges]]
    commands: dict[str, bytes]
    kept: dict[str, bytes]


class File:
    """`open` at the start; all else is called on the writer thread."""

    def __init__(self, path: Path, journal: Journal, on_late: Callable[[Contents], None]) -> None:
        """`on_late` is called where the file is opened only later, before anything is written."""
        self.set_aside: Path | None = None
        """Where a damaged file was put."""
        self.only_below = 0
        """While it is not open: the id that this run has given its epoch without it."""
        self._path = path
        self._journal = journal
        self._on_late = on_late
        self._db: sqlite3.Connection | None = None
        self._wal = -1
        self._retry_at = 0.0
        self._refusal = "not open"

    def open(self) -> Contents:
        """RefusedError: it cannot be opened now.  StoreError: another agent has it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            try:
                contents = self._load(self._connect())
            except sqlite3.DatabaseError as error:
                self.close()
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._put_aside(error)
                contents = self._load(self._connect())
        except (sqlite3.OperationalError, OSError) as error:
            self.close()
            if "locked" in str(error):
                raise StoreError(f"{self._path}: another agent is using it") from error
            self._refuse(_why(error))
            raise RefusedError(self._refusal) from error
        with contextlib.suppress(OSError):
            suspect(self._path).unlink(missing_ok=True)
        return contents

    def _refuse(self, why: str) -> None:
        self._refusal = f"cannot be opened: {why}"
        self._retry_at = time.monotonic() + REOPEN_S

    def _opened(self) -> sqlite3.Connection:
        """The connection; it is made now, where that was not possible before."""
        if self._db is not None:
            return self._db
        if time.monotonic() >= self._retry_at:
            try:
                contents = self.open()
            except StoreError as error:
                self._refuse(str(error))
            else:
                if max(contents.epochs, default=0) < self.only_below:
                    self._on_late(contents)
                    assert self._db is not None
                    return self._db
                self.close()
                self._refuse("it holds a run that is later by the clock; the next start takes it")
        raise RefusedError(self._refusal)

    def _connect(self) -> sqlite3.Connection:
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
        db.executescript(f"BEGIN IMMEDIATE; {schema.SCHEMA} COMMIT;")
        if not large or suspect(self._path).exists():
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(" ".join(verdict.split()))
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT, 0o640)
        return db

    def _load(self, db: sqlite3.Connection) -> Contents:
        """With what a process that was killed had in its journal."""
        left = self._journal.open(store) if (store := schema.identity(db)) else []
        if left:
            db.execute("BEGIN IMMEDIATE")
            for entry in left:
                schema.put_back(db, entry)
            db.execute("COMMIT")
            log.info("%s: %d records were in the journal", self._path, len(left))
        contents = _contents(db)
        self._journal.begin()
        return contents

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self._path.with_name(f"damaged-{time.time_ns() // 1_000_000}.db")
        for ending in ("", "-wal", "-shm"):
            part = Path(f"{self._path}{ending}")
            if part.exists():
                part.rename(f"{aside}{ending}")
        self.set_aside = aside
        log.error("%s is damaged (%s); set aside as %s", self._path, error, aside.name)
        damaged = sorted(self._path.parent.glob("damaged-*.db"))
        for old in damaged[:-SET_ASIDE_MAX]:
            for ending in ("", "-wal", "-shm"):
                Path(f"{old}{ending}").unlink(missing_ok=True)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._wal >= 0:
            os.close(self._wal)
            self._wal = -1

    def transaction(self, works: list[Callable[[Any], object]]) -> None:
        db = self._opened()
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

    def statement(self, work: Callable[[Any], object]) -> None:
        # Nothing is open around it: it is committed, or undone, when it returns.
        self.read(work)

    def read(self, work: Callable[[Any], object]) -> None:
        db = self._opened()
        try:
            work(db)
        except sqlite3.OperationalError as error:
            raise RefusedError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: failed: {error}") from error

    def sync(self) -> None:
        try:
            os.fdatasync(self._wal)
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error


def suspect(path: Path) -> Path:
    """A file beside it says that the database failed while it was in use."""
    return path.with_name(f"{path.name}-suspect")


def _why(error: sqlite3.OperationalError | OSError) -> str:
    return f"{error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)


def _contents(db: sqlite3.Connection) -> Contents:
    epochs: dict[int, Epoch] = {}
    empty: list[int] = []
    for number, name, boot in db.execute("SELECT id, name, boot FROM epoch").fetchall():
        # One question each: asked together they would make SQLite read every record.
        first, last = (schema.edge(db, end, number) for end in ("min", "max"))
        if last is None:
            empty.append(number)
        else:
            epochs[number] = Epoch(id=number, name=name, boot=boot, first=first, last=last)
    # A full disk does not take this; then they are passed over at the next start, too.
    with contextlib.suppress(sqlite3.OperationalError):
        db.executemany("DELETE FROM epoch WHERE id = ?", [(number,) for number in empty])
        db.execute("DELETE FROM mark WHERE epoch NOT IN (SELECT id FROM epoch)")
    marks: dict[str, dict[int, Ranges]] = {}
    for uplink, number, text in db.execute("SELECT uplink, epoch, settled FROM mark"):
        pairs = (pair.split("-") for pair in text.split(",") if pair)
        ranges = Ranges((int(first), int(last)) for first, last in pairs)
        if number in epochs:
            marks.setdefault(uplink, {})[number] = ranges
    recent = db.execute(
        "SELECT id, ack FROM command ORDER BY at DESC LIMIT ?", (REMEMBERED_COMMANDS,)
    ).fetchall()
    kept = dict(db.execute("SELECT name, value FROM kept WHERE name <> ?", (schema.IDENTITY,)))
    return Contents(epochs=epochs, marks=marks, commands=dict(reversed(recent)), kept=kept)
