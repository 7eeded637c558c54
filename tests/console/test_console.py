"""The console as a whole: a real broker, a unit that speaks MQTT, pages that speak HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from agent.console import app, whep
from agent.mqtt import Broker, Connection, Message, connect
from tests.console.wire import (
    ALARM,
    DRILL_STATE,
    EPOCH,
    ROOT,
    UNIT,
    active,
    batch,
    encode,
    link,
    options,
    position,
    reading,
    status,
    still,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

INSTRUCTOR = "the-instructors-secret"
DRILL = "outpost-exercise/v1/hubei/drill"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"


class Page:
    """A page's WebSocket: everything it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] == kind]

    async def read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.told.append(msgspec.json.decode(message.data))

    async def gets(self, kind: str, test: Callable[[dict[str, Any]], bool] = bool) -> Any:
        await until(lambda: any(map(test, self.of(kind))), f"the page is told {kind}")
        return next(filter(test, self.of(kind)))

    async def knows(self, unit: str) -> None:
        def known() -> bool:
            return any(unit in update["units"] for update in self.of("snapshot")) or any(
                update["unit"] == unit for update in self.of("status")
            )

        await until(known, f"the page knows {unit}")


class Unit:
    """A unit's connection: what it hears, and what it says."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.connection: Connection

    def take(self, message: Message) -> None:
        self.heard.append(
            (message.topic.removeprefix(ROOT + "/"), msgspec.json.decode(message.payload))
        )

    async def say(self, path: str, payload: bytes, *, retain: bool = False) -> None:
        await self.connection.publish(f"{ROOT}/{path}", payload, retain=retain)

    async def hears(self, path: str) -> Any:
        await until(lambda: any(topic == path for topic, _ in self.heard), f"the unit hears {path}")
        return next(body for topic, body in self.heard if topic == path)


class House:
    """A console that runs, and a browser that looks at it."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self._stack = AsyncExitStack()

    async def open_page(self, **headers: str) -> Page:
        page = Page()
        socket = await self.http.ws_connect(self.url + "api/live", headers=headers)
        task = asyncio.create_task(page.read(socket))
        self._stack.push_async_callback(_hang_up, socket, task)
        return page

    async def aclose(self) -> None:
        await self._stack.aclose()


async def _hang_up(socket: aiohttp.ClientWebSocketResponse, task: asyncio.Task[None]) -> None:
    await socket.close()
    await task


@asynccontextmanager
async def console(broker_url: str, static_dir: Path, **over: Any) -> AsyncIterator[House]:
    chosen = options(broker_url, static_dir, instructor_token=INSTRUCTOR, **over)
    async with app.running(chosen) as url, aiohttp.ClientSession() as http:
        house = House(url, http)
        try:
            yield house
        finally:
            await house.aclose()


@pytest.fixture
async def house(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[House]:
    async with console(mosquitto.url, tmp_path / "static") as running:
        page = await running.open_page()
        await page.gets("broker", lambda update: update["connected"])
        yield running


@pytest.fixture
async def unit(mosquitto: Mosquitto) -> AsyncIterator[Unit]:
    speaker = Unit()
    target = Broker.from_url(mosquitto.url)
    async with connect(target, client_id="unit", on_message=speaker.take) as connection:
        speaker.connection = connection
        await connection.subscribe([f"{ROOT}/cmd/+", f"{ROOT}/rtc/+/offer", f"{ROOT}/rtc/+/close"])
        await speaker.say("status", status(), retain=True)
        await speaker.say("link/center", link("up"), retain=True)
        yield speaker


async def test_a_page_follows_a_unit(house: House, unit: Unit) -> None:
    page = await house.open_page()
    hello = await page.gets("hello")
    assert (hello["org"], hello["exercise"], hello["instructor"]) == ("hubei", True, False)
    assert hello["map"] == {"kind": "none", "url": "", "datum": None}
    await unit.say("readings", batch(reading(1, 0.0), position(2, 30.5, 114.3)))
    await unit.say("alarms", batch({"seq": 3, "prev": 0, "t": 3, "clock": "gnss"} | ALARM))
    await unit.say("alarms/active", active(1, ALARM), retain=True)
    records = await page.gets("records")
    assert [record["quantity"] for record in records["records"]] == ["cl2", "position"]
    assert (await page.gets("alarm"))["record"]["code"] == "high"
    assert (await page.gets("active"))["alarms"][0]["rank"] == 1
    counts = await page.gets("counts", lambda update: update["counts"]["received"] == 3)
    assert counts["counts"] == {"received": 3, "repeated": 0, "missing": 0}


async def test_a_page_that_comes_later_gets_all_of_it(house: House, unit: Unit) -> None:
    first = await house.open_page()
    await unit.say("readings", batch(reading(1, 0.7), position(2, 30.5, 114.3)))
    await first.gets("counts", lambda update: update["counts"]["received"] == 2)
    late = await house.open_page()
    state = (await late.gets("snapshot"))["units"][UNIT]
    assert state["counts"] == {"received": 2, "repeated": 0, "missing": 0}
    assert state["status"]["name"]["zh"] == "指挥车01"
    assert state["links"] == {"center": "up"}
    assert state["latest"]["gas1/cl2"]["value"] == 0.7
    assert state["track"][0][1:] == [30.5, 114.3]
    async with house.http.get(house.url + "api/state") as answer:
        assert (await answer.json())["units"][UNIT] == state


async def test_one_bad_sender_costs_nobody_anything(
    house: House, unit: Unit, caplog: pytest.LogCaptureFixture
) -> None:
    page = await house.open_page()
    await unit.say("readings", b"{nonsense")
    await unit.connection.publish("outpost-exercise/v1/hubei/cv-01/status", status())
    await unit.say("readings", batch(reading(1)))
    await page.gets("records")
    assert "ex-cv-01/readings: expected a Batch" in caplog.text


async def test_a_command_goes_to_the_unit_and_its_outcome_to_the_page(
    house: House, unit: Unit
) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    url = f"{house.url}api/units/{UNIT}/commands/alarm.ack"
    async with house.http.post(url, json={"args": {"alarm": "gas1/cl2/high"}}) as answer:
        assert answer.status == 202
        sent = (await answer.json())["id"]
    command = await unit.hears("cmd/alarm-ack")
    assert command["id"] == sent
    assert (command["by"], command["mark"]) == ("console", "exercise")
    assert command["args"] == {"alarm": "gas1/cl2/high"}
    ack = {"id": sent, "verb": "alarm.ack", "outcome": "done"}
    await unit.say("ack", batch({"seq": 1, "prev": 0, "t": 1, "clock": "gnss"} | ack))
    assert (await page.gets("ack"))["record"]["id"] == sent


@pytest.mark.parametrize(
    ("path", "body", "status_code", "detail"),
    [
        ("ex-no-99/commands/alarm.ack", "{}", 404, "no unit 'ex-no-99' has been heard of here"),
        (f"{UNIT}/commands/Rm%20-rf", "{}", 400, "expected a verb like 'alarm.ack'"),
        (f"{UNIT}/commands/alarm.ack", "{", 400, "the body is no good: Input data was truncated"),
        (f"{UNIT}/commands/alarm.ack", '{"arg":{}}', 400, "unknown field `arg`"),
    ],
)
async def test_a_command_that_cannot_be_sent_is_told_why(
    house: House, unit: Unit, path: str, body: str, status_code: int, detail: str
) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    async with house.http.post(f"{house.url}api/units/{path}", data=body) as answer:
        assert answer.status == status_code
        assert answer.content_type == "application/problem+json"
        assert detail in (await answer.json(content_type=None))["detail"]


async def test_a_unit_that_nobody_hears_for_is_said_to_be_away(
    house: House, unit: Unit, mosquitto: Mosquitto
) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    other = encode(msgspec.json.decode(status()) | {"unit": "ex-sol-01"})
    await unit.connection.publish("outpost-exercise/v1/hubei/ex-sol-01/status", other)
    await page.gets("status", lambda update: update["unit"] == "ex-sol-01")
    url = f"{house.url}api/units/ex-sol-01/commands/message"
    async with house.http.post(url, json={"args": {"text": "撤离"}}) as answer:
        assert answer.status == 503
        assert "nobody hears ex-sol-01" in (await answer.json(content_type=None))["detail"]


async def test_a_gap_is_closed_by_asking_for_it(house: House, unit: Unit) -> None:
    page = await house.open_page()
    await unit.say("readings", batch(reading(1), reading(4)))
    command = await unit.hears("cmd/resend")
    assert command["args"] == {"epoch": EPOCH, "from": 2, "to": 3}
    await unit.say("readings", batch(reading(2, late=True), reading(3, late=True)))
    await page.gets("counts", lambda update: update["counts"]["missing"] == 0)


async def test_video_is_signalled_over_mqtt(house: House, unit: Unit) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    headers = {"Content-Type": "application/sdp"}
    asked = asyncio.create_task(
        house.http.post(f"{house.url}whep/{UNIT}/front", data=OFFER, headers=headers)
    )
    await until(lambda: bool(unit.heard), "the unit gets an offer")
    path, offer = unit.heard[0]
    session = path.split("/")[1]
    assert (offer["camera"], offer["mark"], offer["sdp"]) == ("front", "exercise", OFFER)
    await unit.say(f"rtc/{session}/answer", encode({"sdp": "v=0\r\nanswer"}))
    async with await asked as answer:
        assert answer.status == 201
        assert answer.content_type == "application/sdp"
        assert answer.headers["Location"] == f"/whep/session/{session}"
        assert await answer.text() == "v=0\r\nanswer"
        location = answer.headers["Location"]
    async with house.http.get(house.url + location[1:]) as answer:
        assert answer.status == 204
    async with house.http.delete(house.url + location[1:]) as answer:
        assert answer.status == 200
    async with house.http.get(house.url + location[1:]) as answer:
        assert answer.status == 404, "a page whose picture stands still learns that it is over"
    assert await unit.hears(f"rtc/{session}/close") == {}
    async with house.http.delete(house.url + location[1:]) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("code", "expected"),
    [("not_found", 404), ("unavailable", 503), ("not_authorised", 403), ("odd", 502)],
)
async def test_a_unit_that_gives_no_video_says_why(
    house: House, unit: Unit, code: str, expected: int
) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    headers = {"Content-Type": "application/sdp"}
    asked = asyncio.create_task(
        house.http.post(f"{house.url}whep/{UNIT}/rear", data=OFFER, headers=headers)
    )
    await until(lambda: bool(unit.heard), "the unit gets an offer")
    answer_path = unit.heard[0][0].replace("offer", "answer")
    await unit.say(answer_path, encode({"code": code, "detail": "no camera 'rear'"}))
    async with await asked as answer:
        assert answer.status == expected
        body = await answer.json(content_type=None)
        assert (body["code"], body["detail"]) == (code, "no camera 'rear'")


async def test_a_unit_that_does_not_answer_is_not_waited_for_long(
    house: House, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whep, "ANSWER_S", 1.0)
    page = await house.open_page()
    await page.knows(UNIT)
    headers = {"Content-Type": "application/sdp"}
    url = f"{house.url}whep/{UNIT}/front"
    async with house.http.post(url, data=OFFER, headers=headers) as answer:
        assert answer.status == 504
        assert "did not answer within 1 s" in (await answer.json(content_type=None))["detail"]
    session = unit.heard[0][0].split("/")[1]
    await unit.hears(f"rtc/{session}/close")
    for body, kind, expected in ((OFFER, "text/plain", 415), ("hello", "application/sdp", 400)):
        async with house.http.post(url, data=body, headers={"Content-Type": kind}) as answer:
            assert answer.status == expected
    async with house.http.post(
        f"{house.url}whep/ex-no-99/front", data=OFFER, headers=headers
    ) as answer:
        assert answer.status == 404


async def test_stills_are_asked_for_by_lease_while_somebody_looks(house: House, unit: Unit) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    url = f"{house.url}api/stills/{UNIT}/front"
    async with house.http.get(url) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    command = await unit.hears("cmd/video-start")
    assert command["args"] == {
        "camera": "front",
        "mode": "stills",
        "period_s": 1.0,
        "lease_s": 20.0,
    }
    await unit.say("still/front", still(17))
    told = await page.gets("still")
    assert told == {
        "type": "still", "unit": UNIT, "camera": "front", "t": 17,
        "url": f"/api/stills/{UNIT}/front?t=17",
    }  # fmt: skip
    async with house.http.get(house.url + told["url"][1:]) as answer:
        assert answer.status == 200
        assert answer.content_type == "image/jpeg"
        assert await answer.read() == bytes.fromhex("ffd8ffd9")
    starts = [path for path, _ in unit.heard if path == "cmd/video-start"]
    assert len(starts) == 1, "the lease still holds"


async def test_only_the_instructor_sees_the_plume_and_leads(
    house: House, unit: Unit, mosquitto: Mosquitto
) -> None:
    trainee = await house.open_page()
    leader = await house.open_page(Authorization=f"Bearer {INSTRUCTOR}")
    assert (await leader.gets("hello"))["instructor"] is True
    await unit.connection.publish(f"{DRILL}/state", encode(DRILL_STATE), retain=True)
    full = (await leader.gets("drill", lambda update: update["state"]))["state"]
    assert full == DRILL_STATE
    part = (await trainee.gets("drill", lambda update: update["state"]))["state"]
    assert set(part) == {
        "scenario", "title", "t_s", "duration_s", "speed", "state", "center",
    }  # fmt: skip

    heard: list[Message] = []
    target = Broker.from_url(mosquitto.url)
    async with connect(target, client_id="director", on_message=heard.append) as director:
        await director.subscribe([f"{DRILL}/control"])
        async with house.http.post(house.url + "api/drill/pause", json={}) as answer:
            assert answer.status == 403
        bearer = {"Authorization": f"Bearer {INSTRUCTOR}"}
        for action, body, headers in (
            ("inject", {"inject": "sos"}, bearer),
            ("real_emergency", {}, {}),
        ):
            url = f"{house.url}api/drill/{action}"
            async with house.http.post(url, json=body, headers=headers) as answer:
                assert answer.status == 202
        async with house.http.post(
            house.url + "api/drill/inject", json={}, headers=bearer
        ) as answer:
            assert answer.status == 400
        await until(lambda: len(heard) == 2, "the director hears both")
    assert [msgspec.json.decode(message.payload) for message in heard] == [
        {"action": "inject", "by": "console", "inject": "sos"},
        {"action": "real_emergency", "by": "console"},
    ]


async def test_a_broker_that_goes_and_comes_is_normal_life(
    house: House, unit: Unit, mosquitto: Mosquitto
) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    mosquitto.kill()
    lost = await page.gets("broker", lambda update: not update["connected"])
    assert lost["state"] == "lost"
    url = f"{house.url}api/units/{UNIT}/commands/message"
    async with house.http.post(url, json={"args": {"text": "x"}}) as answer:
        assert answer.status == 503
        detail = (await answer.json(content_type=None))["detail"]
        assert detail.startswith("no connection to the broker: ")
    page.told.clear()
    mosquitto.start()
    await page.gets("broker", lambda update: update["connected"])
    target = Broker.from_url(mosquitto.url)
    async with connect(target, client_id="unit", on_message=unit.take) as back:
        await back.publish(f"{ROOT}/readings", batch(reading(1)))
        await page.gets("records")


async def test_a_real_console_hears_no_exercise(
    mosquitto: Mosquitto, tmp_path: Path, unit: Unit
) -> None:
    async with console(mosquitto.url, tmp_path, exercise=False) as house:
        page = await house.open_page()
        assert (await page.gets("hello"))["exercise"] is False
        await page.gets("broker", lambda update: update["connected"])
        await unit.say("readings", batch(reading(1)))
        real = msgspec.json.decode(status()) | {"unit": "cv-01", "mark": "actual"}
        await unit.connection.publish("outpost/v1/hubei/cv-01/status", encode(real))
        await page.gets("status")
        async with house.http.get(house.url + "api/state") as answer:
            assert list((await answer.json())["units"]) == ["cv-01"]
        async with house.http.post(house.url + "api/drill/end", json={}) as answer:
            assert answer.status == 404
