"""A whole agent's incident log: from a cell's frame, through kill -9, to what the verbs print."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.__main__ import main
from agent.incident.check import Check
from agent.incident.record import FILE, Line
from drivers.sim import winsen
from drivers.sim.line import Line as Wire
from tests.agent.agent_process import agent
from tests.agent.cap_schema import mistakes
from tests.agent.rig import Center, center
from tests.mosquitto import Mosquitto
from tests.waiting import until

HIGH = "gas/cl2/high"


@pytest.fixture
async def cell(tmp_path: Path) -> AsyncIterator[winsen.Twin]:
    async with Wire(tmp_path / "cell") as wire:
        made = winsen.Twin(wire, gas="cl2", period_s=0.1)
        made.set(cl2=0.0)
        playing = asyncio.create_task(made.run())
        yield made
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


def tables(folder: Path, port: int) -> str:
    return (
        f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{folder / "cell"}"\ngas = "cl2"\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
    )


def lines(folder: Path) -> list[tuple[Line, dict[str, Any]]]:
    """All of them; the chain is whole."""
    check = Check(folder)
    found = [(line, msgspec.json.decode(line.body)) for line in check.lines()]
    assert check.mistakes == []
    return found


def changes(folder: Path) -> list[tuple[str, str]]:
    """(change, by) of the high alarm, in order."""
    return [
        (body["change"], body.get("by", ""))
        for line, body in lines(folder)
        if line.kind == "alarm" and body["alarm"] == HIGH
    ]


def standing(heard: Center) -> dict[str, str]:
    alarms = heard.retained.get("alarms/active", {}).get("alarms", [])
    return {alarm["alarm"]: alarm["state"] for alarm in alarms}


def logged(folder: Path, change: str) -> bool:
    if not (folder / FILE).exists():
        return False
    return change in [name for name, _ in changes(folder)]


async def test_what_happened_is_in_the_log_also_after_kill_9(
    tmp_path: Path, mosquitto: Mosquitto, cell: winsen.Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        center(mosquitto.port) as heard,
        agent(tmp_path / "unit", tables(tmp_path, mosquitto.port)) as unit,
    ):
        await until(lambda: bool(heard.records), "it runs", 20)
        cell.set(cl2=1.5)
        await until(lambda: HIGH in standing(heard), "the center knows of the alarm")
        await until(lambda: logged(unit.store, "raised"), "the log knows of the alarm")
        await unit.kill()
        before = (unit.store / FILE).read_bytes()
        unit.start()
        await unit.says("sources, 1 uplinks")
        heard.command("alarm.ack", {"alarm": HIGH})
        await until(lambda: standing(heard).get(HIGH) == "acknowledged", "it is acknowledged")
        cell.set(cl2=0.0)
        await until(lambda: standing(heard) == {}, "it is over")
        report = (await unit.status())["incident"]
        assert (report["lost"], report["trouble"]) == (0, "")
        assert await unit.stop() == 0

    assert (unit.store / FILE).read_bytes().startswith(before)
    life = changes(unit.store)
    assert life[0] == ("raised", "")
    assert ("acknowledged", "duty officer") in life
    assert life[-1][0] == "cleared"
    events = [(line, body) for line, body in lines(unit.store) if line.kind == "event"]
    (command,) = [body for _, body in events if body["event"] == "command"]
    assert (command["data"]["verb"], command["data"]["by"]) == ("alarm.ack", "duty officer")
    # What a center keeps of each start is in the chain: nobody can write the log anew.
    started = [body for _, body in events if body["event"] == "started"]
    assert len(started) == 2
    head = started[1]["data"]["incident"]["digest"]
    folder = str(unit.store)
    assert main(["log", "verify", "--dir", folder, "--head", head]) == 0
    assert "whole" in capsys.readouterr().out
    out = tmp_path / "cap"
    assert main(["log", "export", "--dir", folder, "--format", "cap", "-o", str(out)]) == 0
    documents = [path.read_bytes() for path in out.iterdir()]
    assert len(documents) >= 3
    assert all(b"<status>Exercise</status>" in xml and mistakes(xml) == [] for xml in documents)
