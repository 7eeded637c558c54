"""The page in a real Chromium: readings, alarms, connection, language, keyboard."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .page_server import LEAK, PageServer, alarm, exposure, hello, now_ms, position, reading, status
from .pages import CV, LI, PHONE, WANG, Opened, asked, open_page, page_tests, three_units

pytestmark = page_tests


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
                reading("battery", 86.6, "%EL", source="power"),
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
    await expect(chlorine.locator(".tile-age")).to_have_text("1秒")
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


async def test_the_kit_stands_in_the_head_and_behind_details(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    card = page.locator(f'.card[data-unit="{CV}"]')
    await expect(card.locator(".card-battery")).to_have_text("电池 86 %")
    await expect(card.locator(".card-signal")).to_have_text("4G 好")
    await expect(card.locator(".signal-sign .on")).to_have_count(3)
    names = await card.locator(".card-readings .tile-name").all_text_contents()
    assert names[:2] == ["氯气", "一氧化碳"]
    assert names[-5:] == ["风速", "风向（来自）", "气温", "湿度", "气压"]
    summary = card.locator(".more summary")
    await expect(summary).to_have_text("其他读数 13 · 仪器 2⚠ 待校准 1 · ⚠ 未核实 1")
    await summary.press("Enter")
    await expect(card.locator('.more .tile[data-key="power/mains"] .tile-value')).to_have_text("无")
    await expect(card.locator('.more .tile[data-key="host/disk_free"]')).to_contain_text("15.5GB")
    gas1 = card.locator(".more-list li").first
    await expect(gas1).to_contain_text("编号 A1207 · 按手册 · 校准 2024-03-01（Chen）")
    await expect(gas1).to_contain_text("⚠ 待校准（2024-08-28 到期）")
    await expect(card.locator(".more-list li").nth(1)).to_contain_text("⚠ 未核实 · 校准日期不明")
    hot = alarm("high", 1, source="host", quantity="cpu_temperature")
    await server.send({"type": "active", "unit": CV, "alarms": [hot]})
    wrong = card.locator('.card-readings .tile[data-key="host/cpu_temperature"]')
    await expect(wrong).to_contain_text("▲▲ 高报警")


async def test_a_gas_says_its_mass_and_that_nothing_judges_it(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server, "?lang=en&video=off")
    card = page.locator(f'.card[data-unit="{CV}"]')
    await server.send(
        {"type": "records", "unit": CV, "records": [reading("cl2", 2.0, "ppm")]},
    )
    await expect(card.locator('.tile[data-key="gas1/cl2"] .tile-mass')).to_have_text("5.99 mg/m³")
    h2s = card.locator('.tile[data-key="head/h2s"] .tile-note')
    await expect(h2s).to_have_text("no limit · from memory")
    await card.locator(".more summary").click()
    await expect(card.locator(".more-air")).to_have_text(
        "mg/m³: at 14 °C and 1009 hPa (as measured)"
    )


async def test_what_waits_in_a_unit_and_what_it_gave_up_is_told(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server, "?lang=en&video=off")
    outbox = {
        "depth": 120, "oldest_s": 93.4, "bytes": 2_500_000,
        "dropped": {"readings": 7, "events": 2},
    }  # fmt: skip
    await server.send({"type": "status", "unit": CV, "status": status(CV, outbox=outbox)})
    card = page.locator(f'.card[data-unit="{CV}"]')
    await card.locator(".more summary").click()
    await expect(card.locator(".more-outbox")).to_have_text(
        "120 records to send, 2.5 MB on disk · oldest 93 s old · ⚠ 9 dropped"
    )


async def test_what_a_wearer_has_breathed_is_at_least_so_much(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server, "?lang=en&video=off")
    await server.send({"type": "status", "unit": LI, "status": status(LI, exposure=exposure())})
    card = page.locator(f'.card[data-unit="{LI}"]')
    await expect(card.locator(".more-says")).to_contain_text("dose Cl₂ ≥ 42% of limit")
    await card.locator(".more summary").click()
    await expect(card.locator(".dose-head")).to_contain_text("Exposure of 李强 007 since")
    lines = card.locator(".dose-line")
    await expect(lines.first).to_contain_text(
        "Cl₂ 15 min ≥0.21/0.50 ppm, 8 h ≥0.02 ppm, peak 1.20 ppm"
    )
    await expect(lines.nth(1)).to_contain_text("40 % measured")
    await expect(lines.nth(1)).to_have_class("dose-line poor")


async def test_the_log_tells_in_words_who_did_what(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server, "?lang=en&video=off")
    await page.locator("#tab-log").click()
    did = {"verb": "alarm.ack", "by": "console", "outcome": "done", "code": "ok"}
    saw = {"session": "s", "by": "Wang", "camera": "front", "code": "not_authorised"}
    for event, data in (("command", did), ("watch", saw)):
        record = {"t": now_ms(), "event": event, "source": "center", "data": data}
        await server.send({"type": "event", "unit": LI, "record": record})
    lines = page.locator(".log-line")
    await expect(lines.first).to_contain_text(
        "Wang watches the video front: refused: not authorised"
    )
    await expect(lines.nth(1)).to_contain_text("command post: acknowledge the alarm: done")


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
    await expect(acknowledged.locator(".alarm-state")).to_contain_text("指挥台 已看到")
    # The word of who stands there is another one.
    stands = [alarm("high", 1, state="acknowledged", by="panel")]
    await server.send({"type": "active", "unit": LI, "alarms": stands})
    await expect(acknowledged.locator(".alarm-state")).to_contain_text("已确认")
    await expect(acknowledged.locator(".alarm-ack")).to_be_hidden()


async def test_who_sits_there_is_asked_once_and_told_with_each_command(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    operator = page.locator(".operator")
    await expect(operator).to_contain_text("未署名")
    await operator.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("值班员姓名").fill("  陈/伟 ")
    await dialog.get_by_role("button", name="保存").click()
    await expect(operator).to_contain_text("陈 伟")
    await page.reload()
    await expect(page.locator(".operator")).to_contain_text("陈 伟")
    await page.get_by_role("button", name="确认报警：救援员 李强 氯气 Cl₂ 高报警").click()
    _, body = await asked(server)
    assert body["by"] == "陈 伟"
    stands = [alarm("high", 1, state="acknowledged", by="console/陈 伟")]
    await server.send({"type": "active", "unit": LI, "alarms": stands})
    state = page.locator('.alarm[data-alarm="gas1/cl2/high"] .alarm-state')
    await expect(state).to_contain_text("指挥台 陈 伟 已看到")
    await page.evaluate("localStorage.removeItem('outpost.operator')")


async def test_a_name_that_the_token_has_cannot_be_changed(
    opened: Opened, server: PageServer
) -> None:
    server.opening, server.operator = [three_units()], "Chen"
    try:
        page = await open_page(opened, server)
        await expect(page.locator(".operator")).to_contain_text("Chen")
        await expect(page.locator(".operator")).to_be_disabled()
        await page.get_by_text("已收到求救").click()
        _, body = await asked(server)
        assert body["by"] == "Chen"
    finally:
        server.operator = ""


async def test_an_sos_is_confirmed(opened: Opened, server: PageServer) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    await page.get_by_text("已收到求救").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/sos.confirm"
    assert body["args"] == {"alarm": "panel/sos/sos"}


async def test_clean_air_is_said_once_more_than_once(opened: Opened, server: PageServer) -> None:
    """Over range that was acknowledged stays, and a hasty second tap does not end it."""
    opening = three_units()
    unit = opening["units"][WANG]
    unit["status"]["verbs"] = ["alarm.ack", "air.clean"]
    unit["alarms"] = [
        alarm("over_range", 1, source="head", quantity="combustible", state="acknowledged",
              by="panel"),
        alarm("high", 1, source="head", quantity="combustible", state="acknowledged", by="panel"),
    ]  # fmt: skip
    server.opening = [opening]
    page = await open_page(opened, server, "?lang=en&video=off")
    await page.get_by_role("button", name="Air is clean").click()
    await page.get_by_role("button", name="Not sure").click()
    assert server.asked.empty()
    await page.get_by_role("button", name="Air is clean").click()
    await page.get_by_role("dialog").get_by_role("button", name="Air is clean").click()
    path, body = await asked(server)
    assert path == f"/api/units/{WANG}/commands/air.clean"
    assert body["args"]["alarm"].endswith("over_range")


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
        "Rescuer Wang Fang refused ACK CO SILENT: not authorised (this center may not acknowledge)"
    )


async def test_sound_needs_a_touch_and_a_new_alarm_ends_the_muting(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [three_units()]
    page = await open_page(opened, server)
    sound = page.locator(".top-button").first
    await expect(sound).to_contain_text("开启报警声")
    # One that comes later than the second touch would end the muting at once, as it should.
    await expect(page.locator(".alarm").first).to_be_visible()
    await sound.click()
    await expect(sound).to_contain_text("声音开")
    await sound.click()
    await expect(sound).to_contain_text("已静音")
    await server.send({"type": "active", "unit": CV, "alarms": [alarm("high", 1)]})
    await expect(sound).to_contain_text("声音开")


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
    opened: Opened,
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
