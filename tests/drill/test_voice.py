"""An instructor listens to a unit of a drill, and talks to it, on the drill's own page."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import wave
from pathlib import Path

import pytest

pytest.importorskip("aiortc")
from playwright.async_api import expect

from agent import control
from agent.settings import places
from tests.console.pages import page_tests
from tests.console.test_page_voice import DOWN_HZ, browser
from tests.media.voice import sound
from tests.mosquitto import find_mosquitto
from tests.waiting import until

from .test_drill import Drilling, drill

__all__ = ["drill"]
pytestmark = [
    *page_tests[1:],
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
UNIT = "ex-rs-01"
HEARS = "() => parseInt(document.querySelector('.meter i').style.width) > 20"
CAMERA = '[[unit.camera]]\nname = "helmet"\nwidth = 320\nheight = 240\nfps = 10\n'


def scenario(folder: Path) -> Path:
    """The smallest drill, longer, with a camera and a voice."""
    text = places.named("scenarios", "smoke").read_text(encoding="utf-8")
    text = text.replace("duration_s = 20", "duration_s = 100")
    text = text.replace(f'id = "{UNIT}"\nname', f'id = "{UNIT}"\nvoice = true\nname', 1)
    head, instruments = text.split("[[unit.instrument]]", 1)
    file = folder / "voice.toml"
    file.write_text(f"{head}{CAMERA}\n[[unit.instrument]]{instruments}", encoding="utf-8")
    return file


async def voice_of(folder: Path) -> dict[str, object]:
    status = await control.ask(folder / "state", "status")
    found: dict[str, object] = status["media"]["voice"]
    return found


async def says_that_it_is(folder: Path, state: str) -> None:
    """Its status is half a second old at most."""
    async with asyncio.timeout(20):
        while True:
            if (await voice_of(folder))["microphone"] == state:
                return
            await asyncio.sleep(0.1)


def in_speaker(file: Path) -> float:
    with contextlib.suppress(OSError, EOFError, wave.Error):
        return sound.share(sound.read(file), DOWN_HZ)
    return 0.0


async def test_who_leads_a_drill_listens_and_talks(drill: object, tmp_path: Path) -> None:
    start = drill
    assert callable(start)
    playing: Drilling = start(str(scenario(tmp_path)), "--lang", "en")
    await asyncio.to_thread(playing.wait_for, "page 页面:")
    address = re.search(r"page 页面:\s+(\S+)", playing.said())
    assert address is not None
    (folder,) = playing.folder.glob(f"*/{UNIT}")
    async with browser(tmp_path) as page:
        await page.goto(address[1])
        card = page.locator(f'.card[data-unit="{UNIT}"]')
        watch = card.get_by_role("button", name="Watch")
        await expect(card.locator(".video")).to_be_visible(timeout=30_000)
        if await card.locator(".video").get_attribute("data-state") == "idle":
            await watch.click()
        await expect(card.locator(".video")).to_have_attribute("data-state", "live", timeout=30_000)
        # Nobody listens: the microphone is shut, and nothing was encoded.
        before = await voice_of(folder)
        assert (before["microphone"], before["packets"]) == ("idle", 0)
        assert not (folder / "speaker.wav").exists()
        await card.locator(".voice-listen").click()
        await page.wait_for_function(HEARS, timeout=30_000)
        await says_that_it_is(folder, "live")
        if shutil.which("espeak-ng"):
            assert list((folder / "spoken").glob("*-microphone_on-*.wav"))
        await card.locator(".voice-talk").hover()
        await page.mouse.down()
        await until(
            lambda: in_speaker(folder / "speaker.wav") > 0.5, "the unit's speaker sounds", 30
        )
        await page.mouse.up()
        await card.locator(".voice-listen").click()
        await says_that_it_is(folder, "idle")
