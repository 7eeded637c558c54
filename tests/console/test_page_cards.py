"""The page offers a card with an alarm whose substance is known."""

from __future__ import annotations

from playwright.async_api import expect

from .page_server import PageServer
from .pages import Opened, open_page, page_tests, three_units

pytestmark = page_tests


async def test_an_exceeded_gas_has_its_card_in_the_pages_language(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    tiles = page.locator(".alarm")
    await expect(tiles).to_have_count(4)
    high, call, low, silent = (tiles.nth(number).locator(".alarm-card") for number in range(4))
    for card in (high, low):
        await expect(card).to_have_attribute("href", "/api/cards/cl2/zh")
        await expect(card).to_have_text("处置卡")
    for none in (call, silent):
        await expect(none).to_be_hidden()
    await page.get_by_role("button", name="Switch to English").click()
    await expect(high).to_have_attribute("href", "/api/cards/cl2/en")
    await expect(high).to_have_text("Card")
