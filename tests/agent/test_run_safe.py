"""An agent that dies or stands still while alarms stand: what its panel shows, by the edges that a
mock panel has written to a file (CLOCK_MONOTONIC)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent import control
from drivers.lights import STALLED_S
from drivers.patterns import HEARTBEAT
from drivers.sim import winsen
from drivers.sim.line import Fault, Line
from tests.agent.supervised import Edge, Supervised, edges, supervised
from tests.waiting import until

LAMP, BUZZER, HEART = 22, 23, 24
HIGH = "gas/cl2/high"
PAUSE_S = sum(seconds for _, seconds in HEARTBEAT)
ANNOUNCED_S = 1.0
"""After its start, by the issue."""
ROUNDS = 5
"""On a busy machine the best of some rounds says what the program needs."""


class Bench:
    """A unit with a chlorine cell and a panel that records."""

    def __init__(self, folder: Path, cell: winsen.Twin, line: Line) -> None:
        self.cell = cell
        self.line = line
        self.folder = folder
        self.config = folder / "agent.toml"
        self.record = folder / "edges"
        self.config.write_text(
            '[unit]\nid = "ex-rs-01"\norg = "hubei"\nprofile = "soldier"\nmark = "exercise"\n'
            f'[store]\ndir = "{folder / "state"}"\n[media]\nenabled = false\n'
            f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{line.link}"\ngas = "cl2"\n'
            f'[panel]\nfactory = "mock"\nrecord = "{self.record}"\nlamp_pin = {LAMP}\n'
            f"buzzer_pin = {BUZZER}\nheartbeat_pin = {HEART}\n",
            encoding="utf-8",
        )

    async def status(self) -> dict[str, Any]:
        with contextlib.suppress(OSError):
            return await control.ask(self.folder / "state", "status")
        return {}

    async def standing(self) -> dict[str, str]:
        status = await self.status()
        return {alarm["alarm"]: alarm["state"] for alarm in status.get("alarms", [])}

    async def sounds(self, since_s: float) -> None:
        await until(lambda: bool(self.since(since_s, BUZZER)), "it sounds", 30)

    def since(self, at_s: float, pin: int) -> list[Edge]:
        return [edge for edge in edges(self.record) if edge.at_s >= at_s and edge.pin == pin]

    async def stands(self, name: str, unit: Supervised) -> None:
        async def told() -> bool:
            return name in await self.standing()

        while not await told():
            assert unit.process is not None
            await asyncio.sleep(0.05)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Line(tmp_path / "cell") as line:
        cell = winsen.Twin(line, gas="cl2", period_s=0.1)
        cell.set(cl2=0.0)
        playing = asyncio.create_task(cell.run())
        yield Bench(tmp_path, cell, line)
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def test_kill_9_while_an_alarm_stands_is_announced_again_at_the_start(bench: Bench) -> None:
    async with supervised(bench.config) as unit, asyncio.timeout(120):
        await until(lambda: unit.ready == 1, "it runs", 30)
        bench.cell.set(cl2=1.5)
        await bench.stands(HIGH, unit)
        # What stood must be announced by what is on disk, not by a new sample.
        bench.line.inject(Fault.SILENCE)
        before = await bench.standing()
        took: list[float] = []
        for number in range(1, ROUNDS + 1):
            await unit.is_ready(number)
            assert (await bench.standing()).get(HIGH) == before[HIGH]
            unit.send(signal.SIGKILL)
            started = await unit.is_started(number + 1)
            await bench.sounds(started)
            lamp, buzzer = bench.since(started, LAMP)[0], bench.since(started, BUZZER)[0]
            assert (lamp.level, buzzer.level) == (1, 1)
            took.append(buzzer.at_s - started)
    assert min(took) < ANNOUNCED_S, took


async def test_a_wedged_loop_shows_a_fault_is_ended_and_starts_again(bench: Bench) -> None:
    watchdog_s = 2 * STALLED_S
    async with supervised(bench.config, watchdog_s) as unit, asyncio.timeout(120):
        await until(lambda: bool(bench.since(0.0, HEART)), "the heart beats", 30)
        await until(lambda: unit.fed > 0, "the watchdog is fed", 30)
        unit.send(signal.SIGUSR2)
        await until(lambda: len(unit.ends) == 1, "the watchdog ends it", 60)
        ended, status = unit.ends[0]
        assert status == -signal.SIGABRT
        # Nobody heard it, but the panel did not look calm: lit for good, and no heartbeat.
        lamp = [edge for edge in edges(bench.record) if edge.pin == LAMP and edge.at_s < ended]
        heart = [edge for edge in edges(bench.record) if edge.pin == HEART and edge.at_s < ended]
        assert lamp[-1].level == 1
        assert heart[-1].level == 0
        assert ended - heart[-1].at_s > STALLED_S / 2
        chirps = [edge for edge in bench.since(lamp[-1].at_s, BUZZER) if edge.at_s < ended]
        assert chirps
        assert chirps[0].level == 1
        # And the next one protects again.
        await until(lambda: unit.ready == 2, "it runs again", 30)
        started = unit.starts[-1]
        await until(lambda: len(bench.since(started, HEART)) > 2, "the heart beats again", 30)


async def test_the_end_is_no_darkness(bench: Bench) -> None:
    """A stop, as a crash does: the lamp stays lit, the heart stops, and nothing sounds on."""
    async with supervised(bench.config) as unit, asyncio.timeout(60):
        await until(lambda: bool(bench.since(0.0, HEART)), "the heart beats", 30)
        unit.send(signal.SIGTERM)
        await until(lambda: len(unit.ends) == 1, "it ends", 30)
        at = unit.ends[0][0]
        last = {edge.pin: edge.level for edge in edges(bench.record) if edge.at_s < at}
        assert unit.ends[0][1] == 0
        assert (last[LAMP], last.get(BUZZER, 0), last[HEART]) == (1, 0, 0)


async def test_the_heart_beats_only_while_the_sensor_speaks(bench: Bench) -> None:
    async with supervised(bench.config) as unit, asyncio.timeout(60):
        await until(lambda: len(bench.since(0.0, HEART)) > 2, "the heart beats", 30)
        assert (await bench.status())["person"]["protected"] is True
        bench.line.inject(Fault.SILENCE)
        await bench.stands("gas/cl2/silent", unit)
        assert (await bench.status())["person"]["unprotected"] == ["gas: silent"]

        def rests() -> bool:
            """The lamp has told of the fault for longer than the heart's own pause."""
            beats = bench.since(0.0, HEART)
            return bool(bench.since(beats[-1].at_s + 2 * PAUSE_S, LAMP))

        await until(rests, "the heart has stopped and the lamp tells of a fault", 30)
        assert bench.since(0.0, HEART)[-1].level == 0
