"""What the tests of the page share: a page at work, and units to show on it."""

from __future__ import annotations

import asyncio
import base64
import shutil
from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize, expect

from .page_server import STATIC, PageServer, Play, alarm, now_ms, reading, status

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=user-gesture-required "
    "--allow-loopback-in-peer-connection --disable-features=WebRtcHideLocalIpsWithMdns"
).split()
DESK = ViewportSize(width=1366, height=768)
PHONE = ViewportSize(width=390, height=844)
CV, LI, WANG = "ex-cv-01", "ex-sk-01", "ex-sk-02"
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////"
    "////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)

page_tests = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(
        not (STATIC / "index.html").exists(),
        reason="the page is not built (python agent/console/build_web.py)",
    ),
]
"""What a module of such tests has as its `pytestmark`."""


class Opened:
    """A page at work, and what must not have happened on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


async def open_page(opened: Opened, server: PageServer, query: str = "?video=off") -> Page:
    await opened.page.goto(server.url + query)
    await expect(opened.page.locator(".top .chip").first).to_have_attribute("data-state", "up")
    return opened.page


async def asked(server: PageServer) -> tuple[str, dict[str, Any]]:
    return await asyncio.wait_for(server.asked.get(), 10)


def three_units() -> dict[str, Any]:
    """A snapshot with a vehicle, two rescuers, ten kinds of readings and an alarm of each rank."""
    play, units = Play(), {}
    for unit in (CV, LI, WANG):
        made = play.records(unit, 50, now_ms())
        units[unit] = {
            "status": status(unit),
            "links": {"center": "up"},
            "latest": {f"{one['source']}/{one['quantity']}": one for one in made[1:]},
            "fix": made[0]["fix"] | {"t": now_ms()},
            "track": [[now_ms(), made[0]["fix"]["lat"], made[0]["fix"]["lon"]]],
            "series": {
                f"{one['source']}/{one['quantity']}": [
                    [one["t"] - 1000 * ago, one["value"]] for ago in range(30, -1, -1)
                ]
                for one in made[1:]
            },
            "alarms": [],
            "events": [],
            "counts": {"received": 120, "repeated": 0, "missing": 0},
        }
    units[LI]["alarms"] = [
        alarm("low", 3, limit=0.5, reading=reading("cl2", 0.6, "ppm")),
        alarm("high", 1, limit=1.0, reading=reading("cl2", 1.2, "ppm")),
        alarm("sos", 2, source="panel", quantity="sos"),
    ]
    units[WANG]["alarms"] = [alarm("silent", 4, source="head", quantity="co")]
    return {"type": "snapshot", "units": units}
