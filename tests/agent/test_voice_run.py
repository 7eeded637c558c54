"""A whole unit watched and heard from afar: the lamp, the words, and only then the sound."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from drivers.sim.line import Line
from drivers.sim.panel import Twin
from tests.agent.agent_process import AgentProcess, agent
from tests.mosquitto import Mosquitto
from tests.waiting import until

pytest.importorskip("aiortc")
from agent.media import loopback
from tests.soak.viewers import center

pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"
)
LIVE, TALK = 6, 5


def tables(folder: Path, pins: Line, port: int, *, open_microphone: bool) -> str:
    return (
        "[media]\nenabled = true\n"
        f'[media.voice]\nmicrophone = "tone:600"\nspeaker = "file:{folder / "heard.wav"}"\n'
        f"open_microphone = {str(open_microphone).lower()}\n"
        '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 180\nfps = 10\n'
        f'[panel]\nfactory = "mock"\nwire = "{pins.link}"\nlamp_pin = 22\n'
        f"live_lamp_pin = {LIVE}\ntalk_pin = {TALK}\n"
        f'[person.speech]\nenabled = true\nlanguages = ["en"]\nfolder = "{folder}"\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        'verbs = ["video.start", "video.stop", "talk", "message"]\n'
    )


def said(folder: Path, key: str) -> list[Path]:
    return sorted(folder.glob(f"*-{key}-en.wav"))


async def says_that_somebody_listens(unit: AgentProcess) -> None:
    """In its status, which is half a second old at most."""
    async with asyncio.timeout(10):
        while True:
            voice = (await unit.status())["media"]["voice"]
            if (voice["microphone"], voice["listeners"]) == ("live", 1):
                return
            await asyncio.sleep(0.1)


async def test_a_lamp_and_words_come_before_the_sound(mosquitto: Mosquitto, tmp_path: Path) -> None:
    loopback.install()
    async with Line(tmp_path / "pins") as pins:
        panel = Twin(pins)
        reading = asyncio.create_task(panel.run())
        text = tables(tmp_path, pins, mosquitto.port, open_microphone=True)
        async with agent(tmp_path, text) as unit, center(mosquitto.port) as made:
            await unit.says("video: up")
            visit = asyncio.create_task(made.watch(1))
            await panel.wait_for(LIVE, 1)
            await until(lambda: made.sounds > 10, "the microphone is heard", 20)
            assert said(tmp_path, "camera_on")
            (spoken,) = said(tmp_path, "microphone_on")
            assert spoken.stat().st_mtime < time.time()
            await says_that_somebody_listens(unit)
            made.send("cmd/message", {"id": "m1", "args": {"text": "come back to the vehicle"}})
            await until(lambda: bool(said(tmp_path, "message")), "the message is spoken", 20)
            visit.cancel()
            await asyncio.wait([visit])
            await panel.wait_for(LIVE, 0)
            assert made.failed == []
        reading.cancel()


async def test_only_the_key_at_the_unit_opens_a_microphone_that_is_not_open(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    loopback.install()
    async with Line(tmp_path / "pins") as pins:
        panel = Twin(pins)
        reading = asyncio.create_task(panel.run())
        text = tables(tmp_path, pins, mosquitto.port, open_microphone=False)
        async with agent(tmp_path, text) as unit, center(mosquitto.port) as made:
            await unit.says("video: up")
            visit = asyncio.create_task(made.watch(1))
            await until(lambda: made.frames > 20, "pictures come", 20)
            assert made.sounds == 0
            assert said(tmp_path, "microphone_on") == []
            pressing = asyncio.create_task(panel.press(TALK, 3.0))
            await until(lambda: made.sounds > 10, "the key is heard", 20)
            await pressing
            visit.cancel()
            await asyncio.wait([visit])
        reading.cancel()
