"""The page in a real Chromium, before a console of cardboard (page_server.py)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from .page_server import (
    LEAK,
    STATIC,
    PageServer,
    Play,
    alarm,
    hello,
    now_ms,
    position,
    reading,
    status,
)

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=user-gesture-required"
).split()
DESK = ViewportSize(width=1366, height=768)
PHONE = ViewportSize(width=390, height=844)
CV, LI, WANG = "ex-cv-01", "ex-sk-01", "ex-sk-02"
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////"
    "////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
    pytest.mark.skipif(
        not (STATIC / "index.html").exists(),
        reason="the page is not built (python agent/console/build_web.py)",
    ),
]


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


class Opened:
    """A page at work, and what must not have happened on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest_asyncio.fixture(loop_scope="module")
async def opened(browser: Browser) -> AsyncIterator[Opened]:
    context = await browser.new_context(viewport=DESK)
    made = Opened(await context.new_page())
    made.page.set_default_timeout(10_000)
    yield made
    await context.close()
    assert made.errors == []


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


async def test_readings_have_value_unit_quality_and_age(opened: Opened, server: PageServer) -> None:
    page = await open_page(opened, server)
    await expect(page.locator("#no-units")).to_have_text("尚未收到任何单元的数据")
    await server.send(
        {"type": "status", "unit": LI, "status": status(LI)},
        {
            "type": "records",
            "unit": LI,
            "records": [
                position(*LEAK),
                reading("cl2", 0.523, "ppm"),
                reading("o2", 20.87, "/100", source="head"),
                reading("h2s", None, "ppm", source="head", quality="warmup"),
                reading("battery", 86.6, "%", source="power"),
            ],
        },
        {"type": "counts", "unit": LI, "counts": {"received": 5, "repeated": 1, "missing": 2}},
    )
    card = page.locator(f'.card[data-unit="{LI}"]')
    await expect(card.locator(".card-name")).to_have_text("救援员 李强")
    chlorine = card.locator('.tile[data-key="gas1/cl2"]')
    await expect(chlorine.locator(".tile-name")).to_have_text("氯气")
    await expect(chlorine.locator(".tile-formula")).to_have_text("Cl₂")
    await expect(chlorine.locator(".tile-value")).to_have_text("0.52")
    await expect(chlorine.locator(".tile-unit")).to_have_text("ppm")
    await expect(chlorine.locator(".tile-age")).to_have_text("1 秒")
    await expect(card.locator('.tile[data-key="head/o2"] .tile-unit')).to_have_text("%vol")
    warming = card.locator('.tile[data-key="head/h2s"]')
    await expect(warming.locator(".tile-value")).to_have_text("—")
    await expect(warming.locator(".tile-note")).to_contain_text("预热")
    await expect(card.locator(".card-battery")).to_have_text("电池 87 %")
    await expect(card.locator(".card-counts")).to_have_text("收 5 · 缺 2 · 重复 1")
    await expect(card.locator(".card-place")).to_contain_text(
        "30.59520°N 114.30460°E · ±4 m · 模拟"
    )
    await expect(page.locator(".m-label b")).to_have_text("救援员 李强")
    assert all(url.startswith(server.url) for url in opened.requests)


async def test_what_is_old_says_so(opened: Opened, server: PageServer) -> None:
    old = {"t": now_ms() - 95_000}
    server.opening = [
        {"type": "snapshot", "units": {LI: {"status": status(LI), "links": {"center": "lost"}}}}
    ]
    page = await open_page(opened, server)
    records = [position(*LEAK) | old, reading("cl2", 0.2, "ppm", **old)]
    await server.send({"type": "records", "unit": LI, "records": records})
    card = page.locator(f'.card[data-unit="{LI}"]')
    await expect(card.locator(".card-age")).to_contain_text("旧数据 9")
    await expect(card.locator(".tile-age")).to_contain_text("旧 9")
    await expect(card.locator(".chip")).to_have_text("链路 断")
    await expect(page.locator(".m.old .m-age")).to_contain_text("旧数据 9")


async def test_the_language_is_switched_at_once_and_kept(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    notice = page.locator("#notice")
    await expect(notice).to_contain_text("不是经认证的气体检测报警仪")
    await page.get_by_role("button", name="Switch to English").click()
    await expect(notice).to_contain_text("Not a certified gas detector; decision support only")
    await expect(page.locator(".card-name").first).to_have_text("Command vehicle 01")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.reload()
    await expect(page.locator(".card-name").first).to_have_text("Command vehicle 01")
    await page.goto(server.url + "?lang=zh&video=off")
    await expect(page.locator(".card-name").first).to_have_text("指挥车01")


async def test_the_servers_language_counts_until_somebody_chooses(
    opened: Opened, server: PageServer
) -> None:
    server.greeting = hello(lang="en")
    page = await open_page(opened, server)
    await expect(page.locator(".alarm-count")).to_have_text("✓ No active alarm")


async def test_alarms_by_rank_with_sign_words_and_button(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    tiles = page.locator(".alarm")
    await expect(tiles).to_have_count(4)
    await expect(tiles.locator(".alarm-sign")).to_have_text(["▲▲", "SOS", "▲", "?"])
    await expect(tiles.locator(".alarm-title")).to_have_text(
        ["氯气 Cl₂ 高报警", "按下求救", "氯气 Cl₂ 低报警", "一氧化碳 CO 无数据"]
    )
    await expect(tiles.nth(1).locator(".alarm-detail")).to_contain_text("°N")
    await page.get_by_role("button", name="确认报警：救援员 李强 氯气 Cl₂ 高报警").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/alarm.ack"
    assert body["args"] == {"alarm": "gas1/cl2/high"}
    await expect(tiles.first.locator(".alarm-ack")).to_have_text("发送中……")
    done = {"t": now_ms(), "id": body["id"], "verb": "alarm.ack", "outcome": "done", "by": "a"}
    stands = [alarm("high", 1, state="acknowledged", by="console")]
    await server.send(
        {"type": "ack", "unit": LI, "record": done},
        {"type": "active", "unit": LI, "alarms": stands},
    )
    await expect(page.locator(".toast")).to_contain_text("救援员 李强 已执行：确认 氯气 Cl₂ 高报警")
    acknowledged = page.locator('.alarm[data-alarm="gas1/cl2/high"]')
    await expect(acknowledged.locator(".alarm-state")).to_contain_text("console 已确认")
    await expect(acknowledged.locator(".alarm-ack")).to_be_hidden()


async def test_an_sos_is_confirmed(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    await page.get_by_text("已收到求救").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/sos.confirm"
    assert body["args"] == {"alarm": "panel/sos/sos"}


async def test_a_refusal_is_said(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    server.refuse[f"/api/units/{WANG}/commands/alarm.ack"] = "no path to the broker"
    page = await open_page(opened, server, "?lang=en&video=off")
    await page.locator('.alarm[data-rank="4"] .alarm-ack').click()
    toast = page.locator(".toast.bad")
    await expect(toast).to_contain_text("ACK CO SILENT could not be sent: no path to the broker")


async def test_a_unit_that_refuses_is_quoted(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server, "?lang=en&video=off")
    await page.locator('.alarm[data-rank="4"] .alarm-ack').click()
    _, body = await asked(server)
    record = {
        "t": now_ms(), "id": body["id"], "verb": "alarm.ack", "outcome": "refused",
        "code": "not_authorised", "detail": "this center may not acknowledge",
    }  # fmt: skip
    await server.send({"type": "ack", "unit": WANG, "record": record})
    await expect(page.locator(".toast.bad")).to_contain_text(
        "Rescuer Wang Fang refused ACK CO SILENT: this center may not acknowledge"
    )


async def test_sound_needs_a_touch_and_a_new_alarm_ends_the_muting(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    sound = page.locator(".top-button").first
    await expect(sound).to_contain_text("开启报警声")
    await sound.click()
    await expect(sound).to_contain_text("声音开")
    await sound.click()
    await expect(sound).to_contain_text("已静音")
    await server.send({"type": "active", "unit": CV, "alarms": [alarm("high", 1)]})
    await expect(sound).to_contain_text("声音开")


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


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_everything_important_is_in_view(
    opened: Opened, server: PageServer, lang: str
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server, f"?lang={lang}&video=off")
    important = [".card-foot", ".card-head .chip", ".alarm", ".alarm-ack", "#map", ".m", "#notice"]
    for part in important:
        for one in await page.locator(part).all():
            await expect(one).to_be_in_viewport(ratio=0.95)
    await expect(page.locator(".chart-plot canvas").first).to_be_in_viewport(ratio=1)
    await page.set_viewport_size(PHONE)
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    small = await page.evaluate(
        """[...document.querySelectorAll("button")].filter((one) => one.offsetParent &&
             (one.offsetHeight < 32 || one.offsetWidth < 32)).map((one) => one.className)"""
    )
    assert small == []


async def test_a_lost_broker_and_a_lost_page_are_said_aloud(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [{"type": "broker", "state": "up"}, three_units()]
    page = await open_page(opened, server, "?lang=en&video=off")
    strip = page.locator("#connection")
    await expect(strip).to_be_hidden()
    await server.send({"type": "broker", "state": "lost", "detail": "connection refused"})
    await expect(strip).to_contain_text("Broker connection lost")
    await expect(strip).to_contain_text("connection refused")
    await server.send({"type": "broker", "state": "up"})
    await expect(strip).to_be_hidden()
    await server.drop()
    await expect(strip).to_contain_text("Page is not connected")
    await expect(strip).to_be_hidden()
    await expect(page.locator(".card")).to_have_count(3)


async def test_a_page_without_its_server_says_how_old_it_is(
    opened: Opened, browser: Browser
) -> None:
    server = PageServer()
    async with server.serve():
        server.opening = [three_units()]
        page = await open_page(opened, server, "?lang=en&video=off")
        await expect(page.locator(".card")).to_have_count(3)
    strip = page.locator("#connection")
    await expect(strip).to_contain_text("Page is not connected: everything below is")
    await expect(page.locator(".alarm-count")).to_be_visible()
    await expect(page.locator("body")).to_have_class("exercise stale")


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


async def test_in_a_drill_the_first_camera_plays_by_itself(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    await open_page(opened, server, "")
    path, _ = await asked(server)
    assert path == f"/whep/{CV}/front"


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


async def test_names_off_the_wire_are_text(opened: Opened, server: PageServer) -> None:
    bad = "<img src=x onerror=alert(1)>"
    named = status(LI, name={"zh": bad, "en": bad})
    server.opening = [three_units()]
    page = await open_page(opened, server)
    await server.send({"type": "status", "unit": LI, "status": named})
    await expect(page.locator(f'.card[data-unit="{LI}"] .card-name')).to_have_text(bad)
    await expect(page.locator(".m-label b", has_text=bad)).to_be_visible()
    assert not [url for url in opened.requests if url.endswith("/x")]


async def test_it_is_worked_by_keyboard_alone(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    await expect(page.locator(".alarm")).to_have_count(4)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    reached = "document.activeElement.matches('.alarm-ack')"
    for _ in range(4):
        await page.keyboard.press("Tab")
        if await page.evaluate(reached):
            break
    assert await page.evaluate(reached), "acknowledging is at most four keys from the skip link"
    await page.keyboard.press("Enter")
    path, body = await asked(server)
    assert (path, body["args"]["alarm"]) == (f"/api/units/{LI}/commands/alarm.ack", "gas1/cl2/high")
    await page.locator("#tab-charts").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#log")).to_be_visible()
