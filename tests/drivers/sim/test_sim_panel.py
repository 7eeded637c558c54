"""drivers/sim/panel.py over a real pty: presses out, edges in."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from drivers.sim.line import Line
from drivers.sim.panel import Twin
from tests.drivers.sim.client import client, receive
from tests.waiting import until


async def test_a_press_is_two_edges_and_lasts(tmp_path: Path) -> None:
    async with Line(tmp_path / "panel") as line:
        twin = Twin(line)
        with client(line.link) as fd:
            began = time.monotonic()
            await twin.press(17, hold_s=0.05)
            assert time.monotonic() - began >= 0.05
            assert await receive(fd, 10) == b"17=0\n17=1\n"


async def test_a_cancelled_press_lets_go(tmp_path: Path) -> None:
    async with Line(tmp_path / "panel") as line:
        with client(line.link) as fd:
            pressing = asyncio.create_task(Twin(line).press(27, hold_s=60))
            assert await receive(fd, 5) == b"27=0\n"
            pressing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pressing
            assert await receive(fd, 5) == b"27=1\n"


async def test_edges_of_outputs_are_recorded(tmp_path: Path) -> None:
    async with Line(tmp_path / "panel") as line:
        twin = Twin(line)
        running = asyncio.create_task(twin.run())
        with client(line.link) as fd:
            os.write(fd, b"22=1\n23")
            await twin.wait_for(22, 1)
            os.write(fd, b"=1\r\n22=0\n")
            await twin.wait_for(22, 0)
        running.cancel()
    assert [(edge.pin, edge.level) for edge in twin.edges] == [(22, 1), (23, 1), (22, 0)]
    times = [edge.at for edge in twin.edges]
    assert times == sorted(times)
    assert twin.levels == {22: 0, 23: 1}
    assert twin.bad_lines == 0


async def test_bad_lines_are_counted_and_a_long_one_is_not_kept(tmp_path: Path) -> None:
    async with Line(tmp_path / "panel") as line:
        twin = Twin(line)
        running = asyncio.create_task(twin.run())
        with client(line.link) as fd:
            os.write(fd, b"lamp=1\n22=2\n99=1\n\n" + b"9" * 40 + b"=1\n")
            await until(lambda: twin.bad_lines == 5, "five lines are refused")
            os.write(fd, b"8" * 500)
            await until(lambda: twin.bad_lines == 6, "the endless line is refused")
            os.write(fd, b"\n22=1\n")
            await twin.wait_for(22, 1)
        running.cancel()
    assert len(twin.edges) == 1


async def test_impossible_presses_are_refused(tmp_path: Path) -> None:
    twin = Twin(Line(tmp_path / "panel"))
    with pytest.raises(ValueError, match="pin is 99, expected 0 to 53"):
        await twin.press(99)
    with pytest.raises(ValueError, match="hold_s is nan, expected 0 to 3600"):
        await twin.press(17, float("nan"))
