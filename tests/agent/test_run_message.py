"""A message from a center, at a unit's own panel: ticks, a press, and the center knows who read it;
kill -9 in between forgets nothing."""

from __future__ import annotations

from pathlib import Path

from tests.agent.agent_process import agent
from tests.agent.rig import center
from tests.agent.test_every_verb import done
from tests.agent.test_orders import said
from tests.agent.test_run_panel import ACK, LAMP, Kit, active, kit
from tests.mosquitto import Mosquitto
from tests.waiting import until

__all__ = ["kit"]


async def test_a_message_ticks_until_the_wearer_s_button_and_outlives_a_kill(
    tmp_path: Path, mosquitto: Mosquitto, kit: Kit
) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", kit.tables) as unit:
        await until(lambda: bool(heard.records), "it runs", 20)
        heard.command("message", {"text": "风向转变，撤离"}, id="m")
        name = (await done(heard, "m"))["result"]["message"]
        await kit.sounds()
        await unit.kill()
        unit.start()
        await until(lambda: len([1 for r in heard.records if r.body.get("event") == "started"]) > 1,
                    "it runs again", 20)  # fmt: skip
        await kit.sounds()
        # An alarm goes before it, and the button answers the alarm first.
        kit.cell.set(cl2=1.5)
        await until(lambda: bool(active(heard)), "the alarm stands", 20)
        await kit.panel.press(ACK)
        await said(heard, "silenced")
        assert [m["id"] for m in heard.retained["status"]["messages"]] == [name]
        kit.cell.set(cl2=0.0)
        await until(lambda: active(heard) == {}, "the alarm is over", 20)
        await kit.sounds()
        await kit.panel.press(ACK)
        told = await said(heard, "message_confirmed", message=name)
        assert told["data"]["by"] == "panel"
        await until(lambda: kit.panel.levels[LAMP] == 0, "the lamp is off")
        assert await unit.stop() == 0
