"""A real Chromium plays a session that was signalled through the core's side."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from agent.media import blockcode
from agent.media.blockcode import Image
from agent.media.wire import CameraConfig, Overlay
from agent.messages import Mark
from tests.media.conftest import Watched, media_config, running
from tests.media.test_camera import write_video

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]
PAGE = Path(__file__).with_name("page.html")
SCREENSHOT = "OUTPOST_SCREENSHOT"
"""A file to keep the page's screenshot in, for whoever wants to look at it."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@asynccontextmanager
async def page_of(media: Watched, camera: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = await browser.new_page(viewport={"width": 1280, "height": 760})

            async def exchange(sdp: str) -> str:
                return (await media.host.offer("browser", camera, sdp)).sdp

            await page.expose_function("exchange", exchange)
            await page.goto(PAGE.as_uri())
            yield page
        finally:
            await browser.close()


async def decoded(page: Page, count: int, timeout_s: float = 15.0) -> dict[str, Any]:
    """The statistics once that many frames were decoded."""
    async with asyncio.timeout(timeout_s):
        stats: dict[str, Any] = await page.evaluate("count => decoded(count)", count)
    return stats


async def picture(page: Page) -> Image:
    data = base64.b64decode(await page.evaluate("pixels()"))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


def orange_share(image: Image) -> float:
    return float((np.abs(image.astype(int) - [0, 140, 255]).max(axis=2) < 40).mean())


async def smooth(page: Page, count: int, tries: int = 3) -> dict[str, Any]:
    """The statistics after that many more frames without a freeze.  A machine that others use
    freezes a picture now and then, one of ours all the time."""
    stats = await decoded(page, 1)
    for _ in range(tries):
        frozen = stats["freezeCount"]
        stats = await decoded(page, stats["framesDecoded"] + count)
        if stats["freezeCount"] == frozen:
            return stats
    raise AssertionError(f"{tries} times {count} frames, and a freeze in each: {stats}")


@pytest.mark.parametrize("kind", ["scene", "file"])
async def test_chromium_plays_the_pictures(kind: str, tmp_path: Path) -> None:
    source, timecode = "scene", False
    if kind == "file":
        write_video(tmp_path / "yard.mp4", count=50, code=False)
        source, timecode = f"file:{tmp_path / 'yard.mp4'}", True
    camera = CameraConfig(name="front", source=source, fps=25, timecode=timecode)
    async with running(media_config(camera)) as media:
        media.host.overlay(
            Overlay(
                unit="ex-cv-01",
                place="30.59250 N 114.30550 E",
                mark=Mark.EXERCISE,
                time_ms=int(time.time() * 1000),
                readings=["氯气 Cl2 1.2 ppm", "风速 wind 3.2 m/s 120°"],
                alarms=["氯气 Cl2 高报警 HIGH 1.2 ppm"],
            )
        )
        async with page_of(media, "front") as page:
            await page.evaluate("play()")
            await decoded(page, 5)
            first = blockcode.read(await picture(page))
            stats = await smooth(page, 60)
            image = await picture(page)
            second = blockcode.read(image)
            if (keep := os.environ.get(SCREENSHOT)) is not None:
                await page.screenshot(path=keep)
        assert stats["state"] == "connected"
        assert stats["keyFramesDecoded"] >= 1
        # Asked for a playout delay of 0: what the browser holds back is far below its usual 100 ms.
        assert stats["jitterBufferDelay"] / stats["jitterBufferEmittedCount"] < 0.1
        assert first is not None
        assert second is not None
        assert 20 < (second.frame - first.frame) % 65536 < 600
        assert blockcode.age_ms(second) < 2000
        assert orange_share(image) > 0.03  # EXERCISE
        assert media.host.stats.cameras[0].encoders == 1
        media.host.close("browser")
        await media.until(lambda: media.host.stats.viewers == 0)


async def test_pictures_come_back_after_the_process_was_killed() -> None:
    async with running(media_config()) as media, page_of(media, "") as page:
        await page.evaluate("play()")
        await decoded(page, 10)
        assert media.host.pid is not None
        os.kill(media.host.pid, 9)
        await media.until(lambda: media.count("media_up") == 2)
        lost = [e for e in media.events if e.event == "session_closed"]
        assert [e.session for e in lost] == ["browser"]
        await page.evaluate("connection.close(); play()")
        await decoded(page, 10)


def namespaces_work() -> bool:
    try:
        done = subprocess.run(
            ["unshare", "-rn", "sh", "-c", "ip link set lo up"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(
    not namespaces_work(), reason="network namespaces (unshare -rn, ip) are not to be had here"
)
@pytest.mark.parametrize(
    "test",
    [
        "test_browser.py::test_chromium_plays_the_pictures[scene]",
        "test_viewer.py::test_it_plays_counts_and_says_goodbye",
    ],
)
async def test_the_same_with_no_network_but_loopback(test: str, tmp_path: Path) -> None:
    # A base of its own: several runs at once clear each other's numbered ones away.
    pytest_line = f"'{sys.executable}' -m pytest -q --basetemp '{tmp_path}/inner' '{test}'"
    command = f"ip link set lo up && exec {pytest_line}"
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-rn", "sh", "-c", command),
        cwd=Path(__file__).parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert b"1 passed" in out
