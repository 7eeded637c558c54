"""A unit's delivery without its instruments, and a center that keeps count, for real brokers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from agent import topics
from agent.alarms.engine import Engine
from agent.center.receiver import Receiver, Record
from agent.clock import UnitClock
from agent.commands import Commands
from agent.delivery.ranges import Ranges
from agent.delivery.rows import Row
from agent.media import wire
from agent.media.host import MediaHost
from agent.messages import (
    ActiveAlarms,
    Alarm,
    AlarmState,
    Class,
    Event,
    Mark,
    Reading,
    Skipped,
    Status,
)
from agent.mqtt import Broker, Connection, Message, connect
from agent.outbox import Outbox
from agent.settings.tables import Profile, UnitConfig, UplinkConfig
from agent.store import Store
from agent.uplink import Uplink
from agent.verbs import verb_table
from drivers import Quality
from tests.mosquitto import Mosquitto
from tests.waiting import until

UNIT = UnitConfig(
    id="ex-cv-01", org="hubei", profile=Profile.VEHICLE, mark=Mark.EXERCISE,
    name={"zh": "指挥车01", "en": "Command vehicle 01"},
)  # fmt: skip
ROOT = "outpost-exercise/v1/hubei/ex-cv-01"
VERBS = ("air.clean", "alarm.ack", "resend", "sos.confirm", "video.start", "video.stop")


def reading(value: float = 1.0, source: str = "gas1", quantity: str = "cl2") -> Reading:
    return Reading(source=source, quantity=quantity, value=value, unit="ppm", quality=Quality.GOOD)


def alarm(source: str = "gas1") -> Alarm:
    return Alarm(
        alarm=f"{source}/cl2/high", code="high", rank=1, change="raised",
        state=AlarmState.UNACKNOWLEDGED, source=source, quantity="cl2",
    )  # fmt: skip


def uplink_config(port: int, **over: Any) -> UplinkConfig:
    given: dict[str, Any] = {"name": "center", "host": "127.0.0.1", "port": port, "tls": False}
    return UplinkConfig(**{**given, "verbs": VERBS, "keepalive_s": 2, **over})


class Unit:
    """Everything between `hub` and the broker, made as app.py makes it."""

    def __init__(self, store: Store, *configs: UplinkConfig) -> None:
        self.store = store
        self.clock = UnitClock()
        self.outbox = Outbox(store, self.clock)
        self.engine = Engine({}, {}, time.monotonic())
        camera = wire.CameraConfig(name="front", source="scene")
        self.media = MediaHost(
            wire.MediaConfig(unit=UNIT.id, mark=UNIT.mark, cameras=(camera,)),
            lambda *_: None, lambda _: None, lambda _: None,
        )  # fmt: skip
        self.commands = Commands(UNIT.id, UNIT.mark, self.outbox)
        self.commands.verbs = verb_table(
            self.outbox, self.engine, self.clock, self.media, self.alarms, lambda *_: None
        )
        self.changes: list[tuple[str, str]] = []
        self.version = 0
        self.uplinks = [
            Uplink(
                config, UNIT, self.outbox, make_status=self.status, make_active=self.active,
                on_message=self.heard, on_change=self.changed,
            )
            for config in configs
        ]  # fmt: skip

    @property
    def uplink(self) -> Uplink:
        return self.uplinks[0]

    def status(self, uplink: Uplink) -> Status:
        self.version += 1
        return Status(
            unit=UNIT.id, org=UNIT.org, name=UNIT.name, profile="vehicle", mark=UNIT.mark,
            software="outpost test", epoch=self.outbox.epoch.name, version=self.version,
            t=self.clock.now_ms(), clock=self.clock.source, state="running",
            epochs=self.outbox.epochs(), pending=uplink.cursor.pending(),
        )  # fmt: skip

    def active(self) -> ActiveAlarms:
        self.version += 1
        return ActiveAlarms(
            unit=UNIT.id, mark=UNIT.mark, epoch=self.outbox.epoch.name, version=self.version,
            t=self.clock.now_ms(), alarms=self.engine.active(),
        )  # fmt: skip

    def changed(self, uplink: Uplink) -> None:
        self.changes.append((uplink.state, uplink.detail))
        self.outbox.append(Class.EVENTS, Event(event=f"uplink_{uplink.state}"))
        uplink.publish_status()

    def heard(self, uplink: Uplink, message: Message) -> None:
        topic = topics.parse(message.topic)
        if topic.path[0] == "cmd":
            self.commands.handle(topic, message, uplink)

    def alarms(self, changes: list[Alarm]) -> None:
        for change in changes:
            self.outbox.append(Class.ALARMS, change)

    def read(self, count: int, source: str = "gas1") -> list[Row]:
        """`count` readings, as a driver's samples come."""
        return [
            self.outbox.append(
                Class.READINGS, reading(float(number), source), newest=f"{source}/cl2"
            )
            for number in range(count)
        ]


@contextlib.asynccontextmanager
async def unit(folder: Path, *configs: UplinkConfig) -> AsyncIterator[Unit]:
    """A unit whose uplinks run; at the end its marks are saved, as at an orderly stop.  What goes
    wrong in a callback, which asyncio would only log, is raised."""
    errors: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, said: errors.append(said.get("exception", said)))
    async with Store.open(folder) as store:
        made = Unit(store, *configs)
        tasks = [asyncio.create_task(uplink.run()) for uplink in made.uplinks]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            errors += [
                end for end in ends
                if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError)
            ]  # fmt: skip
            for uplink in made.uplinks:
                uplink.cursor.save()
            await store.flush()
    if errors:
        raise BaseExceptionGroup("in the unit", errors)


class Center:
    """A command center: takes what it has subscribed to, and keeps count."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.records: list[Record] = []
        self.retained: dict[str, Any] = {}
        """The last of each topic without records, by its path."""
        self.skipped: dict[str, Ranges] = {}
        """By reason, over all epochs."""
        self.messages: list[Message] = []
        self.connection: Connection | None = None

    def hear(self, message: Message) -> None:
        self.messages.append(message)
        if not message.topic.startswith(ROOT):
            return
        topic = topics.parse(message.topic)
        if topic.path[0] not in ("cmd", "reply"):
            self.records += self.receiver.feed(topic, message.payload)
        if topic.path == ("skipped",):
            told = msgspec.json.decode(message.payload, type=Skipped)
            for first, last in told.ranges:
                self.skipped.setdefault(told.reason, Ranges()).add(first, last)
        if topic.path[0] in ("status", "link") or topic.path[-1] == "active":
            self.retained["/".join(topic.path)] = msgspec.json.decode(message.payload)

    def of(self, klass: Class) -> list[Record]:
        return [record for record in self.records if record.klass is klass]

    @property
    def missing(self) -> int:
        return self.receiver.counts(UNIT.id).missing

    @property
    def repeated(self) -> int:
        return self.receiver.counts(UNIT.id).repeated

    def command(
        self, verb: str, args: dict[str, Any] | None = None, *, raw: bytes | None = None,
        topic: str = "", **over: Any,
    ) -> None:  # fmt: skip
        """Publish a command; `over` replaces its members (None: without that member)."""
        assert self.connection is not None
        now = time.time_ns() // 1_000_000
        body = {"id": f"c{now}", "by": "duty officer", "issued": now, "mark": "exercise"}
        body = {**body, "args": args or {}, **over}
        payload = msgspec.json.encode({k: v for k, v in body.items() if v is not None})
        self.connection.publish(topic or f"{ROOT}/cmd/{verb}", payload if raw is None else raw)

    async def ack(self, number: int = 0) -> dict[str, Any]:
        """The body of the ack of this number, from 0."""
        await until(lambda: len(self.of(Class.ACK)) > number, f"ack {number} arrives")
        return self.of(Class.ACK)[number].body


@contextlib.asynccontextmanager
async def center(port: int, *filters: str, name: str = "center") -> AsyncIterator[Center]:
    made = Center()
    broker = Broker(host="127.0.0.1", port=port)
    async with connect(broker, client_id=name, on_message=made.hear) as connection:
        await connection.subscribe(filters or [f"{ROOT}/#"])
        made.connection = connection
        yield made


# -- waiting ---------------------------------------------------------------------------------------


async def settled(made: Unit) -> None:
    await until(
        lambda: made.outbox.epoch.last == made.outbox.made and made.uplink.cursor.pending() == 0,
        "all is acknowledged",
    )


async def on_disk(made: Unit) -> None:
    await until(lambda: made.outbox.epoch.last == made.outbox.made, "all is on disk")


async def connected(made: Unit) -> None:
    await until(lambda: made.uplink.state == "up", "the uplink is up")


async def arrived(heard: Center, count: int, source: str = "gas1") -> None:
    """The broker's PUBACK may come before its PUBLISH to the center."""
    await until(lambda: len(values(heard, source)) >= count, f"{count} of {source} arrive")


def values(heard: Center, source: str) -> list[float]:
    return [r.body["value"] for r in heard.of(Class.READINGS) if r.body["source"] == source]


@contextlib.asynccontextmanager
async def heard_unit(mosquitto: Mosquitto, folder: Path) -> AsyncIterator[tuple[Unit, Center]]:
    """A unit whose uplink is up, and a center that takes all that it says."""
    async with (
        center(mosquitto.port) as heard,
        unit(folder / "store", uplink_config(mosquitto.port)) as made,
    ):
        await connected(made)
        yield made, heard


@contextlib.asynccontextmanager
async def commanded(
    mosquitto: Mosquitto, folder: Path, verbs: tuple[str, ...] = VERBS
) -> AsyncIterator[tuple[Unit, Center]]:
    """A unit with two readings and a standing SOS, and a center that may give these commands."""
    async with (
        center(mosquitto.port) as heard,
        unit(folder / "store", uplink_config(mosquitto.port, verbs=verbs)) as made,
    ):
        await until(lambda: made.uplink.state == "up", "the uplink is up")
        made.read(2)
        made.alarms(made.engine.sos(made.clock.now_ms()))
        for quality in (Quality.OVER_RANGE, Quality.GOOD):
            lel = Reading(
                source="gas1", quantity="combustible", value=0.0, unit="%LEL", quality=quality
            )
            made.alarms(made.engine.reading(lel, 0.0, made.clock.now_ms(), 0.0))
        await until(lambda: len(heard.records) == made.outbox.made, "all arrive")
        yield made, heard
