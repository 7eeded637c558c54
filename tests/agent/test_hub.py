"""The one fan-out: the person hears it before disk and network do."""

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
from agent.messages import Alarm, Class, Reading
from agent.outbox import Outbox
from agent.settings import limits, places
from agent.store import Store
from drivers import Fix, Quality, Sample

POINTS = limits.load(places.named("limits", "responder")).points


class Watched(Outbox):
    """A real outbox that tells the order in which it is given records."""

    def __init__(self, store: Store, clock: UnitClock, order: list[str]) -> None:
        super().__init__(store, clock)
        self.order = order
        self.rows: list[Row] = []

    def append(self, klass: Class, body: object, *, newest: str = "", ack_of: str = "") -> Row:
        self.order.append(klass.value)
        self.rows.append(super().append(klass, body, newest=newest, ack_of=ack_of))
        return self.rows[-1]


class Rig:
    def __init__(self, store: Store) -> None:
        self.order: list[str] = []
        self.clock = UnitClock()
        self.outbox = Watched(store, self.clock, self.order)
        self.engine = Engine(POINTS, {"gas": 5.0, "gnss": 5.0}, time.monotonic())
        self.hub = Hub(
            self.engine, self.outbox, self.clock, on_alarms=self._announced, on_reading=self._drawn
        )

    def _announced(self, changes: list[Alarm]) -> None:
        self.order += [f"heard {change.code}" for change in changes]

    def _drawn(self, reading: Reading) -> None:
        self.order.append(f"drawn {reading.quantity}")

    def bodies(self, klass: Class) -> list[dict[str, object]]:
        return [
            msgspec.json.decode(row.body) for row in self.outbox.rows if row.klass == klass.value
        ]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Store.open(tmp_path) as store:
        yield Rig(store)


def cl2(value: float, unit: str = "ppm", age_s: float = 0.0) -> Sample:
    return Sample(quantity="cl2", value=value, unit=unit, at=time.monotonic() - age_s, raw="ff")


async def test_the_alarm_is_heard_before_anything_is_written(rig: Rig) -> None:
    rig.hub.emit("gas", cl2(1.5))
    assert rig.order == ["heard high", "alarms", "readings", "drawn cl2"]


async def test_it_is_heard_in_the_same_turn_of_the_loop(rig: Rig) -> None:
    """`emit` is no coroutine: nothing else can run between the sample and the sound."""
    before = time.monotonic()
    rig.hub.emit("gas", cl2(1.5, age_s=0.25))
    (alarm,) = rig.bodies(Class.ALARMS)
    delay_ms = alarm["delay_ms"]
    assert isinstance(delay_ms, float)
    # The delay is counted from the first byte of the frame.
    assert 250 <= delay_ms <= 250 + (time.monotonic() - before) * 1000


async def test_a_reading_on_its_way(rig: Rig) -> None:
    rig.hub.emit("gas", cl2(0.1))
    assert rig.bodies(Class.READINGS) == [
        {
            "source": "gas", "quantity": "cl2", "value": 0.1, "unit": "ppm", "quality": "good",
            "raw": "ff",
        }
    ]  # fmt: skip
    assert rig.hub.latest["gas", "cl2"].value == 0.1
    assert rig.outbox.newest["gas/cl2"] is rig.outbox.rows[-1]


async def test_a_fix_is_a_reading_of_the_position(rig: Rig) -> None:
    fix = Fix(mode=3, at=time.monotonic(), lat=30.5, lon=114.3, time="2026-12-01T00:00:00.000Z")
    rig.hub.emit("gnss", fix)
    (body,) = rig.bodies(Class.READINGS)
    assert body["quantity"] == "position"
    assert body["fix"] == {
        "mode": 3, "lat": 30.5, "lon": 114.3, "time": "2026-12-01T00:00:00.000Z",
    }  # fmt: skip
    assert rig.engine.fix is not None


@pytest.mark.parametrize(
    ("mode", "quality", "believed"),
    [(3, Quality.GOOD, True), (1, Quality.GOOD, False), (3, Quality.SIMULATED, False)],
)
async def test_only_a_good_fix_sets_the_clock(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, mode: int, quality: Quality, believed: bool
) -> None:
    set_to: list[str] = []
    monkeypatch.setattr(rig.clock, "gnss", lambda text, _delay_s: set_to.append(text))
    moment = "2026-12-01T00:00:00.000Z"
    rig.hub.emit("gnss", Fix(mode=mode, at=time.monotonic(), time=moment, quality=quality))
    assert set_to == ([moment] if believed else [])


async def test_a_limit_in_another_unit_is_said_once(rig: Rig) -> None:
    for _ in range(3):
        rig.hub.emit("gas", cl2(99.0, unit="mg/m3"))
    assert not rig.bodies(Class.ALARMS)
    (event,) = rig.bodies(Class.EVENTS)
    assert (event["event"], event["source"]) == ("limit_unit", "gas")
    assert event["detail"] == (
        "no alarm can be raised: cl2 is measured in 'mg/m3', its limits are in 'ppm'"
    )
