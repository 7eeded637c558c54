"""A flood: twenty units with every sensor in alarm, over a real broker and a real console.  What is
grouped, what is read without scrolling, how a person gets at each by keyboard."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from agent.console import app
from agent.mqtt import Broker, Connection, Message, connect
from tests.mosquitto import Mosquitto, find_mosquitto
from tests.waiting import until

from . import page_server
from .pages import DESK, page_tests
from .wire import EPOCH, batch, encode, options, position, reading

pytestmark = page_tests
UNITS = [f"ex-sk-{number:02d}" for number in range(1, 21)]
SENSORS = (
    ("gas1", "cl2", "ppm", 3.2, "high", 1, 1.0),
    ("head", "h2s", "ppm", 40.0, "high", 1, 10.0),
    ("head", "co", "ppm", 310.0, "high", 1, 60.0),
    ("head", "o2", "/100", 17.1, "critical", 1, 18.0),
    ("head", "combustible", "%LEL", None, "over_range", 1, None),
)
CALLERS = {"ex-sk-07": "sos", "ex-sk-13": "no_motion"}
ROOT = "outpost-exercise/v1/hubei"


def alarms_of(unit: str) -> list[dict[str, Any]]:
    """Every sensor: above high (so above low too), and one that is silent."""
    t = int(time.time() * 1000)
    found = []
    for source, quantity, unit_of, value, code, rank, limit in SENSORS:
        body = {"source": source, "quantity": quantity, "unit": unit_of, "value": value,
                "quality": "good" if value is not None else "over_range"}  # fmt: skip
        kinds = [(code, rank, limit)]
        if code == "high":
            kinds.append(("low", 3, (limit or 0) / 2))
        for name, its, at in kinds:
            found.append(page_server.alarm(
                name, its, source=source, quantity=quantity, limit=at, since=t,
                reading={**body, "t": t},
            ))  # fmt: skip
    found.append(page_server.alarm("silent", 4, source="wxt", quantity="wind_speed", since=t))
    found.append(page_server.alarm("battery", 5, source="power", quantity="battery", since=t))
    if (call := CALLERS.get(unit)) is not None:
        found.append(page_server.alarm(call, 2, source="person", quantity=call, since=t))
    return found


class Fleet:
    """Twenty units on one connection: what they say, and what they are told."""

    def __init__(self, connection: Connection, heard: list[Message]) -> None:
        self.connection = connection
        self.heard = heard
        self.standing = {unit: alarms_of(unit) for unit in UNITS}
        self.version = 0
        self.commands: list[tuple[str, dict[str, Any]]] = []

    @property
    def count(self) -> int:
        return sum(map(len, self.standing.values()))

    async def say(self, unit: str, path: str, payload: bytes, *, retain: bool = True) -> None:
        await self.connection.publish(f"{ROOT}/{unit}/{path}", payload, retain=retain)

    async def active(self, unit: str) -> None:
        self.version += 1
        await self.say(unit, "alarms/active", encode({
            "unit": unit, "mark": "exercise", "epoch": EPOCH, "version": self.version,
            "t": int(time.time() * 1000), "alarms": self.standing[unit],
        }))  # fmt: skip

    async def flood(self) -> None:
        for number, unit in enumerate(UNITS):
            told = page_server.status(
                unit, epoch=EPOCH, sources=[], cameras=[], unlimited=[], air=None,
                name={"zh": f"救援员{number + 1:02d}", "en": f"Rescuer {number + 1:02d}"},
                epochs=[{"epoch": EPOCH, "last": 0}],
            )  # fmt: skip
            await self.say(unit, "status", encode(told))
            t = int(time.time() * 1000)
            rows = [position(1, 30.59 + number / 1000, 114.30, t=t)] + [
                reading(seq, value, t=t, source=source, quantity=quantity, unit=unit_of)
                for seq, (source, quantity, unit_of, value, *_) in enumerate(SENSORS, 2)
            ]
            await self.say(unit, "readings", batch(*rows, unit=unit), retain=False)
            await self.active(unit)

    def take(self, message: Message) -> None:
        _, _, _, unit, _, verb = message.topic.split("/")
        self.commands.append((f"{unit} {verb}", msgspec.json.decode(message.payload)["args"]))

    async def acknowledge(self) -> None:
        """As units do when they are told to."""
        for said, args in self.commands:
            unit = said.split()[0]
            for alarm in self.standing[unit]:
                if alarm["alarm"] == args["alarm"]:
                    alarm |= {"state": "acknowledged", "by": "console"}
            await self.active(unit)


@pytest_asyncio.fixture(loop_scope="module")
async def flooded(browser: Browser, tmp_path: Path) -> AsyncIterator[tuple[Page, Fleet]]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    broker = Mosquitto.in_folder(program, tmp_path)
    broker.start()
    heard: list[Message] = []
    chosen = options(broker.url, page_server.STATIC)
    context = await browser.new_context(viewport=DESK)
    try:
        async with (
            app.running(chosen) as url,
            connect(
                Broker.from_url(broker.url), client_id="fleet", on_message=heard.append
            ) as link,
        ):
            fleet = Fleet(link, heard)
            await link.subscribe([f"{ROOT}/+/cmd/+"])
            page = await context.new_page()
            page.set_default_timeout(10_000)
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(url + "?video=off&lang=zh")
            await fleet.flood()
            counted = re.compile(rf"^{fleet.count} 条报警，{fleet.count} 条未确认$")
            await expect(page.locator(".alarm-count")).to_have_text(counted, timeout=20_000)
            yield page, fleet
            assert errors == []
    finally:
        await context.close()
        broker.stop()


async def rows(page: Page) -> list[tuple[str, str]]:
    """(rank, what it says) of each row, in the order of the page."""
    found = []
    for node in await page.locator(".alarm-list > li").all():
        title = " ".join((await node.locator(".alarm-title").inner_text()).split())
        found.append((await node.get_attribute("data-rank") or "", title))
    return found


async def in_sight(page: Page) -> list[str]:
    """The titles that are whole within the bar, without scrolling."""
    shown = await page.evaluate("""() => {
        const box = document.querySelector(".alarm-list").getBoundingClientRect();
        return [...document.querySelectorAll(".alarm-list > li")].filter((row) => {
            const at = row.getBoundingClientRect();
            return at.top >= box.top - 1 && at.bottom <= box.bottom + 1
                && at.bottom <= innerHeight && at.right <= innerWidth;
        }).map((row) => row.querySelector(".alarm-title").textContent.trim());
    }""")
    return [" ".join(text.split()) for text in shown]


async def cut_off(page: Page, selector: str) -> list[str]:
    """What of these does not find its room."""
    found: list[str] = await page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)]
            .filter((part) => part.scrollWidth > part.clientWidth + 1)
            .map((part) => part.textContent)""",
        selector,
    )
    return found


async def test_a_flood_is_grouped_and_who_calls_for_help_stays_in_sight(
    flooded: tuple[Page, Fleet],
) -> None:
    page, fleet = flooded
    found = await rows(page)
    assert fleet.count == 20 * (len(SENSORS) + 3 + 2) + 2
    # 202 alarms are twelve rows: by rank, people each for themselves.
    assert [rank for rank, _ in found] == ["1"] * 5 + ["2"] * 2 + ["3"] * 3 + ["4"] * 2
    seen = await in_sight(page)
    urgent = [title for rank, title in found if rank in ("1", "2")]
    assert [title for title in seen if title in urgent] == urgent
    # What is cut off is never the gas, nor what is wrong with it, nor who calls.
    assert urgent[:5] == ["O₂ 严重不足", "Cl₂ 高报警", "CO 高报警", "H₂S 高报警", "Ex 超量程"]
    whole = ".alarm-group .alarm-title > *, .person .alarm-who, .person .alarm-title > *"
    assert await cut_off(page, whole) == []
    people = page.locator(".alarm.person")
    await expect(people).to_have_count(2)
    await expect(people.locator(".alarm-who")).to_have_text(["救援员13", "救援员07"])
    chlorine = page.locator('[data-group="high/cl2"]')
    await expect(chlorine).to_contain_text("20 台")
    await expect(chlorine.locator(".alarm-ack")).to_have_text("确认 20")
    await expect(chlorine).to_contain_text("3.20 ≥ 1.00 ppm")
    # One pattern sounds: that of the worst, however many stand.
    await page.mouse.click(683, 60)
    await expect(page.locator(".top")).to_contain_text("声音开")


async def test_by_keyboard_a_group_is_opened_and_acknowledged_in_both_languages(
    flooded: tuple[Page, Fleet],
) -> None:
    page, fleet = flooded
    await page.get_by_role("button", name="Switch to English").click()
    await expect(page.locator(".alarm-count")).to_contain_text("not acked")
    # Skip link, the alarms, the first row.
    await page.locator("#skip").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    first = page.locator(".alarm-list > li").first.locator(".alarm-body")
    await expect(first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(first).to_have_attribute("aria-expanded", "true")
    members = page.locator(".alarm-list > li:not(.alarm-group):not(.person)")
    await expect(members).to_have_count(20)
    await page.keyboard.press("Enter")
    await expect(members).to_have_count(0)
    await page.keyboard.press("Tab")
    button = page.locator(".alarm-list > li").first.locator(".alarm-ack")
    await expect(button).to_be_focused()
    await expect(button).to_have_text("ACK 20")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("says that they have been seen")
    # Who is hasty cancels: the first focus is on no.
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    heard = fleet.heard
    assert heard == []
    await button.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await until(lambda: len(heard) == 20, "each unit is told", 20)
    for message in heard:
        fleet.take(message)
    assert {said for said, _ in fleet.commands} == {f"{unit} alarm-ack" for unit in UNITS}
    (what,) = {args["alarm"] for _, args in fleet.commands}
    await fleet.acknowledge()
    await expect(page.locator(".alarm-count")).to_have_text(
        f"{fleet.count} alarms, {fleet.count - 20} not acked"
    )
    # What has been seen goes behind what has not, and nobody's call has been touched.
    assert what.split("/")[1] in ("cl2", "h2s", "co", "o2", "combustible")
    last = page.locator(".alarm-list > li").last
    await expect(last).to_contain_text("0 not acked")
    await expect(last.locator(".alarm-ack")).to_be_hidden()
    await expect(page.locator(".alarm.person .alarm-ack:visible")).to_have_count(2)
    whole = ".alarm-group[data-rank='1'] .alarm-title > *, .person .alarm-who"
    assert await cut_off(page, whole) == []
