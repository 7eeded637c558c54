"""The page in a real Chromium: the exercise and its instructor, the map and its datum."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from .page_server import PageServer, Play, hello
from .pages import CV, DESK, PHONE, Opened, asked, open_page, page_tests, three_units

pytestmark = page_tests


async def test_exercise_is_in_view_at_any_size(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    plate = page.get_by_text("演练 EXERCISE")
    for size in (DESK, PHONE):
        await page.set_viewport_size(size)
        await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        await expect(plate).to_be_in_viewport(ratio=1)
    server.greeting = hello(exercise=False)
    await page.reload()
    await expect(page.locator(".card").first).to_be_visible()
    await expect(plate).to_be_hidden()


async def test_only_an_instructor_sees_the_plume_and_the_desk(
    opened: Opened, server: PageServer
) -> None:
    drill: dict[str, Any] = {"type": "drill", "state": Play().drill(10)}
    drill["state"]["injects"][2]["done"] = False
    server.opening = [three_units(), drill]
    page = await open_page(opened, server)
    await expect(page.locator(".banner-line")).to_contain_text("氯气泄漏 · 进行中 · 0:10 / 10:00")
    await expect(page.get_by_role("tab", name="导调")).to_be_hidden()
    await expect(page.locator("path.plume")).to_have_count(0)
    server.greeting = hello(instructor=True)
    await page.reload()
    await page.get_by_role("tab", name="导调").click()
    await expect(page.locator("path.plume")).to_have_count(3)
    await expect(page.locator(".plume-source.active")).to_have_text("☣ Cl₂")
    await expect(page.locator(".desk-facts")).to_contain_text("风：3.1 m/s，来自 38°")
    await page.get_by_role("button", name="暂停").click()
    assert (await asked(server))[0] == "/api/drill/pause"
    await page.get_by_role("button", name="注入：王芳链路中断 30 秒").click()
    assert await asked(server) == ("/api/drill/inject", {"inject": "cut"})
    await page.get_by_role("button", name="结束演练").click()
    await page.locator("dialog").get_by_role("button", name="结束演练").click()
    assert (await asked(server))[0] == "/api/drill/end"


async def test_a_real_emergency_is_asked_for_twice_and_stops_the_drill(
    opened: Opened, server: PageServer
) -> None:
    page = await open_page(opened, server, "?lang=en")
    declare = page.get_by_role("button", name="REAL EMERGENCY")
    await declare.click()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)
    await declare.click()
    await page.get_by_role("button", name="Yes, real emergency").click()
    assert (await asked(server))[0] == "/api/drill/real_emergency"
    await expect(page.locator(".banner-line")).to_contain_text("NO DRILL!")
    assert server.asked.empty()


async def test_everybody_is_told_that_it_is_no_drill(opened: Opened, server: PageServer) -> None:
    page = await open_page(opened, server)
    ended = Play().drill(90) | {"state": "ended", "reason": "duration"}
    await server.send({"type": "drill", "state": ended})
    await expect(page.locator(".banner-line")).to_contain_text("已结束")
    await expect(page.locator(".banner.stopped")).to_have_count(0)
    await server.send({"type": "drill", "state": ended | {"reason": "real_emergency"}})
    await expect(page.locator(".banner.stopped .banner-line")).to_contain_text("非演练！真实险情")
    await expect(page.locator(".banner-real")).to_be_hidden()


async def test_a_map_in_gcj02_gets_shifted_marks(opened: Opened, server: PageServer) -> None:
    source = {"kind": "raster", "url": "/static/icon.svg?z={z}&x={x}&y={y}", "datum": "gcj02"}
    server.greeting = hello(map=source)
    server.opening = [three_units()]
    page = await open_page(opened, server)
    await expect(page.locator(".map-datum")).to_have_text(
        "底图坐标系 GCJ-02 · 标记已由 WGS-84 转换"
    )
    await expect(page.locator(".graticule")).to_have_count(0)
    # Under the mark the cursor reads the unit's own WGS-84 position: shifted there, and back.
    body = page.locator(".m", has_text="指挥车01").locator(".m-body")
    box = await body.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    read = (await page.locator(".map-cursor").inner_text()).replace("°", " ").split()
    lat, lon, _ = Play().place(CV, 50)
    assert float(read[0]) == pytest.approx(lat, abs=1e-4)
    assert float(read[2]) == pytest.approx(lon, abs=1e-4)


async def test_a_map_of_unknown_datum_is_refused(opened: Opened, server: PageServer) -> None:
    source = {"kind": "raster", "url": "/static/icon.svg?z={z}", "datum": "bd09"}
    server.greeting = hello(map=source)
    page = await open_page(opened, server)
    says = page.locator(".map-datum")
    await expect(says).to_contain_text("未加载底图：其坐标系“bd09”未知")
    await expect(says).to_contain_text("无底图 · 经纬网 · WGS-84")
    assert not [url for url in opened.requests if "icon.svg?z" in url]
