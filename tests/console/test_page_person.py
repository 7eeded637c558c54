"""The page tells of whoever carries a unit, and lets them call for help, take it back, check in."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from .page_server import PageServer, now_ms, status
from .pages import LI, Opened, asked, open_page, page_tests, three_units

pytestmark = page_tests
VERBS = ["alarm.ack", "sos.confirm", "sos.raise", "sos.cancel", "check_in"]


def with_person(**person: Any) -> dict[str, Any]:
    made = three_units()
    told = {"protected": True, "check_in": "waiting", "check_in_due": now_ms() + 600_000} | person
    made["units"][LI]["status"] = status(LI, verbs=VERBS, person=told)
    return made


async def test_a_person_at_the_unit_calls_checks_in_and_takes_it_back(
    opened: Opened, server: PageServer
) -> None:
    server.opening = [with_person()]
    page = await open_page(opened, server)
    strip = page.locator(f'.card[data-unit="{LI}"] .person')
    await expect(strip).to_contain_text("♥ 仪器正常")
    await expect(strip).to_contain_text("报平安：9:")
    await strip.get_by_role("button", name="报平安").click()
    assert (await asked(server))[0] == f"/api/units/{LI}/commands/check_in"
    # A slip of a finger calls nobody.
    await strip.get_by_role("button", name="求救").click()
    await page.get_by_role("dialog").get_by_role("button", name="取消").click()
    await strip.get_by_role("button", name="求救").click()
    await page.get_by_role("dialog").get_by_role("button", name="求救").click()
    assert (await asked(server))[0] == f"/api/units/{LI}/commands/sos.raise"
    sos = {"stage": "unconfirmed", "since": now_ms()}
    await server.send({"type": "status", "unit": LI,
                       "status": status(LI, verbs=VERBS, person={"sos": sos})})  # fmt: skip
    await expect(strip).to_contain_text("尚无人确认")
    await page.get_by_role("button", name="Switch to English").click()
    await expect(strip).to_contain_text("SOS: NOBODY HAS CONFIRMED")
    await strip.get_by_label("Reason").select_option("safe again")
    await strip.get_by_role("button", name="Cancel SOS").click()
    path, body = await asked(server)
    assert (path, body["args"]) == (f"/api/units/{LI}/commands/sos.cancel", {"reason": "safe"})


async def test_the_page_says_what_is_asked_and_why_the_heart_stands_still(
    opened: Opened, server: PageServer
) -> None:
    zones = [{"id": "tank", "kind": "hot", "inside": True, "name": {"zh": "储罐区", "en": "tanks"}}]
    server.opening = [
        with_person(
            motion="prealarm", no_motion_at=now_ms() + 60_000, zones=zones, driving=True,
            protected=False, unprotected=["cl2: silent"], check_in="due",
        )
    ]  # fmt: skip
    page = await open_page(opened, server)
    strip = page.locator(f'.card[data-unit="{LI}"] .person')
    for text in ("静止预警", "请报平安", "在热区 储罐区", "行车中", "无防护：cl2 无数据"):
        await expect(strip).to_contain_text(text)
    # A center that may not do these things for the wearer is offered none.
    other = page.locator(".card", has=page.locator(".person-do:visible"))
    await expect(other).to_have_count(1)
    assert opened.errors == []
