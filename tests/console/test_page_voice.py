"""Voice between a real unit and the page in a real Chromium: a tone is recognised at each end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright, expect

from agent.console import app, tls
from tests.agent.agent_process import AgentProcess, agent
from tests.console.wire import options
from tests.media.voice import sound
from tests.mosquitto import Mosquitto
from tests.waiting import until

from .page_server import STATIC
from .pages import CHROMIUM, CV, FLAGS, page_tests

pytest.importorskip("aiortc")
pytestmark = page_tests[1:]

UP_HZ, DOWN_HZ = 700, 1250
"""What the unit's microphone hears, and what the center's does."""


HEARS = "(hertz) => Math.abs(document.querySelector('.meter').dataset.pitch - hertz) < 30"
"""By the page's own analyser."""
OFFER_SOUND = """async (url) => {
  const peer = new RTCPeerConnection();
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver("audio", { direction: "recvonly" });
  await peer.setLocalDescription(await peer.createOffer());
  const headers = { "Content-Type": "application/sdp" };
  const answer = await fetch(url, { method: "POST", headers, body: peer.localDescription.sdp });
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  return [peer.getTransceivers()[1].currentDirection,
    decodeURIComponent(answer.headers.get("Outpost-Note"))];
}"""


def unit_tables(port: int, folder: Path, verbs: str, voice: str = "") -> str:
    return (
        "[media]\nenabled = true\n"
        f'[media.voice]\nmicrophone = "tone:{UP_HZ}"\nspeaker = "file:{folder / "heard.wav"}"\n'
        f"open_microphone = true\necho_canceller = true\n{voice}"
        '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 240\nfps = 15\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        f"verbs = {verbs}\n"
    )


def beeps() -> np.ndarray:
    """A steady tone would be taken for noise, and suppressed."""
    one = np.concatenate((sound.tone(DOWN_HZ, 0.3, 12_000), np.zeros(4_800, np.int16)))
    return np.tile(one, 50)


@asynccontextmanager
async def browser(folder: Path, *more: str) -> AsyncIterator[Page]:
    said = sound.write(folder / "said.wav", beeps())
    flags = (
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={said}", *more,
    )  # fmt: skip
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        context = await chromium.new_context(ignore_https_errors=True)
        page = await context.new_page()
        page.set_default_timeout(20_000)
        yield page
        await chromium.close()


@asynccontextmanager
async def at_work(
    mosquitto: Mosquitto, folder: Path, verbs: str = '["video.start", "video.stop", "talk"]'
) -> AsyncIterator[tuple[AgentProcess, Page, str]]:
    """A unit, a console and a page that shows the unit's video."""
    async with (
        agent(folder, unit_tables(mosquitto.port, folder, verbs)) as unit,
        app.running(options(mosquitto.url, STATIC)) as url,
        browser(folder) as page,
    ):
        await unit.says("video: up")
        await page.goto(f"{url}?video=off&lang=en")
        card = page.locator(f'.card[data-unit="{CV}"]')
        await card.get_by_role("button", name="Watch").click()
        await expect(card.locator(".video")).to_have_attribute("data-state", "live", timeout=30_000)
        yield unit, page, url


async def test_a_tone_is_recognised_at_each_end(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with at_work(mosquitto, tmp_path) as (unit, page, _):
        assert not (await unit.status())["media"]["voice"]["listeners"]
        await page.locator(".voice-listen").click()
        await page.wait_for_function(HEARS, arg=UP_HZ, timeout=30_000)
        talk = page.locator(".voice-talk")
        await talk.hover()
        await page.mouse.down()
        file = tmp_path / "heard.wav"
        await until(lambda: sound.read(file).size > 2 * sound.RATE_HZ, "the speaker sounds", 30)
        await expect(page.locator(".voice-says")).to_have_text("command post is talking")
        await page.mouse.up()
        assert sound.share(sound.read(file), DOWN_HZ) > 0.5
        assert sound.share(sound.read(file), UP_HZ) < 0.05
        await expect(page.locator(".voice-says")).to_have_text("")
        card = page.locator(f'.card[data-unit="{CV}"]')
        await card.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("tab", name="Log").click()
        for told in ("watches the video", "talks: begins", "talks: ends", "has gone"):
            await expect(page.locator("#log")).to_contain_text(told)


async def test_the_space_bar_talks_too(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with at_work(mosquitto, tmp_path) as (_, page, _):
        await page.locator(".voice-talk").focus()
        await page.keyboard.down("Space")
        file = tmp_path / "heard.wav"
        await until(lambda: sound.read(file).size > sound.RATE_HZ, "the speaker sounds", 30)
        await page.keyboard.up("Space")
        assert sound.share(sound.read(file), DOWN_HZ) > 0.5


async def test_who_may_not_talk_is_told_and_sees_all_the_same(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with at_work(mosquitto, tmp_path, '["video.start", "video.stop"]') as (_, page, _):
        await expect(page.locator(".voice")).to_be_hidden()
        note = await page.evaluate(OFFER_SOUND, f"/whep/{CV}/front")
        assert note == ["inactive", "no voice: uplink 'center' may not command 'talk'"]


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_off_loopback_the_page_says_whether_it_may_use_a_microphone(
    mosquitto: Mosquitto, tmp_path: Path, secure: bool
) -> None:
    """By a name that is not loopback's, as other machines come."""
    tables = unit_tables(mosquitto.port, tmp_path, '["video.start", "video.stop", "talk"]')
    certificate = tls.self_signed(tmp_path / "tls", "console.test") if secure else None
    chosen = options(mosquitto.url, STATIC, token="a-token-of-some-length", tls=certificate)
    async with (
        agent(tmp_path, tables),
        app.running(chosen) as url,
        browser(tmp_path, "--host-resolver-rules=MAP console.test 127.0.0.1") as page,
    ):
        there = url.replace("127.0.0.1", "console.test")
        await page.goto(f"{there}?token=a-token-of-some-length")
        await page.goto(f"{there}?video=off&lang=en")
        card = page.locator(f'.card[data-unit="{CV}"]')
        await card.get_by_role("button", name="Watch").click()
        talk = card.locator(".voice-talk")
        await expect(talk).to_be_visible()
        if secure:
            await expect(talk).to_be_enabled()
            await expect(card.locator(".voice-says")).to_have_text("")
        else:
            await expect(talk).to_be_disabled()
            await expect(card.locator(".voice-says")).to_contain_text("open this page by HTTPS")


async def test_a_unit_without_a_camera_is_heard_and_answered(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    tables = unit_tables(mosquitto.port, tmp_path, '["video.start", "video.stop", "talk"]')
    without = re.sub(r"\[\[camera\]\].*?(?=\[\[uplink)", "", tables, flags=re.DOTALL)
    async with (
        agent(tmp_path, without) as unit,
        app.running(options(mosquitto.url, STATIC)) as url,
        browser(tmp_path) as page,
    ):
        await unit.says("video: up")
        await page.goto(f"{url}?lang=en")
        card = page.locator(f'.card[data-unit="{CV}"]')
        says = card.locator(".video-says")
        await expect(says).to_have_text("No camera; voice only")
        await expect(card.get_by_role("button", name="Watch")).to_be_hidden()
        await card.locator(".voice-listen").click()
        await page.wait_for_function(HEARS, arg=UP_HZ, timeout=30_000)
        await expect(says).to_have_text("● VOICE")
        await card.locator(".voice-talk").hover()
        await page.mouse.down()
        file = tmp_path / "heard.wav"
        await until(lambda: sound.share(sound.read(file), DOWN_HZ) > 0.5, "the speaker sounds", 30)
        await page.mouse.up()
        await card.get_by_role("button", name="Stop", exact=True).click()
        await expect(says).to_have_text("No camera; voice only")
        await expect(card.locator(".voice-listen")).to_be_visible()
