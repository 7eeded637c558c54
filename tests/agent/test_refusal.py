"""A simulated fix is never actual: its sentences, the driver and the core together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.alarms.engine import Engine
from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.hub import Hub
from agent.messages import Class, FixBody, Mark, Reading
from agent.outbox import Outbox
from agent.refusal import refused
from agent.store import Store
from drivers import Fix, Quality, Sample, nmea
from drivers.checksum import xor8

PLACE = (30.593067, 114.305850)


class Kept(Outbox):
    def __init__(self, store: Store, clock: UnitClock) -> None:
        super().__init__(store, clock)
        self.rows: list[Row] = []

    def append(self, klass: Class, body: object, *, newest: str = "", ack_of: str = "") -> Row:
        self.rows.append(super().append(klass, body, newest=newest, ack_of=ack_of))
        return self.rows[-1]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path) as store:
        yield store


def simulated() -> Fix:
    """As a receiver in its demonstration mode sends it: RMC V with mode S, GGA quality 8."""
    data = b""
    for body in (
        b"GNRMC,023042.00,V,3035.58400,N,11418.35100,E,0.05,,241126,,,S,V",
        b"GNGGA,023042.00,3035.58400,N,11418.35100,E,8,18,0.72,23.4,M,-12.1,M,,",
    ):
        data += b"$%s*%02X\r\n" % (body, xor8(body))
    decoder = nmea.Decoder()
    (fix,) = decoder.feed(data, time.monotonic()) + decoder.flush(time.monotonic())
    assert (fix.status, fix.quality) == ("simulated", Quality.SIMULATED)
    assert fix.lat == pytest.approx(PLACE[0], abs=1e-6)
    return fix


def emitted(store: Store, mark: Mark, *samples: Sample | Fix) -> tuple[Hub, Kept, list[Reading]]:
    clock = UnitClock()
    outbox = Kept(store, clock)
    engine = Engine({}, {"gnss": 5.0}, time.monotonic())
    drawn: list[Reading] = []
    hub = Hub(
        engine, outbox, clock, on_alarms=lambda changes: None, on_reading=drawn.append, mark=mark
    )
    for sample in samples:
        hub.emit("gnss", sample)
    return hub, outbox, drawn


async def test_an_actual_unit_gives_no_simulated_place(store: Store) -> None:
    hub, outbox, drawn = emitted(store, Mark.ACTUAL, simulated(), simulated())
    sent = [row.body for row in outbox.rows]
    for body in sent:
        assert b"30.59" not in body
        assert b"114.30" not in body
    for reading in (*drawn, hub.latest["gnss", "position"]):
        assert reading.quality is Quality.SIMULATED
        assert reading.fix == FixBody(mode=1, status="simulated", flags=("simulated_refused",))
    assert hub.engine.fix is None
    # Said once, however often it comes.
    events = [msgspec.json.decode(row.body) for row in outbox.rows if row.klass == "events"]
    assert [(event["event"], event["source"]) for event in events] == [
        ("simulated_refused", "gnss")
    ]


@pytest.mark.parametrize("mark", [Mark.EXERCISE, Mark.TEST])
async def test_an_exercise_gives_it_and_says_what_it_is(store: Store, mark: Mark) -> None:
    hub, outbox, _ = emitted(store, mark, simulated())
    reading = hub.latest["gnss", "position"]
    assert reading.quality is Quality.SIMULATED
    assert reading.fix is not None
    assert reading.fix.lat == pytest.approx(PLACE[0], abs=1e-6)
    assert reading.fix.status == "simulated"
    assert [row.klass for row in outbox.rows] == ["readings"]


async def test_a_real_fix_is_given_and_its_clock_believed(store: Store) -> None:
    fix = msgspec.structs.replace(simulated(), quality=Quality.GOOD, status="autonomous")
    hub, _, _ = emitted(store, Mark.ACTUAL, fix)
    assert hub.engine.fix is not None
    assert hub.engine.fix.lat == fix.lat


def test_a_simulated_value_is_a_fault() -> None:
    wind = Sample(quantity="wind_speed", value=3.0, unit="m/s", at=1.0, quality=Quality.SIMULATED)
    instead = refused(wind, Mark.ACTUAL)
    assert isinstance(instead, Sample)
    assert (instead.value, instead.quality) == (None, Quality.FAULT)
    assert refused(wind, Mark.EXERCISE) is None
    assert refused(msgspec.structs.replace(wind, quality=Quality.GOOD), Mark.ACTUAL) is None
