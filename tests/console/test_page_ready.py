"""The check before use, the wearer and hints on the page: by keyboard, in both languages."""

from __future__ import annotations

import time
from typing import Any

from playwright.async_api import Locator, Page, expect

from .page_server import PageServer, now_ms, status
from .pages import LI, Opened, asked, open_page, page_tests, three_units

pytestmark = page_tests
VERBS = ["alarm.ack", "selftest", "selftest.bump", "wearer"]


def checked(state: str = "ready_with_warnings", **over: Any) -> dict[str, Any]:
    return {
        "state": state, "t": now_ms() - 3_600_000, "by": "Chen", "result": "ready_with_warnings",
        "not_ok": [
            {"item": "zero", "source": "gas1", "quantity": "cl2", "state": "fail",
             "code": "zero_off"},
            {"item": "calibration", "source": "gas1", "state": "warn",
             "code": "calibration_overdue"},
        ],
        "bumps": [
            {"source": "gas1", "quantity": "cl2", "unit": "ppm", "concentration": 5.0,
             "value": 4.1, "seconds": 12.0, "passed": True, "by": "Chen", "t": now_ms() - 7_200_000}
        ],
        "sensors": ["gas1/cl2", "head/o2"], "signed": "ed25519",
    } | over  # fmt: skip


def with_status(**told: Any) -> dict[str, Any]:
    made = three_units()
    made["units"][LI]["status"] = status(LI, verbs=VERBS, **told)
    return made


def ready_of(page: Page) -> Locator:
    return page.locator(f'.card[data-unit="{LI}"] .ready')


async def test_a_person_checks_a_unit_by_keyboard(opened: Opened, server: PageServer) -> None:
    server.opening = [with_status(selftest={"state": "never", "sensors": ["gas1/cl2", "head/o2"]})]
    page = await open_page(opened, server)
    ready = ready_of(page)
    await expect(ready.locator("summary")).to_have_text("✕ 使用前自检：从未自检")
    await ready.locator("summary").focus()
    await page.keyboard.press("Enter")
    # The wearer's field and its button, the statement, the button.
    for _ in range(3):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    path, body = await asked(server)
    assert (path, body["args"]) == (f"/api/units/{LI}/commands/selftest", {"clean_air": True})
    # It was stated once.
    await expect(ready.get_by_label("我确认此处空气洁净")).not_to_be_checked()
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await page.keyboard.type("12.5")
    await page.keyboard.press("Enter")
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/selftest.bump"
    assert body["args"] == {"source": "head", "quantity": "o2", "concentration": 12.5}
    told = checked("not_ready", bumping="head/o2")
    await server.send(
        {"type": "status", "unit": LI, "status": status(LI, verbs=VERBS, selftest=told)}
    )
    await expect(ready.locator("summary")).to_contain_text("请向 O₂ head 通气")
    await expect(ready.get_by_role("button", name="通气测试")).to_be_disabled()
    assert opened.errors == []


async def test_it_says_what_is_not_right_in_both_languages(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [with_status(selftest=checked())]
    page = await open_page(opened, server)
    ready = ready_of(page)
    await expect(ready.locator("summary")).to_have_text(
        "! 使用前自检：可用，有警告 · Chen，1小时0分前"
    )
    await ready.locator("summary").click()
    lines = ready.locator(".ready-list li")
    await expect(lines).to_have_text(
        [
            "✕ 零点 Cl₂ gas1 超出允差",
            "! 标定 gas1 已过期",
            "✓ Cl₂ gas1：4.10 / 5 ppm，通过，2小时0分前",
            "由本机密钥签署",
        ]
    )
    await page.get_by_role("button", name="Switch to English").click()
    await expect(lines.first).to_have_text("✕ zero Cl₂ gas1 outside its tolerance")
    await expect(ready.locator("summary")).to_contain_text(
        "ready with warnings · Chen, 1 h 0 min ago"
    )
    for state, words in (("expired", "✕ Check before use: check has expired"),
                         ("ready", "✓ Check before use: ready"),
                         ("not_ready", "✕ Check before use: NOT READY")):  # fmt: skip
        told = status(LI, verbs=VERBS, selftest=checked(state))
        await server.send({"type": "status", "unit": LI, "status": told})
        await expect(ready.locator("summary")).to_contain_text(words)


async def test_who_may_not_check_sees_the_state_alone(opened: Opened, server: PageServer) -> None:
    made = three_units()
    made["units"][LI]["status"] = status(LI, verbs=["alarm.ack"], selftest=checked())
    server.opening = [made]
    page = await open_page(opened, server)
    ready = ready_of(page)
    await ready.locator("summary").click()
    await expect(ready.locator(".ready-list li").first).to_be_visible()
    await expect(ready.locator("button:visible, input:visible, select:visible")).to_have_count(0)


async def test_a_scanner_names_the_wearer_and_a_person_may_type(
    opened: Opened, server: PageServer
) -> None:
    dose = {"wearer": "李强", "wearer_id": "007", "since": now_ms(), "until": now_ms(), "doses": []}
    server.opening = [with_status(selftest=checked(), exposure=dose)]
    page = await open_page(opened, server)
    ready = ready_of(page)
    await ready.locator("summary").click()
    await expect(ready.locator(".wearer-now")).to_have_text("佩戴人：李强 007")
    field = ready.get_by_placeholder("扫码或输入：姓名;编号")
    # A keyboard wedge: it types what stands in the code, and ends with Enter.
    for text, args in (
        ("outpost-wearer:王芳;0417", {"name": "王芳", "id": "0417"}),
        ("OUTPOST-WEARER:Li Ming;12", {"name": "Li Ming", "id": "12"}),
        ("王芳；0417", {"name": "王芳", "id": "0417"}),
        ("Chen", {"name": "Chen", "id": ""}),
    ):
        await field.focus()
        await page.keyboard.type(text)
        await page.keyboard.press("Enter")
        path, body = await asked(server)
        assert (path, body["args"]) == (f"/api/units/{LI}/commands/wearer", args)
        await expect(field).to_have_value("")
    # An empty code names nobody.
    await field.focus()
    await page.keyboard.type("outpost-wearer:;")
    await page.keyboard.press("Enter")
    assert server.asked.empty()
    handed = status(LI, verbs=VERBS, selftest=checked(),
                    exposure=dose | {"wearer": "王芳", "wearer_id": "0417"})  # fmt: skip
    await server.send({"type": "status", "unit": LI, "status": handed})
    await expect(ready.locator(".wearer-now")).to_have_text("佩戴人：王芳 0417")


async def test_hints_are_called_estimates_and_go_when_they_are_old(
    opened: Opened, server: PageServer
) -> None:
    advice = {
        "estimate": True,
        "upwind": {"bearing_deg": 44, "speed_m_s": 3.1, "age_s": 2, "source": "wxt"},
        "exceedance": {"alarm": "gas1/cl2/high", "distance_m": 120, "bearing_deg": 268,
                       "t": now_ms() - 120_000},
    }  # fmt: skip
    server.opening = [with_status(advice=advice)]
    page = await open_page(opened, server)
    line = page.locator(f'.card[data-unit="{LI}"] .advice')
    await expect(line.locator(".advice-label")).to_have_text("估计，仅供参考")
    await expect(line).to_contain_text(
        "上风方向 东北 44°（风速 3.1 m/s） · 最近一次超限在 西 268° 120 米处"
    )
    await page.get_by_role("button", name="Switch to English").click()
    await expect(line).to_contain_text("ESTIMATE, for orientation only upwind is NE 44°")
    calm = {"estimate": True, "no_upwind": "calm", "no_exceedance": "none"}
    await server.send({"type": "status", "unit": LI, "status": status(LI, advice=calm)})
    await expect(line).to_have_text(
        "ESTIMATE, for orientation only no upwind direction: below 1 m/s"
    )
    old = status(LI, advice=advice, t=int(time.time() * 1000) - 61_000)
    await server.send({"type": "status", "unit": LI, "status": old})
    await expect(line).to_be_hidden()
