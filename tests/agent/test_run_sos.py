"""A call for help, end to end: button, broker, center, and what the caller sees at each step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.messages import Class
from drivers.sim import panel
from drivers.sim.line import Line
from tests.agent.agent_process import AgentProcess, agent
from tests.agent.rig import Center, center
from tests.mosquitto import Mosquitto
from tests.waiting import until

SOS, ACK, LAMP, BUZZER = 17, 27, 22, 23
HOLD_S, CANCEL_S = 0.2, 0.8
CALL, SILENT = "panel/sos/sos", "panel/sos/sos_silent"
VERBS = '["alarm.ack", "sos.confirm", "sos.cancel", "sos.raise", "check_in"]'


class Wearer:
    """Two thumbs, two eyes, two ears."""

    def __init__(self, pins: Line, port: int, more: str = "") -> None:
        self.panel = panel.Twin(pins)
        self.tables = (
            f'[panel]\nfactory = "mock"\nwire = "{pins.link}"\nsos_pin = {SOS}\nack_pin = {ACK}\n'
            f"lamp_pin = {LAMP}\nbuzzer_pin = {BUZZER}\nsos_hold_s = {HOLD_S}\n"
            f"cancel_hold_s = {CANCEL_S}\n"
            f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
            f"verbs = {VERBS}\n{more}"
        )

    async def calls(self) -> None:
        await self.panel.press(SOS, 2 * HOLD_S)

    async def code(self, presses: int) -> None:
        """The long hold, then so many presses."""
        await self.panel.press(SOS, 1.5 * CANCEL_S)
        for _ in range(presses):
            await self.panel.press(ACK, 0.05)
            await asyncio.sleep(0.1)  # a finger's own pace

    def sounds(self) -> int:
        return sum(edge.pin == BUZZER and edge.level == 1 for edge in self.panel.edges)


@pytest.fixture
async def wearer(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Wearer]:
    async with Line(tmp_path / "pins") as pins:
        made = Wearer(pins, mosquitto.port)
        playing = asyncio.create_task(made.panel.run())
        yield made
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def told(unit: AgentProcess) -> dict[str, Any]:
    """What the unit says of the call."""
    status = await unit.status()
    found: dict[str, Any] = status.get("person", {}).get("sos") or {}
    return found


async def stage(unit: AgentProcess, wanted: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            if (found := await told(unit)).get("stage") == wanted:
                return found
            await asyncio.sleep(0.02)


async def running(unit: AgentProcess) -> None:
    async with asyncio.timeout(30):
        while True:
            if await unit.status():
                return
            await asyncio.sleep(0.02)


def active(heard: Center) -> dict[str, str]:
    alarms = heard.retained.get("alarms/active", {}).get("alarms", [])
    return {alarm["alarm"]: alarm["state"] for alarm in alarms}


def raised(heard: Center, name: str = CALL) -> int:
    bodies = [record.body for record in heard.of(Class.ALARMS)]
    return sum(body["alarm"] == name and body["change"] == "raised" for body in bodies)


def events(heard: Center) -> list[tuple[str, str]]:
    bodies = [record.body for record in heard.of(Class.EVENTS)]
    return [
        (body["event"], body.get("detail", ""))
        for body in bodies
        if body["event"].startswith("sos")
    ]


async def test_queued_reached_unconfirmed_confirmed(
    tmp_path: Path, mosquitto: Mosquitto, wearer: Wearer
) -> None:
    mosquitto.kill()
    tables = wearer.tables + "[person.sos]\nunconfirmed_s = 4\nrepeat_s = 2\n"
    async with agent(tmp_path / "unit", tables) as unit:
        await running(unit)
        await wearer.calls()
        await stage(unit, "queued")
        await until(lambda: wearer.sounds() >= 3, "it is heard")
        # Nobody is there: it is said, and it is raised again.
        await stage(unit, "unconfirmed")
        mosquitto.start()
        async with center(mosquitto.port) as heard:
            await until(lambda: active(heard) == {CALL: "unacknowledged"}, "the call arrives", 20)
            await until(lambda: raised(heard) >= 2, "it is raised again", 20)
            await until(lambda: ("sos_reached", "") in events(heard), "a broker has it", 20)
            # Having seen it is not to have answered it: it comes again.
            heard.command("alarm.ack", {"alarm": CALL})
            await until(lambda: active(heard) == {CALL: "acknowledged"}, "it was seen")
            await until(lambda: active(heard) == {CALL: "unacknowledged"}, "it comes again")
            heard.command("sos.confirm", by="hq/wang")
            await until(lambda: active(heard) == {}, "it is answered")
            assert (await stage(unit, "confirmed"))["by"] == "hq/wang"
            await until(lambda: wearer.panel.levels[LAMP] == 1, "the lamp says so")
            assert await unit.stop() == 0


async def test_it_has_reached_the_broker_before_anybody_confirms(
    tmp_path: Path, mosquitto: Mosquitto, wearer: Wearer
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", wearer.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        await wearer.calls()
        await stage(unit, "reached")
        # kill -9: the caller is told what was true.
        await unit.kill()
        unit.start()
        assert (await stage(unit, "reached"))["since"] > 0
        assert active(heard) == {CALL: "unacknowledged"}
        assert await unit.stop() == 0


@pytest.mark.parametrize(("presses", "reason"), [(1, "mistake"), (2, "safe"), (3, "test")])
async def test_the_caller_s_own_code_cancels_and_names_the_reason(
    tmp_path: Path, mosquitto: Mosquitto, wearer: Wearer, presses: int, reason: str
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", wearer.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        await wearer.calls()
        await until(lambda: CALL in active(heard), "the call arrives", 20)
        await wearer.code(presses)
        await until(lambda: active(heard) == {}, "it is cancelled", 20)
        await until(lambda: ("sos_cancelled", reason) in events(heard), "with its reason")
        assert (await stage(unit, "cancelled"))["reason"] == reason
        assert await unit.stop() == 0


async def test_a_wrong_code_or_none_changes_nothing(
    tmp_path: Path, mosquitto: Mosquitto, wearer: Wearer
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", wearer.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        # One long hold calls, and is no way to cancel what it has just made.
        await wearer.panel.press(SOS, 1.5 * CANCEL_S)
        await until(lambda: CALL in active(heard), "the call arrives", 20)
        await wearer.panel.press(ACK, 0.05)
        await wearer.code(5)
        await until(
            lambda: ("sos_cancel_refused", "no such code") in events(heard), "it is refused", 20
        )
        assert active(heard) == {CALL: "unacknowledged"}
        assert await unit.stop() == 0


@pytest.mark.parametrize("how", ["both buttons", "configuration", "page"])
async def test_a_silent_call_is_neither_heard_nor_seen_but_for_winks(
    tmp_path: Path, mosquitto: Mosquitto, wearer: Wearer, how: str
) -> None:
    more = "[person.sos]\nsilent = true\n" if how == "configuration" else ""
    async with (
        center(mosquitto.port) as heard,
        agent(tmp_path / "unit", wearer.tables + more) as unit,
    ):
        await until(lambda: bool(heard.records), "it runs", 20)
        if how == "page":
            heard.command("sos.raise", {"silent": True})
        elif how == "configuration":
            await wearer.calls()
        else:
            both = asyncio.create_task(wearer.panel.press(ACK, 4 * HOLD_S))
            await asyncio.sleep(0)
            await wearer.calls()
            await both
        await until(lambda: active(heard) == {SILENT: "unacknowledged"}, "the call arrives", 20)
        await stage(unit, "reached")
        heard.command("sos.confirm")
        await until(lambda: active(heard) == {}, "it is answered")

        def winks() -> int:
            return sum(edge.pin == LAMP and edge.level == 1 for edge in wearer.panel.edges)

        # Queued, reached, confirmed: one, two and three winks; what is quick may overtake.
        await until(lambda: winks() >= 4, "it is confirmed discreetly")
        assert wearer.sounds() == 0
        assert (await stage(unit, "confirmed"))["silent"] is True
        assert await unit.stop() == 0


async def test_a_page_at_the_unit_cancels_with_a_reason(
    tmp_path: Path, mosquitto: Mosquitto, wearer: Wearer
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", wearer.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        heard.command("sos.cancel", {"reason": "drill over"})
        assert (await heard.ack())["code"] == "not_found"
        await wearer.calls()
        await until(lambda: CALL in active(heard), "the call arrives", 20)
        heard.command("sos.cancel", {"reason": ""})
        assert (await heard.ack(1))["code"] == "bad_arguments"
        heard.command("sos.cancel", {"reason": "drill over"}, by="unit/li")
        await until(lambda: active(heard) == {}, "it is cancelled", 20)
        found = await stage(unit, "cancelled")
        assert (found["reason"], found["by"]) == ("drill over", "unit/li")
        assert await unit.stop() == 0
