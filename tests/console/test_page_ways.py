"""The page in a real Chromium keeps the picture: over a relay where there is no direct path, and
after the unit's media process has died; through a real broker and the console."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from agent.console import app
from tests.agent.agent_process import AgentProcess, agent
from tests.console.wire import options
from tests.media.ways import coturn
from tests.mosquitto import Mosquitto

from .page_server import STATIC
from .pages import CHROMIUM, CV, FLAGS, page_tests

pytest.importorskip("aiortc")
pytestmark = page_tests[1:]

RELAY_ONLY = """
const Peer = RTCPeerConnection;
window.peers = [];
window.RTCPeerConnection = class extends Peer {
  constructor(config) {
    super({ ...config, iceTransportPolicy: "relay" });
    window.peers.push(this);
  }
};
"""
"""Bars every direct path of the page."""
LOCAL_KINDS = """async () => {
  const report = await window.peers.at(-1).getStats();
  const pairs = [...report.values()].filter((s) => s.type === "candidate-pair" && s.nominated);
  return pairs.map((pair) => report.get(pair.localCandidateId).candidateType);
}"""
COUNT_FRAMES = """() => {
  const video = document.querySelector(".video video");
  window.shown = [];
  const next = () => {
    window.shown.push(performance.now());
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}"""
LONGEST_GAP_S = (
    """() => Math.max(...window.shown.slice(1).map((t, i) => t - window.shown[i])) / 1000"""
)


def tables(port: int, media: str = "") -> str:
    return (
        f"[media]\nenabled = true\n{media}"
        '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 240\nfps = 15\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        'verbs = ["video.start", "video.stop"]\n'
    )


def media_process(unit: AgentProcess) -> int:
    """The one child of the agent that encodes."""
    assert unit.process is not None
    number = unit.process.pid
    children = Path(f"/proc/{number}/task/{number}/children").read_text("ascii").split()
    (found,) = (
        int(child)
        for child in children
        if b"agent.media" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return found


@asynccontextmanager
async def watched(
    mosquitto: Mosquitto, folder: Path, media: str = "", script: str = ""
) -> AsyncIterator[tuple[AgentProcess, Page]]:
    """A unit, a console, and a page that shows the unit's video."""
    async with (
        agent(folder, tables(mosquitto.port, media)) as unit,
        app.running(options(mosquitto.url, STATIC)) as url,
        async_playwright() as playwright,
    ):
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await chromium.new_page()
        page.set_default_timeout(20_000)
        await page.add_init_script(script)
        await unit.says("video: up")
        await page.goto(f"{url}?video=off&lang=en")
        card = page.locator(f'.card[data-unit="{CV}"]')
        await card.get_by_role("button", name="Watch").click()
        await expect(card.locator(".video")).to_have_attribute("data-state", "live", timeout=30_000)
        yield unit, page
        await chromium.close()


@pytest.mark.skipif(coturn.TURNSERVER is None, reason="coturn is not installed")
async def test_the_page_is_told_of_the_relay_and_uses_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Direct paths are barred at both ends; the page is configured with no server."""
    async with coturn.running(tmp_path) as turn:
        media = (
            "[media.ice]\nrelay_only = true\n"
            f'[[media.ice.server]]\nurls = ["{turn.url("udp")}"]\nsecret_file = "{turn.secret}"\n'
        )
        async with watched(mosquitto, tmp_path, media, RELAY_ONLY) as (_, page):
            assert set(await page.evaluate(LOCAL_KINDS)) == {"relay"}
            assert await page.evaluate("window.peers.length") == 2, "without, and then with it"
            assert turn.relayed() >= 2


async def test_the_picture_is_back_after_the_media_process_was_killed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with watched(mosquitto, tmp_path) as (unit, page):
        await page.evaluate(COUNT_FRAMES)
        await page.wait_for_function("() => window.shown.length > 15")
        os.kill(media_process(unit), signal.SIGKILL)
        killed = await page.evaluate("performance.now()")
        await page.wait_for_function("(at) => window.shown.at(-1) > at + 1000", arg=killed)
        before = await page.evaluate("window.shown.length")
        await page.wait_for_function("(n) => window.shown.length > n + 15", arg=before)
        video = page.locator(f'.card[data-unit="{CV}"] .video')
        await expect(video).to_have_attribute("data-state", "live")
        gap_s = await page.evaluate(LONGEST_GAP_S)
        sys.stderr.write(f"no picture for {gap_s:.2f} s\n")
