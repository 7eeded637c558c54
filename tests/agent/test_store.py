"""The store: what is committed stays, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.delivery.ranges import Ranges
from agent.delivery.rows import Row
from agent.delivery.writer import Job, RefusedError, Writer
from agent.messages import Class
from agent.outbox import Outbox
from agent.store import REMEMBERED_COMMANDS, SET_ASIDE_MAX, Store, StoreError, schema
from tests.agent.rig import Unit
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def row(seq: int, klass: Class = Class.READINGS, epoch: int = 1, t: int = 0) -> Row:
    return Row(
        epoch=epoch, seq=seq, klass=klass.value, prev=seq - 1, t=t or seq, clock="ntp", mono=seq,
        body=b'{"n":%d}' % seq,
    )  # fmt: skip


async def fill(store: Store, rows: list[Row]) -> None:
    held = store.epochs[rows[0].epoch]
    for item in rows:
        store.append(item, urgent=False, done=lambda done: setattr(held, "last", done.seq))
    await store.flush()


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.begin_epoch("1-aa", "boot")
        await fill(store, [row(1), row(2, Class.ALARMS), row(3)])
        store.save_mark("center", 1, Ranges([(1, 1), (3, 3)]))
        store.keep("alarms", b"[]")
        store.append(row(4, Class.ACK), urgent=True, done=lambda _: None, ack_of="c1")
    async with Store.open(tmp_path) as store:
        (epoch,) = store.epochs.values()
        assert (epoch.name, epoch.boot, epoch.first, epoch.last) == ("1-aa", "boot", 1, 4)
        assert store.marks == {"center": {1: Ranges([(1, 1), (3, 3)])}}
        assert store.kept == {"alarms": b"[]"}
        assert store.commands == {"c1": row(4).body}
        assert await store.read(1, [(1, 9)], [Class.ALARMS], 9) == [row(2, Class.ALARMS)]
        assert store.set_aside is None


async def test_rows_are_read_by_class_from_several_ranges(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.begin_epoch("1-aa", "")
        rare = {5: Class.ALARMS, 6: Class.EVENTS, 15: Class.ALARMS}
        rows = [row(seq, rare.get(seq, Class.READINGS)) for seq in range(1, 21)]
        await fill(store, rows)

        async def seqs(*classes: Class, limit: int = 100) -> list[int]:
            found = await store.read(1, [(2, 6), (10, 12), (15, 15)], classes, limit)
            return [item.seq for item in found]

        assert await seqs(Class.READINGS) == [2, 3, 4, 10, 11, 12]
        assert await seqs(Class.READINGS, limit=4) == [2, 3, 4, 10]
        assert await seqs(Class.ALARMS) == [5, 15]
        assert await seqs(Class.ACK, Class.EVENTS, Class.READINGS) == [6]
        assert await seqs(Class.ACK) == []


def _explain(db: Any, sql: str) -> list[Any]:
    rows: list[Any] = db.execute(f"EXPLAIN QUERY PLAN {sql}", (1, "alarms", 1, 9, 9)).fetchall()
    return rows


async def test_an_alarm_is_found_among_many_readings_without_looking_at_them(
    tmp_path: Path,
) -> None:
    async with Store.open(tmp_path) as store:
        for sql, index, order in (
            (schema.SELECT_RARE, "INDEX rare", "ASC"),
            (schema.SELECT_RARE, "INDEX rare", "DESC"),
            (schema.SELECT_READINGS, "PRIMARY KEY", "ASC"),
            (schema.SELECT_READINGS, "PRIMARY KEY", "DESC"),
        ):
            question = partial(_explain, sql=sql.format(order))
            plan = await store._ask(question, writes=False)
            assert len(plan) == 1
            assert f"SEARCH record USING {index} (epoch=?" in str(plan[0])


async def test_an_epoch_without_records_leaves_no_trace(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.begin_epoch("1-aa", "")
        store.save_mark("center", 1, Ranges())
    async with Store.open(tmp_path) as store:
        assert store.epochs == {}
        assert store.marks == {}


async def test_only_the_last_commands_are_remembered(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.begin_epoch("1-aa", "")
        for seq in range(1, REMEMBERED_COMMANDS + 11):
            store.append(row(seq, Class.ACK), urgent=True, done=lambda _: None, ack_of=f"c{seq}")
        assert len(store.commands) == REMEMBERED_COMMANDS
    async with Store.open(tmp_path) as store:
        assert len(store.commands) == REMEMBERED_COMMANDS
        assert next(iter(store.commands)) == "c11"


async def test_a_second_agent_is_told_so(tmp_path: Path) -> None:
    async with Store.open(tmp_path):
        with pytest.raises(StoreError, match=r"outbox\.db: another agent is using it"):
            async with Store.open(tmp_path):
                pass


# -- kill -9 -------------------------------------------------------------------------------------


async def kill_one(folder: Path, least: int) -> tuple[str, int]:
    """Let a process write until it has said that `least` records are committed; kill -9."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.agent.outbox_child", str(folder), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    epoch, last = "", 0
    while last < least:
        line = (await process.stdout.readline()).decode()
        assert line, "the child ended by itself"
        word, _, name = line.strip().partition(" ")
        epoch, last = (name, last) if word == "epoch" else (epoch, int(word))
    process.kill()
    rest = (await process.stdout.read()).decode().split("\n")
    await process.wait()
    # What it wrote before it died counts too; the last line may be cut.
    return epoch, max([last, *(int(line) for line in rest[:-1])])


async def test_kill_9_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    said = [await kill_one(tmp_path, least) for least in (1, 40, 150)]
    async with Store.open(tmp_path) as store:
        assert store.set_aside is None
        kept = {epoch.name: epoch for epoch in store.epochs.values()}
        assert list(kept) == [name for name, _ in said]
        for name, last in said:
            assert kept[name].last >= last
            rows = await store.read(kept[name].id, [(1, last)], [Class.READINGS], last)
            assert [item.seq for item in rows] == list(range(1, last + 1))
        # A new run's numbers are new ones.
        assert Unit(store).outbox.epoch.name not in kept


# -- a disk that refuses -------------------------------------------------------------------------


def test_a_full_disk_is_borne_and_made_up_for(tmp_path: Path) -> None:
    """A real limit on the size of files, below what SQLite needs; then it is lifted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.agent.outbox_child", str(tmp_path), "200000"], cwd=ROOT,
        capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip
    trouble, counts, reads, well = done.stdout.splitlines()
    assert re.fullmatch(r"trouble (disk I/O error|database or disk is full)", trouble)
    numbers = re.fullmatch(r"made (\d+), told of (\d+), committed (\d+)", counts)
    assert numbers is not None
    made, told, committed = map(int, numbers.groups())
    assert told == made > committed > 1
    assert reads == "read [1], flushed False"
    # The event which says that all is well again comes on top.
    assert well in (f"well again, committed {made}", f"well again, committed {made + 1}")


class FickleFile:
    """A file whose disk refuses while `refuses` says so."""

    def __init__(self) -> None:
        self.refuses = ""
        self.breaks = ""
        self.done: list[str] = []

    def transaction(self, works: list[Callable[[list[str]], object]]) -> None:
        if self.breaks:
            raise StoreError(self.breaks)
        if self.refuses:
            raise RefusedError(self.refuses)
        for work in works:
            work(self.done)

    def statement(self, work: Callable[[list[str]], object]) -> None:
        self.transaction([work])

    def read(self, work: Callable[[list[str]], object]) -> None:
        work(self.done)

    def sync(self) -> None:
        self.done.append("sync")


async def test_while_the_disk_refuses_reads_are_served_and_order_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.delivery.writer.RETRY_S", 0.01)
    file, seen, failures = FickleFile(), list[str](), list[OSError]()
    troubles: list[str] = []
    writer = Writer(file, "disk", failures.append, troubles.append)
    writer.start()
    file.refuses = "database or disk is full"
    writer.put(Job(lambda done: done.append("first"), lambda: seen.append("first")))
    await until(lambda: bool(writer.trouble), "the trouble is seen")
    assert writer.trouble == "database or disk is full"
    writer.put(Job(lambda done: None, lambda: seen.append("read"), writes=False))
    await until(lambda: "read" in seen, "the read is answered")
    assert seen == ["read"]
    assert writer.waiting == 1
    writer.put(Job(lambda done: done.append("second"), lambda: seen.append("second"), urgent=True))
    file.refuses = ""
    await until(lambda: seen == ["read", "first", "second"], "both are written")
    assert writer.trouble == ""
    assert writer.waiting == 0
    assert await writer.close()
    assert file.done == ["first", "second", "sync"]
    await until(lambda: bool(failures), "its end is told")
    assert troubles == ["database or disk is full", ""]


async def test_what_cannot_be_written_at_the_end_is_said(caplog: pytest.LogCaptureFixture) -> None:
    file = FickleFile()
    file.refuses = "database or disk is full"
    writer = Writer(file, "disk", lambda _: None)
    writer.start()
    for _ in range(3):
        writer.put(Job(lambda done: None))
    assert await writer.close()
    assert "disk: 3 writes were lost at the end: database or disk is full" in caplog.text


async def test_a_file_that_breaks_ends_the_writer_loudly() -> None:
    file, failures = FickleFile(), list[OSError]()
    file.breaks = "database disk image is malformed"
    writer = Writer(file, "disk", failures.append)
    writer.start()
    writer.put(Job(lambda done: None))
    await until(lambda: bool(failures), "the failure is told")
    assert str(failures[0]) == "database disk image is malformed"


async def test_memory_is_bounded_while_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.store.store.WAITING_MAX", 10)
    monkeypatch.setattr("agent.store.store.WAITING_MAX_URGENT", 12)
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        await store.flush()
        heard: list[int] = []
        unit.outbox.listeners.append(lambda item: heard.append(item.seq))
        unit.read(20)
        unit.alarms([])
        assert store.not_kept == 10
        # What is not kept is sent all the same.
        await until(lambda: len(set(heard)) == 20, "all are handed to the uplinks")
        assert await store.flush()
        assert unit.outbox.epoch.last == 10


# -- a damaged file ------------------------------------------------------------------------------


async def make(folder: Path, count: int) -> None:
    async with Store.open(folder) as store:
        store.begin_epoch("1-aa", "")
        await fill(store, [row(seq) for seq in range(1, count + 1)])


@pytest.mark.parametrize("offset", [0, 4096 * 3], ids=["its head", "the middle"])
async def test_a_damaged_file_is_set_aside(
    tmp_path: Path, offset: int, caplog: pytest.LogCaptureFixture
) -> None:
    await make(tmp_path, 2000)
    path = tmp_path / "outbox.db"
    damaged = bytearray(path.read_bytes())
    damaged[offset : offset + 4096] = b"\xa5" * 4096
    path.write_bytes(damaged)
    async with Store.open(tmp_path) as store:
        assert store.epochs == {}
        assert store.set_aside is not None
        kept = store.set_aside.read_bytes()
        assert kept[offset : offset + 4096] == damaged[offset : offset + 4096]
        assert len(kept) == len(damaged)
        assert re.search(r"outbox\.db is damaged \(.+\); set aside as damaged-\d+\.db", caplog.text)
        store.begin_epoch("2-bb", "")
        await fill(store, [row(1)])
    async with Store.open(tmp_path) as store:
        assert [epoch.name for epoch in store.epochs.values()] == ["2-bb"]


async def test_damage_seen_while_it_runs_ends_the_agent_and_is_looked_into_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.store.file.CHECKED_MB", 0)
    await make(tmp_path, 5000)
    path = tmp_path / "outbox.db"
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 4096 // 2 * 4096
    damaged[middle : middle + 64] = b"\xa5" * 64
    path.write_bytes(damaged)
    # Large and not suspected: it is not looked at as a whole, so that the start is quick.
    async with Store.open(tmp_path) as store:
        assert store.set_aside is None
        asking = asyncio.ensure_future(store.read(1, [(1, 5000)], [Class.READINGS], 5000))
        await until(store.failed.done, "the damage is told")
        asking.cancel()
        assert re.search(r"outbox\.db: failed: database disk image", str(store.failed.exception()))
    assert (tmp_path / "outbox.db-suspect").exists()
    async with Store.open(tmp_path) as store:
        assert store.set_aside is not None
    assert not (tmp_path / "outbox.db-suspect").exists()


async def test_damaged_files_do_not_fill_the_disk(tmp_path: Path) -> None:
    for _ in range(4):
        (tmp_path / "outbox.db").write_bytes(b"no database" * 1000)
        async with Store.open(tmp_path):
            pass
    kept = [name for name in os.listdir(tmp_path) if name.endswith(".db")]
    assert len(kept) - 1 == SET_ASIDE_MAX


async def test_deleted_pages_go_back_to_the_disk(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.begin_epoch("1-aa", "")
        await fill(store, [row(seq) for seq in range(1, 20_001)])
        before = await store.usage()
        await store.delete_before(1, 20_001)
        freed = await store.usage()
        assert freed.file_bytes == before.file_bytes
        assert freed.used_bytes < before.used_bytes / 4
        while (await store.usage()).free:
            await store.shrink()
        assert (await store.usage()).file_bytes == freed.used_bytes
    assert (tmp_path / "outbox.db").stat().st_size <= freed.used_bytes


async def test_the_outbox_counts_from_one_in_a_new_epoch(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        outbox: Outbox = Unit(store).outbox
        assert outbox.made == 0
        assert outbox.epoch.id == 1
