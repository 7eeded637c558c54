"""All tables, and how rows are found in them."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

from agent.delivery.rows import Row
from agent.messages import Class
from agent.store.journal import Entry

IDENTITY = "store_id"
"""The name under which a database keeps what tells it from every other one."""

SCHEMA = """
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
SELECT_READINGS = _SELECT.format("", "")
# By the index `rare` an alarm is found among a million readings; the literal is what it asks for.
SELECT_RARE = _SELECT.format(" INDEXED BY rare", " AND class <> 'readings'")

SELECT_HEADS = (
    "SELECT seq, class, prev, t, clock, mono FROM record WHERE epoch = ? ORDER BY seq LIMIT ?"
)
SELECT_FIRST_FROM = (
    "SELECT seq, class, prev, t, clock, mono FROM record WHERE epoch = ? AND seq >= ? "
    "ORDER BY seq LIMIT 1"
)
SELECT_NUMBERS = (
    "SELECT seq FROM record WHERE epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
)


def select(
    db: sqlite3.Connection, epoch: int, klass: Class, first: int, last: int, limit: int,
    newest: bool = False,
) -> list[Row]:  # fmt: skip
    """Rows of a class within first..last, the oldest or the newest of them."""
    sql = SELECT_READINGS if klass is Class.READINGS else SELECT_RARE
    sql = sql.format("DESC" if newest else "ASC")
    return [
        Row(epoch=e, seq=s, klass=k, prev=p, t=t, clock=c, mono=m, body=b)
        for e, s, k, p, t, c, m, b in db.execute(sql, (epoch, klass.value, first, last, limit))
    ]


def insert(db: sqlite3.Connection, row: Row) -> None:
    """Write a record."""
    db.execute(
        "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (row.epoch, row.seq, row.klass, row.prev, row.t, row.clock, row.mono, row.body),
    )


def insert_answer(db: sqlite3.Connection, ack_of: str, row: Row) -> None:
    """Remember the outcome of a command."""
    db.execute("INSERT OR REPLACE INTO command VALUES (?, ?, ?)", (ack_of, row.t, row.body))


def identity(db: sqlite3.Connection) -> bytes:
    """What tells this database from every other one; empty where a full disk does not take it."""
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("INSERT OR IGNORE INTO kept VALUES (?, randomblob(8))", (IDENTITY,))
    found = db.execute("SELECT value FROM kept WHERE name = ?", (IDENTITY,)).fetchone()
    return b"" if found is None else bytes(found[0])


def put_back(db: sqlite3.Connection, entry: Entry) -> None:
    """Write what a journal held; its epoch may have been on its way, too."""
    row = entry.row
    db.execute("INSERT OR IGNORE INTO epoch VALUES (?, ?, ?)", (row.epoch, entry.epoch, entry.boot))
    insert(db, row)
    if entry.ack_of:
        insert_answer(db, entry.ack_of, row)


def edge(db: sqlite3.Connection, end: str, epoch: int) -> Any:
    """The `min` or `max` number that is held of an epoch; None: none is."""
    (seq,) = db.execute(f"SELECT {end}(seq) FROM record WHERE epoch = ?", (epoch,)).fetchone()
    return seq


def pragma(db: sqlite3.Connection, name: str) -> int:
    """A number that SQLite knows of the file."""
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
