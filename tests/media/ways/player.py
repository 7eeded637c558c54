"""A page in a real Chromium that plays a session by WHEP, or one that is signalled otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.media.test_browser import CHROMIUM, FLAGS

PAGE = Path(__file__).with_name("player.html")


@asynccontextmanager
async def player() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = await browser.new_page()
            await page.goto(PAGE.as_uri())
            yield page
        finally:
            await browser.close()
