"""The page in a real Chromium: live video, stills, and what is said of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import expect

from .page_server import PageServer, now_ms
from .pages import CV, LI, Opened, asked, open_page, page_tests, three_units

pytestmark = page_tests


async def test_no_video_path_gives_stills_and_says_so(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    card = page.locator(f'.card[data-unit="{LI}"]')
    await card.get_by_role("button", name="播放").click()
    path, body = await asked(server)
    assert path == f"/whep/{LI}/front"
    assert "a=recvonly" in body["sdp"]
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/video.start"
    assert body["args"] == {"camera": "front", "mode": "stills", "period_s": 1, "lease_s": 30}
    await expect(card.locator(".video-says")).to_have_text("无视频通路，等待静态图片……")
    await expect(card.locator(".video-says")).to_have_attribute(
        "title", "the unit has no path to this page"
    )
    url = f"/api/stills/{LI}/front?t=1"
    await server.send({"type": "still", "unit": LI, "camera": "front", "t": now_ms(), "url": url})
    await expect(card.locator(".video-says")).to_contain_text("静态图片 · ")
    await page.wait_for_function(
        "(unit) => document.querySelector(`[data-unit=${unit}] img`).naturalWidth > 0", arg=LI
    )
    await card.get_by_role("button", name="停止").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/video.stop"
    await expect(card.get_by_role("button", name="播放")).to_be_visible()


def real_camera() -> tuple[Any, Callable[[str], Awaitable[str]]]:
    """A WebRTC peer with a moving picture, and what answers an offer with it."""
    aiortc = pytest.importorskip("aiortc")
    peer = aiortc.RTCPeerConnection()

    async def camera(offer: str) -> str:
        await peer.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
        peer.addTrack(aiortc.VideoStreamTrack())
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    return peer, camera


async def test_live_video_plays_and_is_given_back(opened: Opened, server: PageServer) -> None:
    peer, camera = real_camera()
    server.camera = camera
    server.opening = [three_units()]
    page = await open_page(opened, server)
    card = page.locator(f'.card[data-unit="{CV}"]')
    try:
        await card.get_by_role("button", name="播放").click()
        await expect(card.locator(".video")).to_have_attribute("data-state", "live")
        await expect(card.locator(".video-says")).to_have_text("● 实时")
        await card.get_by_role("button", name="放大").click()
        width = await card.locator("video").evaluate("(video) => video.clientWidth")
        assert width > 1000
        await expect(page.get_by_text("演练 EXERCISE")).to_be_in_viewport(ratio=1)
        for acknowledge in await page.locator(".alarm-ack").all():
            await acknowledge.click(trial=True)
        await page.keyboard.press("Escape")
        await card.get_by_role("button", name="停止").click()
        asked_for = [(await asked(server))[0] for _ in range(2)]
        assert asked_for == [f"/whep/{CV}/front", "/whep/session/s1"]
    finally:
        await peer.close()


async def test_video_that_stops_is_said_to_be_frozen(opened: Opened, server: PageServer) -> None:
    peer, camera = real_camera()
    server.camera = camera
    server.opening = [three_units()]
    page = await open_page(opened, server)
    card = page.locator(f'.card[data-unit="{CV}"]')
    await card.get_by_role("button", name="播放").click()
    await expect(card.locator(".video-says")).to_have_text("● 实时")
    server.camera = None
    await peer.close()
    await expect(card.locator(".video-says")).to_contain_text("画面停滞")
    await expect(card.locator(".video-says")).to_have_text(
        "无视频通路，等待静态图片……", timeout=20_000
    )


async def test_live_video_is_tried_again_as_soon_as_the_link_is_back(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    card = page.locator(f'.card[data-unit="{LI}"]')
    await card.get_by_role("button", name="播放").click()
    asked_for = [(await asked(server))[0] for _ in range(2)]
    assert asked_for == [f"/whep/{LI}/front", f"/api/units/{LI}/commands/video.start"]
    link = {"type": "link", "unit": LI, "path": "center", "t": now_ms()}
    await server.send(link | {"state": "lost"})
    await expect(card.locator(".chip")).to_have_text("链路 断")
    await server.send(link | {"state": "up"})
    assert (await asked(server))[0] == f"/whep/{LI}/front"


async def test_in_a_drill_the_first_camera_plays_by_itself(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    await open_page(opened, server, "")
    path, _ = await asked(server)
    assert path == f"/whep/{CV}/front"
