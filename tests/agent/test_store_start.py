"""The work at a start does not grow with what is held: SQLite's steps are counted, no time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.store import file, schema

FEW, MANY = 50, 20_000


def _filled(path: Path, count: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(schema.SCHEMA)
    db.execute("INSERT INTO epoch VALUES (1, '1000-ab', 'boot')")
    db.execute("INSERT INTO mark VALUES ('center', 1, '1-7')")
    row = ("readings", 0, 0, "ntp", 0, b"{}")
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO record VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        [(seq, *row) for seq in range(1, count + 1)],
    )
    db.execute("COMMIT")
    return db


def _steps(db: sqlite3.Connection, work: str) -> int:
    """Of SQLite's virtual machine."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(step, 1)
    if work == "load":
        assert file._contents(db).epochs[1].first == 1
    else:
        assert db.execute(schema.SELECT_FIRST_FROM, (1, 8)).fetchone()[0] == 8
    db.set_progress_handler(None, 1)
    return steps


@pytest.mark.parametrize("work", ["load", "first_from"])
def test_a_start_reads_as_much_of_many_records_as_of_few(tmp_path: Path, work: str) -> None:
    few, many = _filled(tmp_path / "few.db", FEW), _filled(tmp_path / "many.db", MANY)
    assert _steps(many, work) == _steps(few, work)
    few.close()
    many.close()
