"""What a unit has recorded, played and saved on the page: a whole unit, a broker, Chromium."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.agent.whole import whole
from tests.console.page_server import STATIC
from tests.console.pages import page_tests
from tests.console.test_console import console
from tests.mosquitto import Mosquitto
from tests.waiting import until

pytestmark = [
    *page_tests,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("aiortc", "av", "cv2")),
        reason="the extra 'media' is not installed",
    ),
]
UNIT = "ex-cv-01"
VERBS = ["media.get", "media.list", "record"]


def tables(port: int) -> str:
    return (
        '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 180\nfps = 10\n'
        "bitrate_kbit_s = 300\n"
        '[media.record]\nmode = "off"\nsegment_s = 3\nfree_mb = 0\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        f"local = true\nverbs = {VERBS}\n"
    )


async def test_a_recording_is_begun_played_and_saved_on_the_page(
    browser: Browser, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        console(mosquitto.url, STATIC, org="hubei") as house,
        whole(tmp_path, tables(mosquitto.port)) as made,
    ):
        context = await browser.new_context(locale="en-GB")
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{house.url}?video=off&lang=en")
        kept = page.locator(f'.card[data-unit="{UNIT}"] .rec')
        await kept.locator("summary").click(timeout=20_000)
        await kept.locator(".rec-do button").nth(0).click()
        await expect(kept.locator("summary.rec-on")).to_contain_text("front", timeout=30_000)
        app = made.running
        await until(
            lambda: any(item.end for item in app.desk.recordings.items()), "one is closed", 30
        )
        await kept.locator(".rec-do button").nth(1).click()
        await expect(kept.locator("summary.rec-on")).to_have_count(0, timeout=20_000)
        await kept.locator(".rec-do button").nth(3).click()
        item = min(app.desk.recordings.items(), key=lambda one: one.start)
        line = kept.locator(f'.rec-line[data-id="{item.id}"]')
        await expect(line).to_contain_text("front", timeout=10_000)
        await line.locator("button").click()
        film = page.locator(".rec-player video")
        await expect(film).to_have_js_property("videoWidth", 320, timeout=20_000)
        await expect(film).to_have_js_property("ended", True, timeout=30_000)
        await page.locator(".rec-player button").click()
        await expect(page.locator(".rec-player")).to_have_count(0)
        async with page.expect_download() as waiting:
            await line.locator("a").click()
        download = await waiting.value
        assert download.suggested_filename == f"{item.id}.mp4"
        saved = await asyncio.to_thread(Path(await download.path()).read_bytes)
        assert f"sha256:{hashlib.sha256(saved).hexdigest()}" == item.digest
        assert errors == []
        await context.close()
