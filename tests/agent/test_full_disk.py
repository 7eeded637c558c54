"""An agent that starts on a disk that takes nothing: alarms and live sending go on all the same."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.messages import Class
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import AgentProcess
from tests.agent.rig import Center, center
from tests.agent.test_run import active, gas, state, uplink, values
from tests.mosquitto import Mosquitto
from tests.waiting import until

SIZE_MB = 2
FILLER = "filler"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "outpost-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not made or made.returncode:
        pytest.skip(f"a file system cannot be mounted here: {made.stderr if made else 'no mount'}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / FILLER).open("wb", buffering=0) as file:
        for size in (65536, 1):
            while True:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    break


class Cell:
    """A chlorine cell that plays on a pty."""

    def __init__(self, line: Line) -> None:
        self.twin = winsen.Twin(line, gas="cl2", period_s=0.1)
        self.twin.set(cl2=0.1)
        self.tables = gas(line.link)


@contextlib.asynccontextmanager
async def run(unit: AgentProcess) -> AsyncIterator[None]:
    """Started, and killed at the end where the test has not ended it."""
    unit.start()
    try:
        yield
    finally:
        if (process := unit.process) is not None:
            process.kill()
            await asyncio.to_thread(process.wait)
    assert "Traceback" not in unit.said, unit.said


def stands(heard: Center, code: str) -> bool:
    return any(name.endswith(code) for name in active(heard))


async def lives_without_its_disk(unit: AgentProcess, heard: Center, twin: Any) -> None:
    """Readings arrive with numbers, a gas alarm is raised, the disk itself is an alarm."""
    await until(lambda: len(values(heard, "cl2")) > 5, "readings arrive", 20)
    twin.set(cl2=3.0)
    await until(lambda: stands(heard, "high"), "the gas alarm stands", 20)
    await until(lambda: stands(heard, "disk"), "the disk is an alarm", 20)
    assert unit.process is not None
    assert unit.process.poll() is None


async def takes_its_disk_up(unit: AgentProcess, heard: Center) -> None:
    """The alarm ends, and what waited in memory is on disk: asked for again, it comes."""
    await until(lambda: not stands(heard, "disk"), "the disk alarm has ended", 30)
    await until((unit.store / "control.sock").exists, "the control socket is there", 20)
    first = min(heard.of(Class.READINGS), key=lambda record: record.seq)
    status = await unit.status()
    assert status["made"][first.epoch] >= first.seq
    assert await unit.stop() == 0
    assert state(heard, "status") == "stopped"
    assert not heard.retained["status"].get("pending")


@pytest.mark.parametrize("trouble", ["full", "read-only", "full of an earlier run"])
async def test_an_agent_starts_on_a_disk_that_takes_nothing(
    tmp_path: Path, disk: Path, mosquitto: Mosquitto, trouble: str
) -> None:
    async with Line(tmp_path / "gas-line") as line, center(mosquitto.port) as heard:
        cell = Cell(line)
        playing = asyncio.create_task(cell.twin.run())
        tables = cell.tables + uplink(mosquitto.port)
        unit = AgentProcess(tmp_path / "unit", tables)
        unit.store = disk / "state"
        unit.write(tables)
        if trouble == "full of an earlier run":
            async with run(unit):
                await until(lambda: len(values(heard, "cl2")) > 5, "readings arrive", 20)
                assert await unit.stop() == 0
            heard.records.clear()
        if trouble == "read-only":
            remount(disk, "ro")
        else:
            fill(disk)
        async with run(unit):
            await lives_without_its_disk(unit, heard, cell.twin)
            if trouble == "read-only":
                remount(disk, "rw")
            else:
                (disk / FILLER).unlink()
            await takes_its_disk_up(unit, heard)
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
