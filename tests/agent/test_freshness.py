"""Silence, dead buses, frozen values, clocks that stand, disks that refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import vitals
from agent.alarms.engine import Engine
from agent.alarms.freshness import Freshness
from agent.alarms.frozen import Frozen
from agent.alarms.timekeeping import Timekeeping
from agent.messages import Alarm, AlarmState, Clock, FixBody, Reading
from agent.vitals import Vitals
from drivers import Quality

T = 1_790_000_000_000
SILENT_S = {"head": 10.0, "gas": 10.0}
GASES = ("co", "h2s", "o2", "combustible", "so2", "nh3", "ph3", "ch4", "co2", "temperature")


def reading(
    quantity: str, value: float | None = 1.0, raw: str = "", source: str = "head"
) -> Reading:
    return Reading(
        source=source, quantity=quantity, value=value, unit="x", quality=Quality.GOOD, raw=raw
    )


def said(changes: list[Alarm]) -> list[tuple[str, str]]:
    return [(change.alarm, change.change) for change in changes]


class Bus:
    """A head of ten quantities, polled in turn, half a second each."""

    def __init__(self) -> None:
        self.engine = Engine({}, SILENT_S, 0.0)
        self.news: list[tuple[float, str, str]] = []

    def poll(self, first_s: float, last_s: float, without: tuple[str, ...] = ()) -> None:
        for number in range(round((last_s - first_s) * 2)):
            now = first_s + number / 2
            quantity = GASES[number % len(GASES)]
            self._tick(now)
            if quantity not in without:
                self._note(now, self.engine.reading(reading(quantity), now, T, now))
            gas = reading("cl2", source="gas")
            self._note(now, self.engine.reading(gas, now, T, now))

    def quiet(self, first_s: float, last_s: float) -> None:
        self.poll(first_s, last_s, GASES)

    def _tick(self, now: float) -> None:
        self._note(now, self.engine.tick(now, T))

    def _note(self, now: float, changes: list[Alarm]) -> None:
        self.news += [(now, alarm, change) for alarm, change in said(changes)]


# -- a dead bus ----------------------------------------------------------------------------------


def test_a_dead_bus_is_one_alarm_not_ten() -> None:
    bus = Bus()
    bus.poll(0, 20)
    bus.quiet(20, 60)
    # The quantity that was polled first of the last round is overdue 10 s after it was heard.
    assert bus.news == [(25.0, "head/any/bus", "raised")]
    assert bus.engine.silent_sources() == {"head"}
    assert bus.engine.active()[0].rank == 4


def test_a_bus_that_comes_back_gives_each_quantity_its_time() -> None:
    bus = Bus()
    bus.poll(0, 20)
    bus.quiet(20, 40)
    bus.poll(40, 80)
    assert bus.news[1:] == [(40.0, "head/any/bus", "cleared")]


def test_what_does_not_come_back_with_its_bus_is_silent_then() -> None:
    bus = Bus()
    bus.poll(0, 20)
    bus.quiet(20, 40)
    bus.poll(40, 60, without=("h2s",))
    assert bus.news[1:] == [
        (40.0, "head/any/bus", "cleared"),
        (50.0, "head/h2s/silent", "raised"),
    ]


def test_one_silent_quantity_of_a_bus_that_speaks_is_itself() -> None:
    bus = Bus()
    bus.poll(0, 20)
    bus.poll(20, 60, without=("h2s",))
    assert bus.news == [(25.5, "head/h2s/silent", "raised")]


def test_a_silence_goes_into_that_of_its_bus() -> None:
    bus = Bus()
    bus.poll(0, 20)
    bus.poll(20, 40, without=("h2s",))
    bus.engine.acknowledge("head/h2s/silent", "panel")
    bus.quiet(40, 60)
    assert bus.news[1:] == [
        (45.0, "head/h2s/silent", "cleared"),
        (45.0, "head/any/bus", "raised"),
    ]
    assert [alarm.state for alarm in bus.engine.active()] == [AlarmState.UNACKNOWLEDGED]


def test_a_sensor_alone_on_its_line_is_silent_and_no_bus() -> None:
    engine = Engine({}, SILENT_S, 0.0)
    engine.reading(reading("co"), 1.0, T, 1.0)
    assert said(engine.tick(11.0, T)) == [
        ("head/co/silent", "raised"), ("gas/any/silent", "raised"),
    ]  # fmt: skip


def test_a_dead_bus_is_dead_after_a_restart_and_announced_once() -> None:
    bus = Bus()
    bus.poll(0, 20)
    bus.quiet(20, 40)
    again = Engine({}, SILENT_S, 0.0)
    assert again.restore(bus.engine.save(), 0.0, T) == []
    assert [alarm.alarm for alarm in again.active()] == ["head/any/bus"]
    assert said(again.tick(10.0, T)) == [("gas/any/silent", "raised")]
    assert said(again.reading(reading("co"), 11.0, T, 11.0)) == [("head/any/bus", "cleared")]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 15), st.sampled_from(["tick", "co", "h2s", "o2"])), max_size=60)
)
def test_whoever_is_silent_for_too_long_is_covered_by_an_alarm(
    steps: list[tuple[float, str]],
) -> None:
    fresh = Freshness({"head": 10.0}, 0.0)
    held: set[tuple[str, str, str]] = set()
    last = {"any": 0.0}
    now = 0.0
    for wait_s, what in steps:
        now += wait_s
        if what != "tick":
            ended = fresh.heard("head", what, now)
            assert set(ended) <= held
            held -= set(ended)
            last.pop("any", None)
            if ("head", "any", "bus") in ended:
                last = dict.fromkeys(last, now)
            last[what] = now
        for silence, holds in list(fresh.changes(now)):
            assert holds is (silence not in held)
            held ^= {silence}
        bus = ("head", "any", "bus") in held
        for quantity, since in last.items():
            alone = ("head", quantity, "silent") in held
            assert (bus or alone) is (now - since >= 10.0) or (bus and len(last) > 1)
        assert not (bus and len(held) > 1)


# -- frozen ----------------------------------------------------------------------------------------


def course(*said_at: tuple[float, Reading]) -> list[bool]:
    frozen = Frozen({"head": 60.0})
    return [frozen.is_frozen(one, at) for at, one in said_at]


def test_the_same_frame_for_too_long_is_frozen() -> None:
    same = reading("o2", 20.9, "aa")
    assert course((0, same), (59.9, same), (60.0, same), (61.0, reading("o2", 20.9, "ab"))) == [
        False, False, True, False,
    ]  # fmt: skip


def test_a_counter_in_the_frame_that_goes_on_is_life() -> None:
    moving = [(float(n), reading("o2", 20.9, f"{n:02x}")) for n in range(200)]
    assert not any(course(*moving))


def test_a_gas_may_rest_at_zero() -> None:
    assert not any(course(*[(float(n), reading("co", 0.0, "aa")) for n in range(500)]))


def test_without_a_frame_the_value_counts() -> None:
    assert course((0, reading("co", 3.0)), (60, reading("co", 3.0)))[-1]


def test_who_is_not_configured_is_never_frozen() -> None:
    frozen = Frozen({"head": 60.0, "gas": 0.0})
    same = reading("co", 3.0, "aa", source="gas")
    assert not any(frozen.is_frozen(same, float(at)) for at in range(0, 1000, 10))


def test_a_receiver_s_time_that_stands_is_frozen_and_a_standing_vehicle_is_not() -> None:
    def fix(time: str) -> Reading:
        place = FixBody(mode=3, time=time, lat=30.6, lon=114.3)
        return Reading(source="head", quantity="position", quality=Quality.GOOD, fix=place)

    assert course((0, fix("a")), (60, fix("a"))) == [False, True]
    assert not any(course(*[(float(n), fix(str(n))) for n in range(200)]))


def test_a_frozen_value_is_stale_and_an_alarm_until_it_moves() -> None:
    engine = Engine({}, SILENT_S, 0.0, frozen_s={"head": 60.0})
    news: list[tuple[str, str]] = []
    for at in range(0, 71, 5):
        one = engine.judged(reading("o2", 20.9, "aa"), float(at))
        assert (one.quality is Quality.STALE) is (at >= 60)
        news += said(engine.reading(one, float(at), T, float(at)))
    assert news == [("head/o2/frozen", "raised")]
    one = engine.judged(reading("o2", 20.8, "ab"), 75.0)
    assert one.quality is Quality.GOOD
    assert said(engine.reading(one, 75.0, T, 75.0)) == [("head/o2/frozen", "cleared")]


# -- clocks ----------------------------------------------------------------------------------------


def test_a_clock_that_nobody_sets_is_told_after_a_minute() -> None:
    watch = Timekeeping()
    assert watch.holding(100.0, 0, unset=True) == set()
    assert watch.holding(159.9, 59_900, unset=True) == set()
    assert watch.holding(160.0, 60_000, unset=True) == {"clock_unset"}
    assert watch.holding(161.0, T, unset=False) == set()


@pytest.mark.parametrize(
    ("went_ms", "stopped"),
    [(0, True), (4_900, True), (5_000, False), (10_000, False), (3_600_000, False),
     (-3_600_000, False)],
)  # fmt: skip
def test_a_clock_that_stands_has_stopped_and_one_that_was_set_has_not(
    went_ms: int, stopped: bool
) -> None:
    watch = Timekeeping()
    watch.holding(0.0, T, unset=False)
    assert watch.holding(5.0, T, unset=False) == set()
    assert ("clock_stopped" in watch.holding(10.0, T + went_ms, unset=False)) is stopped
    # It goes again.
    assert watch.holding(20.0, T + went_ms + 10_000, unset=False) == set()


# -- the unit itself ---------------------------------------------------------------------------


class Self:
    """What `Vitals` looks at, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        self.trouble = ""
        self.clock: Any = SimpleNamespace(source=Clock.NTP, now_ms=lambda: round(self.now_s * 1000))
        self.engine = Engine({}, {}, 0.0)
        self.vitals = Vitals(self.engine, self, self.clock)  # type: ignore[arg-type]
        monkeypatch.setattr(vitals, "boottime_s", lambda: self.now_s)

    def passes(self, seconds: float) -> list[tuple[str, str]]:
        self.now_s += seconds
        return said(self.vitals.check())


def test_a_disk_that_refuses_is_an_alarm_and_a_hiccup_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = Self(monkeypatch)
    assert unit.passes(0) == []
    unit.trouble = "database or disk is full"
    assert unit.passes(0.5) == []
    assert unit.passes(1.9) == []
    assert unit.passes(0.1) == [("unit/disk/disk", "raised")]
    assert unit.passes(1) == []
    unit.trouble = ""
    assert unit.passes(0.5) == [("unit/disk/disk", "cleared")]
    unit.trouble = "database is locked"
    assert unit.passes(0.5) == []
    unit.trouble = ""
    assert unit.passes(5) == []


def test_an_unset_clock_is_an_alarm_of_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Self(monkeypatch)
    unit.clock.source = Clock.FREE
    unit.passes(0)
    assert unit.passes(60) == [("unit/clock/clock_unset", "raised")]
    unit.clock.source = Clock.GNSS
    assert unit.passes(1) == [("unit/clock/clock_unset", "cleared")]


def test_what_stood_before_a_restart_and_is_over_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Self(monkeypatch)
    unit.trouble = "full"
    unit.passes(0)
    unit.passes(2)
    after = Self(monkeypatch)
    after.engine.restore(unit.engine.save(), 0.0, T)
    assert [alarm.code for alarm in after.engine.active()] == ["disk"]
    assert after.passes(0) == [("unit/disk/disk", "cleared")]
