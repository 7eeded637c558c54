"""A browser, a page in it, and a console of cardboard before it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from .page_server import PageServer
from .pages import CHROMIUM, DESK, FLAGS, JPEG, Opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[PageServer]:
    made = PageServer()
    made.still = JPEG
    async with made.serve():
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def opened(browser: Browser) -> AsyncIterator[Opened]:
    context = await browser.new_context(viewport=DESK)
    made = Opened(await context.new_page())
    made.page.set_default_timeout(10_000)
    yield made
    await context.close()
    assert made.errors == []
