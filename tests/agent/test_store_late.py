"""A store that cannot be opened at the start: all goes on without it, and it is taken up later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.delivery.ranges import Ranges
from agent.messages import Class
from agent.store import Store
from tests.agent.test_store import fill, row
from tests.waiting import until

ROOT = Path(__file__).parents[2]


async def test_a_store_that_cannot_be_opened_yet_is_taken_up_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.store.file.REOPEN_S", 0.0)
    folder = tmp_path / "state"
    async with Store.open(folder) as store:
        store.begin_epoch("1-aa", "boot")
        await fill(store, [row(seq) for seq in range(1, 4)])
        store.save_mark("center", 1, Ranges([(1, 2)]))
        store.append(row(4, Class.ACK), urgent=True, done=lambda _: None, ack_of="c1")
        store.keep("alarms", b"[1]")
        store.keep("exposure", b"old")
    folder.rename(tmp_path / "disk")
    folder.write_text("no folder")
    async with Store.open(folder) as store:
        assert store.trouble == "cannot be opened: File exists"
        told: list[dict[str, bytes]] = []
        store.on_late.append(told.append)
        epoch = store.begin_epoch("2-bb", "boot")
        done: list[int] = []
        for seq in range(1, 4):
            store.append(
                row(seq, epoch=epoch.id), urgent=False, done=lambda item: done.append(item.seq)
            )  # fmt: skip
        for value in (b"first", b"second", b"last"):
            store.keep("exposure", value)
        assert not await store.flush()
        assert done == []
        folder.unlink()
        (tmp_path / "disk").rename(folder)
        await until(lambda: len(done) == 3, "what waited is committed")
        assert store.trouble == ""
        assert [kept["alarms"] for kept in told] == [b"[1]"]
        assert next((e.name, e.first, e.last) for e in store.epochs.values()) == ("1-aa", 1, 4)
        assert list(store.epochs) == [1, epoch.id]
        assert list(store.marks["center"][1]) == [(1, 2)]
        assert list(store.commands) == ["c1"]
        assert store.kept["exposure"] == b"last"
    async with Store.open(folder) as store:
        assert [e.name for e in store.epochs.values()] == ["1-aa", "2-bb"]
        assert store.kept == {"alarms": b"[1]", "exposure": b"last"}


async def test_a_store_with_a_later_run_is_left_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.store.file.REOPEN_S", 0.0)
    folder = tmp_path / "state"
    folder.write_text("no folder")
    async with Store.open(folder) as store:
        folder.unlink()
        first = store.begin_epoch("1-aa", "")
        store.append(row(1, epoch=first.id), urgent=False, done=lambda _: None)
        await until(lambda: not store.trouble, "it is open")
    folder.rename(tmp_path / "disk")
    folder.write_text("no folder")
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    async with Store.open(folder) as store:
        store.begin_epoch("2-bb", "")
        folder.unlink()
        (tmp_path / "disk").rename(folder)
        await until(lambda: "a run that is later by the clock" in store.trouble, "it is left alone")
    async with Store.open(folder) as store:
        assert list(store.epochs) == [first.id]


async def test_of_what_is_kept_only_the_last_waits(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    async with Store.open(tmp_path / "state") as store:
        for count in range(1000):
            store.keep("exposure", b"%d" % count)
            store.save_mark("center", 1, Ranges([(1, count + 1)]))
        assert store._writer.waiting == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o555)
    # Root may write anywhere, so root becomes nobody; the folders above must let nobody in.
    code = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from agent.store import Store
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
async def main():
    async with Store.open(Path(".")) as store:
        print(store.trouble)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.stdout == "cannot be opened: unable to open database file\n", done.stderr
