"""The dose of a whole agent on a real wire: it grows, it survives a stop and kill -9, a silence of
its sensor is no zero."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.sim import winsen
from drivers.sim.line import Fault, Line
from tests.agent.agent_process import AgentProcess, agent

SOURCE = """
[[source]]
name = "gas1"
driver = "winsen"
port = "{port}"
gas = "co"
silent_s = 2.0
[[alarms.override]]
source = "gas1"
quantity = "co"
stel = 2.0
twa = 1.0
basis = "a test's"
"""


@contextlib.asynccontextmanager
async def breathing(folder: Path) -> AsyncIterator[tuple[AgentProcess, Line]]:
    """An agent and 300 ppm of carbon monoxide at its sensor."""
    link = folder / "gas"
    async with Line(link) as line:
        twin = winsen.Twin(line, gas="co", period_s=0.2)
        twin.set(co=300.0)
        playing = asyncio.create_task(twin.run())
        try:
            async with agent(folder / "unit", SOURCE.format(port=link)) as made:
                yield made, line
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


async def dose(made: AgentProcess) -> dict[str, Any]:
    """Of the only gas; empty while there is none."""
    report = (await made.status()).get("exposure") or {}
    return dict(next(iter(report.get("doses", [])), {}))


async def grows_beyond(made: AgentProcess, ppm_h: float) -> dict[str, Any]:
    for _ in range(600):
        found = await dose(made)
        if found.get("dose", 0.0) > ppm_h:
            return found
        await asyncio.sleep(0.05)
    raise TimeoutError(f"waited in vain until the dose was above {ppm_h:g} ppm h")


async def codes(made: AgentProcess) -> set[str]:
    return {alarm["code"] for alarm in (await made.status()).get("alarms", [])}


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_dose_goes_on_after_the_agent_was_gone(tmp_path: Path, how: str) -> None:
    async with breathing(tmp_path) as (made, _):
        before = await grows_beyond(made, 0.6)
        # 2 ppm over 15 minutes are 6 s at 300 ppm: the alarm is raised within the first minute.
        assert before["stel"] >= 2.0
        assert "stel" in await codes(made)
        if how == "stop":
            assert await made.stop() == 0
        else:
            await made.kill()
        made.start()
        after = await grows_beyond(made, 0.0)
        assert "stel" in await codes(made)
        # kill -9 leaves what there was when the alarm was raised, a stop all there was.
        assert after["dose"] >= (before["dose"] if how == "stop" else 0.5)
        if how == "stop":
            assert made.said.count("exposure goes on after") == 1
        assert 0 < after["coverage"] < 1


async def test_a_silent_sensor_is_no_clean_air(tmp_path: Path) -> None:
    async with breathing(tmp_path) as (made, line):
        await grows_beyond(made, 0.2)
        # The module goes on, the line does not.
        line.inject(Fault.SILENCE)
        await made.says("alarm gas1/co/silent: raised")
        first = await dose(made)
        second = await dose(made)
        assert second["dose"] == pytest.approx(first["dose"], rel=0.2)
        # The mean of what was measured stays what it was.
        assert second["mean"] == pytest.approx(300.0, rel=0.01)
