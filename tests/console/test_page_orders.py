"""The page shows what people at a unit are told: they confirm and report, a center adds to it."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from .page_server import PageServer, now_ms, status
from .pages import LI, Opened, asked, open_page, page_tests, three_units

pytestmark = page_tests
ON_BOARD = ["alarm.ack", "message.confirm", "task.step"]
CENTER = ["alarm.ack", "message", "task"]


def told(verbs: list[str], **over: Any) -> dict[str, Any]:
    return status(LI, verbs=verbs, **over)


def message(**over: Any) -> dict[str, Any]:
    return {"id": "m1", "text": "风向转变，撤离", "by": "hq", "t": now_ms(), **over}


def task(**over: Any) -> dict[str, Any]:
    return {"id": "t1", "text": "关闭阀门", "by": "hq", "t": now_ms(), "changed": now_ms(), **over}


async def test_who_is_at_the_unit_confirms_a_message_and_reports_of_a_task(
    opened: Opened, server: PageServer
) -> None:
    made = three_units()
    made["units"][LI]["status"] = told(
        ON_BOARD, messages=[message(urgency="urgent")], tasks=[task()], incident="wh-2026-017"
    )
    server.opening = [made]
    page = await open_page(opened, server)
    strip = page.locator(f'.card[data-unit="{LI}"] .orders')
    line = strip.locator(".order-message")
    await expect(line).to_have_class("order order-message urgent")
    await expect(line).to_contain_text("风向转变，撤离")
    await expect(line).to_contain_text("待确认")
    await expect(strip).to_contain_text("事件 wh-2026-017")
    await expect(strip.locator(".order-new")).to_be_hidden()
    await line.get_by_role("button", name="已读").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/message.confirm"
    assert body["args"] == {"message": "m1"}
    await strip.get_by_role("button", name="接受").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/task.step"
    assert body["args"] == {"task": "t1", "step": "accept"}
    late = told(
        ON_BOARD, messages=[message(state="unconfirmed")],
        tasks=[task(state="arrived", changed_by="panel")],
    )  # fmt: skip
    await server.send({"type": "status", "unit": LI, "status": late})
    await expect(line).to_contain_text("久未确认")
    await expect(strip).to_contain_text("hq · 已到达 · 本机按钮")
    await expect(strip.get_by_role("button", name="接受")).to_have_count(0)
    await strip.get_by_role("button", name="完成").click()
    _, body = await asked(server)
    assert body["args"] == {"task": "t1", "step": "done"}
    await server.send({"type": "status", "unit": LI, "status": told(ON_BOARD)})
    await expect(strip).to_be_hidden()
    assert opened.errors == []


async def test_a_center_sends_a_message_and_a_task_and_confirms_none(
    opened: Opened, server: PageServer
) -> None:
    made = three_units()
    made["units"][LI]["status"] = told(CENTER, messages=[message()])
    server.opening = [made]
    page = await open_page(opened, server)
    strip = page.locator(f'.card[data-unit="{LI}"] .orders')
    await expect(strip.get_by_role("button", name="已读")).to_have_count(0)
    await page.get_by_role("button", name="Switch to English").click()
    await strip.get_by_text("Send a message or a task").click()
    field = strip.get_by_label("Text")
    await strip.get_by_role("button", name="Send message").click()
    await expect(field).to_be_focused()
    await field.fill("  wind turns, leave ")
    await strip.get_by_label("urgent").check()
    await strip.get_by_role("button", name="Send message").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/message"
    assert body["args"] == {"text": "wind turns, leave", "urgency": "urgent"}
    await expect(field).to_have_value("")
    # What arrives meanwhile takes nothing out of the hand of who writes.
    await field.fill("close the")
    await server.send({"type": "status", "unit": LI, "status": told(CENTER)})
    await expect(strip.locator(".order")).to_have_count(0)
    await expect(field).to_have_value("close the")
    await field.press_sequentially(" valve")
    await strip.get_by_role("button", name="Give task").click()
    path, body = await asked(server)
    assert path == f"/api/units/{LI}/commands/task"
    assert body["args"] == {"text": "close the valve"}
    assert opened.errors == []
