"""The journal: what has been taken survives `kill -9` before any commit, and nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.delivery.rows import Epoch
from agent.messages import Class
from agent.store import Store
from agent.store.journal import Journal
from tests.agent.test_store import fill, row
from tests.waiting import until

ROOT = Path(__file__).parents[2]
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from agent.messages import Class
from agent.store import Store
from tests.agent.test_store import row

def told(item):
    if item.seq == 40:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with Store.open(Path(sys.argv[1])) as store:
        epoch = store.begin_epoch("9-kk", "boot")
        for seq in range(1, 40):
            assert store.append(row(seq, epoch=epoch.id), urgent=False, done=told)
        last = row(40, Class.ACK, epoch=epoch.id)
        assert store.append(last, urgent=True, done=told, ack_of="c1")
        async with asyncio.timeout(60):
            await asyncio.Event().wait()

asyncio.run(main())
"""
"""Ends when it is told that 40 is safe: before the thread that writes has heard of any of them."""


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals of these tests are in a folder of their own."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr("agent.store.journal.MEMORY", folder)
    return folder


def entry(journal: Journal, seq: int, *, empty: bool = False) -> bool:
    return journal.take(Epoch(id=1, name="1-aa", boot="b"), row(seq), "", empty=empty)


def opened(database: Path, store: bytes = b"id") -> tuple[Journal, list[int]]:
    """A journal that takes entries, and the numbers that the one before it left."""
    journal = Journal(database)
    left = [found.row.seq for found in journal.open(store)]
    journal.begin()
    return journal, left


async def test_a_process_killed_before_its_first_commit_loses_nothing_that_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    folder = tmp_path / "state"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, folder, cwd=ROOT)
    assert await killed.wait() == -signal.SIGKILL
    async with Store.open(folder) as store:
        (epoch,) = store.epochs.values()
        assert (epoch.name, epoch.boot, epoch.first, epoch.last) == ("9-kk", "boot", 1, 40)
        rows = await store.read(epoch.id, [(1, 99)], [Class.READINGS], 99)
        assert rows == [row(seq, epoch=epoch.id) for seq in range(1, 40)]
        assert store.commands == {"c1": row(40).body}
        path = store._journal.path
        assert path.exists()
    assert not path.exists()


async def test_what_an_earlier_filling_left_behind_is_not_put_back(tmp_path: Path) -> None:
    journal, left = opened(tmp_path / "x.db")
    assert left == []
    assert all(entry(journal, seq) for seq in range(11, 15))
    # All of it is in the database: the next two lie over the first two, which are as long.
    assert entry(journal, 21, empty=True)
    assert entry(journal, 22)
    journal.close()
    journal, left = opened(tmp_path / "x.db")
    assert left == [21, 22]
    assert entry(journal, 31)
    journal.close()
    assert opened(tmp_path / "x.db")[1] == [31]


async def test_a_torn_entry_ends_it(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "x.db")
    assert entry(journal, 11)
    size = journal._at
    assert entry(journal, 12)
    with journal.path.open("r+b") as file:
        file.seek(size + 20)
        file.write(b"?")
    journal.close()
    assert opened(tmp_path / "x.db")[1] == [11]
    journal.path.write_bytes(b"\xff" * 100)
    assert opened(tmp_path / "x.db")[1] == []


async def test_another_database_gets_none_of_it(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "x.db", b"one")
    assert entry(journal, 11)
    journal.close()
    assert opened(tmp_path / "x.db", b"two")[1] == []


async def test_a_database_that_was_made_anew_gets_none_of_it(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "a") as store:
        epoch = store.begin_epoch("1-aa", "boot")
        await store.flush()
        assert store._journal.take(epoch, row(1), "", empty=True)
        content = store._journal.path.read_bytes()
    store._journal.path.write_bytes(content)
    for file in (tmp_path / "a").glob("outbox.db*"):
        file.unlink()
    async with Store.open(tmp_path / "a") as store:
        assert store.epochs == {}


@contextlib.asynccontextmanager
async def store_of(folder: Path) -> AsyncIterator[Store]:
    async with Store.open(folder) as store:
        store.begin_epoch("1-aa", "boot")
        await store.flush()
        yield store


async def test_without_such_memory_records_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.store.journal.MEMORY", tmp_path / "nowhere")
    done: list[int] = []
    async with store_of(tmp_path / "a") as store:
        assert not store.append(row(1), urgent=False, done=lambda item: done.append(item.seq))
        await until(lambda: done == [1], "it is committed")
    assert "No such file or directory; records wait for the disk instead" in caplog.text


async def test_a_folder_that_somebody_else_could_have_made_is_not_used(
    tmp_path: Path, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = memory / f"outpost-{os.geteuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    done: list[int] = []
    async with store_of(tmp_path / "a") as store:
        assert not store.append(row(1), urgent=False, done=lambda item: done.append(item.seq))
        await until(lambda: done == [1], "it is committed")
    assert f"{folder} is not a folder of this user alone; records wait" in caplog.text


async def test_none_is_safe_before_one_that_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    async with store_of(tmp_path / "a") as store:
        size = 3 * len(row(1).body) + 600
        monkeypatch.setattr("agent.store.journal.BYTES_MAX", size)
        safe = [
            store.append(row(seq), urgent=False, done=lambda item: done.append(item.seq))
            for seq in range(1, 30)
        ]
        full = safe.index(False)
        assert 1 <= full < 10
        assert not any(safe[full:])
        await until(lambda: done == list(range(1, 30)), "all are told, in order")
        # All is in the database: there is room again.
        await until(lambda: not store._writer.waiting, "all is committed")
        assert store.append(row(30), urgent=False, done=lambda item: done.append(item.seq))
    async with Store.open(tmp_path / "a") as store:
        assert store.epochs[1].last == 30


async def test_while_the_disk_refuses_nothing_is_taken(tmp_path: Path) -> None:
    done: list[int] = []
    async with store_of(tmp_path / "a") as store:
        await fill(store, [row(1)])
        store._writer.set_trouble("database or disk is full")
        assert not store.append(row(2), urgent=False, done=lambda item: done.append(item.seq))
        await until(lambda: done == [2] and not store.trouble, "the disk takes it again")
        assert store.append(row(3), urgent=False, done=lambda item: done.append(item.seq))
        await asyncio.sleep(0)
        assert done == [2, 3]


async def test_wherever_it_is_cut_what_is_whole_before_is_read(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "x.db")
    ends = []
    for seq in range(11, 14):
        assert entry(journal, seq)
        ends.append(journal._at)
    content = journal.path.read_bytes()
    journal.close()
    for cut in range(len(content)):
        journal.path.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        assert [found.row.seq for found in journal.open(b"id")] == [11, 12, 13][:whole]
