"""The far side, on a real Mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import msgspec

from agent.drill.recorder import Recorder, clear_retained
from agent.drill.sessions import MAX, Sessions
from agent.drill.state import Action, Control
from agent.messages import Clock, Envelope, EpochStatus, Event, Link, Mark, Status, join_record
from agent.mqtt import Broker, Connection, Message, connect
from tests.mosquitto import Mosquitto
from tests.waiting import until

ROOT = "outpost-exercise/v1/org"
EPOCH = "1700000000000-abcd"


@contextlib.asynccontextmanager
async def recording(broker: Broker, heard: list[Control] | None = None) -> AsyncIterator[Recorder]:
    orders: list[Control] = [] if heard is None else heard
    recorder = Recorder(broker, "org", ["ex-a"], orders.append)
    task = asyncio.create_task(recorder.run())
    try:
        await recorder.connected.wait()
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def client(broker: Broker, heard: list[Message] | None = None) -> AsyncIterator[Connection]:
    inbox: list[Message] = [] if heard is None else heard
    name = f"test-{uuid.uuid4().hex[:6]}"
    async with connect(broker, client_id=name, on_message=inbox.append) as connection:
        yield connection


def batch(*seqs: int, unit: str = "ex-a", mark: str = "exercise") -> bytes:
    records = [
        msgspec.Raw(
            join_record(
                Envelope(seq=seq, prev=seq - 1, t=1, clock=Clock.NTP),
                msgspec.json.encode(Event(event="started")),
            )
        )
        for seq in seqs
    ]
    return msgspec.json.encode({"unit": unit, "epoch": EPOCH, "mark": mark, "records": records})


def status(state: str, last: int, version: int) -> bytes:
    return msgspec.json.encode(
        Status(
            unit="ex-a", org="org", name={}, profile="soldier", mark=Mark.EXERCISE, software="x",
            epoch=EPOCH, version=version, t=1, clock=Clock.NTP, state=state,
            epochs=(EpochStatus(epoch=EPOCH, last=last),),
        )
    )  # fmt: skip


def link(state: str) -> bytes:
    return msgspec.json.encode(
        Link(unit="ex-a", path="center", mark=Mark.EXERCISE, state=state, epoch=EPOCH)
    )


async def test_who_watches_a_unit_is_hung_up_on(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    heard: list[Message] = []
    async with recording(broker) as recorder, client(broker, heard) as page:
        await page.subscribe([f"{ROOT}/ex-a/rtc/+/close", f"{ROOT}/ex-a/link/+"])
        for path in ("one/offer", "two/offer", "one/close"):
            await page.publish(f"{ROOT}/ex-a/rtc/{path}", b"{}")
        await page.publish(f"{ROOT}/ex-a/link/center", link("up"))
        await until(lambda: bool(recorder.links), "all of it is heard")
        heard.clear()
        await recorder.hang_up("ex-a")
        await until(lambda: bool(heard), "the session is closed")
        await recorder.hang_up("ex-a")
        await page.publish(f"{ROOT}/ex-a/link/center", link("lost"))
        await until(lambda: "link" in heard[-1].topic, "nothing else comes")
    assert [message.topic for message in heard[:-1]] == [f"{ROOT}/ex-a/rtc/two/close"]


def test_of_many_sessions_the_oldest_are_forgotten() -> None:
    sessions = Sessions()
    for number in range(MAX + 2):
        sessions.take("ex-a", ("rtc", str(number), "offer"))
    sessions.take("ex-a", ("rtc", "5", "close"))
    sessions.take("ex-b", ("rtc", "6", "close"))
    sessions.take("ex-a", ("rtc", "9", "answer"))
    assert sessions.of("ex-a") == tuple(str(n) for n in range(2, MAX + 2) if n != 5)
    assert sessions.of("ex-b") == ()


async def test_what_is_missing_is_asked_for_and_closed(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    asked: list[Message] = []
    async with recording(broker) as recorder, client(broker, asked) as unit:
        await unit.subscribe([f"{ROOT}/ex-a/cmd/+"])
        await unit.publish(f"{ROOT}/ex-a/events", batch(1, 2, 5))
        await until(lambda: recorder.counts("ex-a").received == 3, "three records are there")
        assert recorder.counts("ex-a").missing == 2
        await until(lambda: bool(asked), "the gap is asked for")
        assert asked[0].topic == f"{ROOT}/ex-a/cmd/resend"
        command = msgspec.json.decode(asked[0].payload)
        assert command["args"] == {"epoch": EPOCH, "from": 3, "to": 4}
        assert command["mark"] == "exercise"
        await unit.publish(f"{ROOT}/ex-a/events", batch(3, 4, 5))
        await until(lambda: recorder.counts("ex-a").missing == 0, "the gap is closed")
        assert (recorder.counts("ex-a").received, recorder.counts("ex-a").repeated) == (5, 1)


async def test_a_broker_that_is_killed_is_found_again(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    async with recording(broker) as recorder:
        mosquitto.kill()
        await until(lambda: not recorder.connected.is_set(), "the loss is noticed")
        assert recorder.trouble
        mosquitto.start()
        await until(recorder.connected.is_set, "it is connected again")
        async with client(broker) as unit:
            await unit.publish(f"{ROOT}/ex-a/events", batch(1))
        await until(lambda: recorder.counts("ex-a").received == 1, "a record arrives")


async def test_links_and_the_newest_status(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    async with recording(broker) as recorder, client(broker) as unit:
        for state in ("up", "up", "lost", "up"):
            await unit.publish(f"{ROOT}/ex-a/link/center", link(state))
        await unit.publish(f"{ROOT}/ex-a/status", status("stopped", 7, 4))
        await unit.publish(f"{ROOT}/ex-a/status", status("running", 5, 3))
        await until(lambda: recorder.counts("ex-a").missing == 7, "the last number is known")
        assert [change.state for change in recorder.links] == ["up", "lost", "up"]
        assert recorder.statuses["ex-a"].state == "stopped"


async def test_strangers_and_nonsense_do_no_harm(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    orders: list[Control] = []
    async with recording(broker, orders) as recorder, client(broker) as unit:
        await unit.publish(f"{ROOT}/ex-z/events", batch(1, unit="ex-z"))
        await unit.publish(f"{ROOT}/ex-a/events", b"{nonsense")
        await unit.publish(f"{ROOT}/ex-a/events", batch(1, mark="actual"))
        await unit.publish(f"{ROOT}/drill/control", b'{"action": "dance"}')
        await unit.publish(f"{ROOT}/drill/control", b'{"action": "pause", "by": "teacher"}')
        await until(lambda: bool(orders), "the order is heard")
        assert orders == [Control(action=Action.PAUSE, by="teacher")]
        assert recorder.counts("ex-a").received == 0
        assert recorder.counts("ex-z").received == 0
        assert "dance" in recorder.trouble


async def test_a_retained_order_is_an_old_one(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    orders: list[Control] = []
    async with client(broker) as unit:
        await unit.publish(f"{ROOT}/drill/control", b'{"action": "end"}', retain=True)
        async with recording(broker, orders):
            await unit.publish(f"{ROOT}/drill/control", b'{"action": "pause"}')
            await until(lambda: bool(orders), "the new order is heard")
    assert [order.action for order in orders] == [Action.PAUSE]


async def test_what_is_retained_is_cleared_and_the_real_is_not(mosquitto: Mosquitto) -> None:
    broker = Broker.from_url(mosquitto.url)
    mine = [f"{ROOT}/ex-a/status", f"{ROOT}/ex-a/link/center", f"{ROOT}/drill/state"]
    others = ["outpost/v1/org/cv-01/status", "outpost-exercise/v1/other/ex-a/status"]
    async with client(broker) as unit:
        for topic in mine + others:
            await unit.publish(topic, b"{}", retain=True)
    assert await clear_retained(broker, "org") == 3
    assert await clear_retained(broker, "org") == 0
    left: list[Message] = []
    async with client(broker, left) as unit:
        await unit.subscribe(["#"])
        await until(lambda: len(left) >= len(others), "the others' are still there")
    assert sorted(message.topic for message in left) == sorted(others)
