"""Whoever carries a unit, end to end: positions in; lamp, buzzer and alarms at a center out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.messages import Class
from drivers.geodesy import beside
from drivers.sim import nmea, panel
from drivers.sim.line import Line
from tests.agent.agent_process import agent
from tests.agent.rig import Center, center
from tests.mosquitto import Mosquitto
from tests.waiting import until

ACK, LAMP, BUZZER = 27, 22, 23
HERE = (30.593067, 114.30585)
VERBS = '["alarm.ack", "check_in", "zone"]'


class Walker:
    """A receiver that goes where it is told, and a panel."""

    def __init__(self, sky: Line, pins: Line, port: int) -> None:
        self.gnss = nmea.Twin(sky, rate_hz=5)
        self.panel = panel.Twin(pins)
        self.head = (
            f'[[source]]\nname = "gnss"\ndriver = "nmea"\nport = "{sky.link}"\n'
            f'[panel]\nfactory = "mock"\nwire = "{pins.link}"\nack_pin = {ACK}\n'
            f"lamp_pin = {LAMP}\nbuzzer_pin = {BUZZER}\n"
            f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
            f"verbs = {VERBS}\n"
        )
        self.at(0.0)

    async def walks(self) -> None:
        """Away, a metre and a half a second."""
        for step in range(600):
            self.at(0.3 * step, speed=1.5)
            await asyncio.sleep(0.2)  # a walker's own pace

    def at(self, meters: float, speed: float = 0.0) -> None:
        lat, lon = beside(HERE, 90.0, meters)
        self.gnss.set(lat=lat, lon=lon, speed=speed)


@pytest.fixture
async def walker(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Walker]:
    async with Line(tmp_path / "sky") as sky, Line(tmp_path / "pins") as pins:
        made = Walker(sky, pins, mosquitto.port)
        playing = [asyncio.create_task(made.gnss.run()), asyncio.create_task(made.panel.run())]
        yield made
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)


def active(heard: Center) -> dict[str, str]:
    alarms = heard.retained.get("alarms/active", {}).get("alarms", [])
    return {alarm["alarm"]: alarm["state"] for alarm in alarms}


def events(heard: Center, *names: str) -> list[tuple[str, str]]:
    bodies = [record.body for record in heard.of(Class.EVENTS)]
    return [(b["event"], b.get("source", "")) for b in bodies if b["event"] in names]


def person(heard: Center) -> dict[str, Any]:
    found: dict[str, Any] = heard.retained.get("status", {}).get("person", {})
    return found


async def test_no_motion_by_way_of_the_pre_alarm(
    tmp_path: Path, mosquitto: Mosquitto, walker: Walker
) -> None:
    tables = walker.head + (
        "[person.no_motion]\nenabled = true\nstill_s = 2\nprealarm_s = 3\nradius_m = 1\n"
    )
    down = "person/motion/no_motion"
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:
        await until(lambda: bool(events(heard, "no_motion_soon")), "the pre-alarm comes", 30)
        await until(lambda: walker.panel.levels.get(BUZZER) == 1, "and is heard")
        # The wearer's button ends it, and it is no alarm anywhere.
        await walker.panel.press(ACK, 0.05)
        assert down not in active(heard)
        await until(lambda: active(heard).get(down) == "unacknowledged", "nobody presses", 30)
        heard.command("alarm.ack", {"alarm": down})
        await until(lambda: active(heard).get(down) == "acknowledged", "the center has seen it")
        # A center that has seen it does not move the wearer: kill -9 changes nothing.
        await unit.kill()
        unit.start()
        await until(lambda: len(events(heard, "started")) == 2, "it runs again", 30)
        assert active(heard) == {down: "acknowledged"}
        walking = asyncio.create_task(walker.walks())
        await until(lambda: down not in active(heard), "who moves is well", 30)
        walking.cancel()
        assert await unit.stop() == 0


async def test_a_check_in_that_is_asked_for_and_missed(
    tmp_path: Path, mosquitto: Mosquitto, walker: Walker
) -> None:
    tables = walker.head + "[person.check_in]\ninterval_s = 2\ngrace_s = 2\n"
    missed = "person/check_in/check_in"
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:
        await until(lambda: bool(events(heard, "check_in_due")), "it is asked for", 30)
        await walker.panel.press(ACK, 0.05)
        await until(lambda: bool(events(heard, "checked_in")), "the wearer is well")
        await until(lambda: missed in active(heard), "the next one is missed", 30)
        # By a page at the unit: the alarm has returned, and waits for somebody who has seen it.
        heard.command("check_in", by="page")
        await until(
            lambda: active(heard).get(missed) == "returned_unacknowledged", "who was missed speaks"
        )
        heard.command("alarm.ack", {"alarm": missed})
        await until(lambda: missed not in active(heard), "it is over", 30)
        assert await unit.stop() == 0


async def test_zones_of_the_configuration_and_of_a_command(
    tmp_path: Path, mosquitto: Mosquitto, walker: Walker
) -> None:
    lat, lon = HERE
    tables = walker.head + (
        f'[[person.zone]]\nid = "tank"\nkind = "hot"\ncenter = [{lat}, {lon}]\nradius_m = 100\n'
    )
    walker.at(400.0)
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:
        await until(lambda: "zones" in person(heard), "the status names the zone", 30)
        walker.at(20.0)
        await until(lambda: "unit/tank/zone_hot" in active(heard), "it is entered", 30)
        await until(lambda: walker.panel.levels.get(BUZZER) == 1, "and heard")
        # Drawn around the unit it is judged at once, and it outlives a kill.
        ring = [list(beside(HERE, bearing, 200.0)) for bearing in (0, 90, 180, 270)]
        heard.command("zone", {"id": "plume", "kind": "warm", "polygon": ring}, by="hq")
        await until(lambda: "unit/plume/zone_warm" in active(heard), "so is the new one")
        heard.command("zone", {"id": "tank"})
        acks = [heard.ack(), heard.ack(1)]
        assert [(await ack).get("code", "ok") for ack in acks] == ["ok", "bad_arguments"]
        await unit.kill()
        unit.start()
        await until(lambda: len(events(heard, "started")) == 2, "it runs again", 30)
        assert {"unit/tank/zone_hot", "unit/plume/zone_warm"} <= active(heard).keys()
        walker.at(400.0)
        await until(lambda: active(heard) == {}, "it has left", 30)
        both = [("zone_left", "plume"), ("zone_left", "tank")]
        await until(lambda: sorted(events(heard, "zone_left")) == both, "and that is written down")
        heard.command("zone", {"id": "plume"})
        assert (await heard.ack(2))["outcome"] == "done"
        assert await unit.stop() == 0


async def test_a_vehicle_that_drives_shows_what_is_minor_without_sound(
    tmp_path: Path, mosquitto: Mosquitto, walker: Walker
) -> None:
    lat, lon = HERE
    tables = walker.head + (
        f'[[person.zone]]\nid = "tank"\nkind = "hot"\ncenter = [{lat}, {lon}]\nradius_m = 100\n'
    )
    walker.at(400.0, speed=12.0)
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:
        await until(lambda: person(heard).get("driving") is True, "it drives", 30)
        walker.at(20.0, speed=12.0)
        await until(lambda: "unit/tank/zone_hot" in active(heard), "a minor alarm comes", 30)

        def blinks() -> int:
            return sum(edge.pin == LAMP and edge.level == 1 for edge in walker.panel.edges)

        await until(lambda: blinks() >= 3, "the lamp tells of it")
        assert not any(edge.pin == BUZZER and edge.level for edge in walker.panel.edges)
        assert await unit.stop() == 0
