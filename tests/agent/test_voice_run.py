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


CAMERA = '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 180\nfps = 10\n'


def tables(
    folder: Path, pins: Line, port: int, *, open_microphone: bool, camera: str = CAMERA
) -> str:
    return (
        "[media]\nenabled = true\n"
        f'[media.voice]\nmicrophone = "tone:600"\nspeaker = "file:{folder / "heard.wav"}"\n'
        f"open_microphone = {str(open_microphone).lower()}\n"
        f"{camera}"
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


async def says_that_it_played(unit: AgentProcess) -> None:
    """What the center's end says is heard in the speaker."""
    async with asyncio.timeout(10):
        while True:
            if (await unit.status())["media"]["voice"]["played"] >= 5:
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


async def test_a_unit_without_a_camera_talks(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The lamp and the words are the microphone's; the media process runs for it alone."""
    loopback.install()
    async with Line(tmp_path / "pins") as pins:
        panel = Twin(pins)
        reading = asyncio.create_task(panel.run())
        text = tables(tmp_path, pins, mosquitto.port, open_microphone=True, camera="")
        async with agent(tmp_path, text) as unit, center(mosquitto.port) as made:
            await unit.says("video: up")
            visit = asyncio.create_task(made.watch(1, pictures=False))
            await panel.wait_for(LIVE, 1)
            await until(lambda: made.sounds > 10, "the microphone is heard", 20)
            assert said(tmp_path, "microphone_on")
            assert not said(tmp_path, "camera_on")
            await says_that_somebody_listens(unit)
            await says_that_it_played(unit)
            visit.cancel()
            await asyncio.wait([visit])
            await panel.wait_for(LIVE, 0)
            assert made.failed == []
        reading.cancel()


async def test_who_asks_for_pictures_as_well_gets_the_sound(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    loopback.install()
    text = (
        '[media]\nenabled = true\n[media.voice]\nmicrophone = "tone:600"\n'
        f'open_microphone = true\n[[uplink]]\nname = "center"\nhost = "127.0.0.1"\n'
        f'port = {mosquitto.port}\ntls = false\nverbs = ["video.start", "talk"]\n'
    )
    async with agent(tmp_path, text) as unit, center(mosquitto.port) as made:
        await unit.says("video: up")
        both = asyncio.create_task(made.watch(1, camera=""))
        await until(lambda: made.sounds > 10, "the microphone is heard", 20)
        both.cancel()
        await asyncio.wait([both])
        await made.watch(2, camera="")
        (why,) = made.failed
        assert "there is no camera" in why
