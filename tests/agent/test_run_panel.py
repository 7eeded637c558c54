"""The unit's own panel, end to end: bytes of a cell in, lamp and buzzer out, buttons in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.messages import Class
from agent.person.calls import TOLD_S
from drivers.sim import panel, winsen
from drivers.sim.line import Line
from tests.agent.agent_process import agent
from tests.agent.rig import Center, center
from tests.mosquitto import Mosquitto
from tests.waiting import until

SOS, ACK, LAMP, BUZZER = 17, 27, 22, 23
SOS_HOLD_S = 0.3
PAUSE_S = 0.8
"""Between two calls of the pattern `sos` are 0.6 s."""
HIGH, LOW, CALL = "gas/cl2/high", "gas/cl2/low", "panel/sos/sos"


class Kit:
    """What the wearer feels and hears."""

    def __init__(self, cell_line: Line, pins: Line, port: int) -> None:
        self.cell = winsen.Twin(cell_line, gas="cl2", period_s=0.1)
        self.panel = panel.Twin(pins)
        self.tables = (
            f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{cell_line.link}"\n'
            'gas = "cl2"\n'
            f'[panel]\nfactory = "mock"\nwire = "{pins.link}"\nsos_pin = {SOS}\nack_pin = {ACK}\n'
            f"lamp_pin = {LAMP}\nbuzzer_pin = {BUZZER}\nsos_hold_s = {SOS_HOLD_S}\n"
            f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        )

    async def sounds(self) -> None:
        """Until the buzzer has been heard three times from now on."""
        for _ in range(3):
            async with asyncio.timeout(10):
                await self.panel.wait_for(BUZZER, 1)
                await self.panel.wait_for(BUZZER, 0)

    async def is_silent(self) -> None:
        """Until the buzzer has been still, and the lamp has not, for longer than any pause."""

        def silent() -> bool:
            last = {edge.pin: edge.at for edge in self.panel.edges}
            return last[LAMP] - last[BUZZER] > 4 * PAUSE_S

        await until(silent, "the lamp goes on without sound")

    async def is_quiet(self, lamp: int) -> None:
        """Until lamp and buzzer have stood still for longer than any pause between sounds."""

        def quiet() -> bool:
            levels, last = self.panel.levels, self.panel.edges[-1].at
            still = levels[LAMP] == lamp and levels[BUZZER] == 0
            return still and time.monotonic() - last > PAUSE_S

        await until(quiet, f"it is quiet, the lamp at {lamp}")


@pytest.fixture
async def kit(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Kit]:
    async with Line(tmp_path / "cell") as cell, Line(tmp_path / "pins") as pins:
        made = Kit(cell, pins, mosquitto.port)
        made.cell.set(cl2=0.0)
        playing = [asyncio.create_task(made.cell.run()), asyncio.create_task(made.panel.run())]
        yield made
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)


def active(heard: Center) -> dict[str, str]:
    alarms = heard.retained.get("alarms/active", {}).get("alarms", [])
    return {alarm["alarm"]: alarm["state"] for alarm in alarms}


def silenced(heard: Center) -> list[list[str]]:
    events = [record.body for record in heard.of(Class.EVENTS)]
    return [event["data"]["alarms"] for event in events if event["event"] == "silenced"]


async def test_only_the_wearer_s_button_ends_the_sound(
    tmp_path: Path, mosquitto: Mosquitto, kit: Kit
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", kit.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        kit.cell.set(cl2=1.5)
        await kit.sounds()
        await until(lambda: HIGH in active(heard), "the center knows")
        heard.command("alarm.ack", {"alarm": HIGH})
        await until(lambda: active(heard)[HIGH] == "acknowledged", "the center has seen it")
        # Whoever stands in the gas has not.
        await kit.sounds()
        await kit.panel.press(ACK)
        await kit.is_quiet(lamp=1)
        assert active(heard)[HIGH] == "acknowledged"
        # Nothing changed for the center, but a person has ended a sound: that is written down.
        await until(
            lambda: any(HIGH in alarms for alarms in silenced(heard)),
            "the book knows who ended the sound",
        )
        kit.cell.set(cl2=0.0)
        await until(lambda: active(heard) == {}, "the alarm is over")
        await kit.is_quiet(lamp=0)
        assert await unit.stop() == 0


async def test_a_page_on_board_ends_the_sound_of_what_it_acknowledges(
    tmp_path: Path, mosquitto: Mosquitto, kit: Kit
) -> None:
    """The same command that a center's page sends, on an uplink that is marked local."""
    tables = f"{kit.tables}local = true\n"
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        kit.cell.set(cl2=1.5)
        await kit.sounds()
        await until(lambda: HIGH in active(heard), "the page knows")
        heard.command("alarm.ack", {"alarm": HIGH}, by="unit/li")
        # The low alarm of the same gas still sounds, and is acknowledged for itself.
        await kit.sounds()
        heard.command("alarm.ack", {"alarm": LOW}, by="unit/li")
        await kit.is_quiet(lamp=1)
        assert set(active(heard).values()) == {"acknowledged"}
        await until(lambda: silenced(heard) == [[HIGH], [LOW]], "the book knows")
        assert await unit.stop() == 0


async def test_a_call_for_help_waits_for_the_center(
    tmp_path: Path, mosquitto: Mosquitto, kit: Kit
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", kit.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        await kit.panel.press(SOS, SOS_HOLD_S / 3)
        await kit.panel.press(SOS, SOS_HOLD_S * 3)
        await until(lambda: active(heard) == {CALL: "unacknowledged"}, "the call arrives")
        await kit.sounds()
        # The caller may end the sound, but not answer himself; the lamp tells on.
        await kit.panel.press(ACK)
        await kit.is_silent()
        assert active(heard) == {CALL: "unacknowledged"}
        heard.command("sos.confirm")
        await until(lambda: active(heard) == {}, "it is answered")
        # For a while a steady lamp says that a person has confirmed.
        await kit.is_quiet(lamp=1)
        await until(lambda: kit.panel.levels[LAMP] == 0, "the lamp is off", 2 * TOLD_S)
        assert await unit.stop() == 0
