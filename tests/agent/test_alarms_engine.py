"""The alarms of a unit: transitions, latching, silence, SOS, restart."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.engine import Engine
from agent.alarms.standing import Standing
from agent.messages import Alarm, AlarmState, FixBody, Reading
from agent.settings import limits, places
from drivers import Quality

POINTS = limits.load(places.named("limits", "responder")).points
SILENT_S = {"gas": 5.0, "gnss": 3.0}
HIGH = "gas/cl2/high"
T = 1_790_000_000_000


def make() -> Engine:
    return Engine(POINTS, SILENT_S, at=0.0)


def cl2(value: float | None, quality: Quality = Quality.GOOD) -> Reading:
    return Reading(source="gas", quantity="cl2", value=value, unit="ppm", quality=quality)


def feed(
    engine: Engine, value: float | None, quality: Quality = Quality.GOOD, at: float = 1.0
) -> list[Alarm]:
    return engine.reading(cl2(value, quality), at=at, t=T + round(at * 1000), now=at + 0.004)


def fix(mode: int, lat: float) -> Reading:
    place = FixBody(mode=mode, lat=lat, lon=114.3)
    return Reading(source="gnss", quantity="position", quality=Quality.GOOD, fix=place)


def said(changes: list[Alarm]) -> list[tuple[str, str, str]]:
    return [(change.alarm, change.change, change.state.value) for change in changes]


def standing(engine: Engine) -> dict[str, str]:
    return {alarm.alarm: alarm.state.value for alarm in engine.active()}


# -- one transition ----------------------------------------------------------------------------


def test_what_a_raised_alarm_carries() -> None:
    engine = make()
    engine.reading(fix(3, 30.6), at=0.5, t=T, now=0.5)
    (alarm,) = feed(engine, 1.2)
    assert (alarm.alarm, alarm.code, alarm.rank, alarm.change) == (HIGH, "high", 1, "raised")
    assert (alarm.limit, alarm.limit_basis) == (1.0, "NIOSH ceiling 0.5; OSHA ceiling 1")
    assert alarm.reading is not None
    assert alarm.reading.value == 1.2
    assert alarm.fix is not None
    assert alarm.fix.lat == 30.6
    assert (alarm.delay_ms, alarm.since) == (4.0, T + 1000)


def test_the_place_is_the_last_that_was_a_fix() -> None:
    engine = make()
    engine.reading(fix(3, 30.6), at=0.5, t=T, now=0.5)
    engine.reading(fix(1, 0.0), at=0.6, t=T, now=0.6)
    (alarm,) = engine.sos(T)
    assert alarm.fix is not None
    assert alarm.fix.lat == 30.6


def test_a_limit_of_another_unit_judges_nothing() -> None:
    engine = make()
    reading = Reading(source="gas", quantity="cl2", value=99, unit="mg/m3", quality=Quality.GOOD)
    assert engine.reading(reading, at=1.0, t=T, now=1.0) == []
    assert engine.limit_unit("cl2") == "ppm"
    assert engine.limit_unit("temperature") is None


# -- lives -------------------------------------------------------------------------------------


def test_high_stands_until_it_is_acknowledged_and_gone() -> None:
    engine = make()
    feed(engine, 1.0)
    assert said(feed(engine, 0.1)) == [(HIGH, "returned", "returned_unacknowledged")]
    assert standing(engine) == {HIGH: "returned_unacknowledged"}
    assert said(engine.acknowledge(HIGH, "panel")) == [(HIGH, "cleared", "normal")]
    assert engine.active() == ()


def test_acknowledging_never_removes_an_alarm_whose_cause_stands() -> None:
    engine = make()
    feed(engine, 1.0)
    (change,) = engine.acknowledge(HIGH, "hq/wang")
    assert (change.change, change.state, change.by) == (
        "acknowledged", AlarmState.ACKNOWLEDGED, "hq/wang",
    )  # fmt: skip
    assert engine.acknowledge(HIGH, "hq/li") == []
    assert standing(engine)[HIGH] == "acknowledged"
    assert (HIGH, "cleared", "normal") in said(feed(engine, 0.1))
    assert engine.active() == ()


def test_high_that_comes_back_is_raised_anew() -> None:
    engine = make()
    feed(engine, 1.0)
    feed(engine, 0.1)
    assert said(feed(engine, 1.5)) == [(HIGH, "raised", "unacknowledged")]
    engine.acknowledge(HIGH, "panel")
    feed(engine, 0.1)
    (again,) = feed(engine, 1.5)
    assert (again.change, again.by, again.since) == ("raised", "", T + 1000)


def test_low_goes_by_itself() -> None:
    engine = make()
    assert feed(engine, 0.6) == []
    assert said(feed(engine, 0.6)) == [("gas/cl2/low", "raised", "unacknowledged")]
    assert said(feed(engine, 0.1)) == [("gas/cl2/low", "cleared", "normal")]


def test_the_same_again_is_no_news() -> None:
    engine = make()
    feed(engine, 2.0)
    feed(engine, 2.0)
    assert feed(engine, 3.0) == []


def test_over_range_latches() -> None:
    engine = make()
    alarm = "gas/cl2/over_range"
    assert said(feed(engine, 20, Quality.OVER_RANGE)) == [(alarm, "raised", "unacknowledged")]
    assert said(feed(engine, 0.0)) == [(alarm, "returned", "returned_unacknowledged")]
    assert said(engine.acknowledge(alarm, "panel")) == [(alarm, "cleared", "normal")]


def test_what_does_not_stand_cannot_be_acknowledged() -> None:
    with pytest.raises(LookupError, match="no alarm 'gas/cl2/high' stands"):
        make().acknowledge(HIGH, "panel")


def test_the_most_urgent_stands_first() -> None:
    engine = make()
    engine.tick(at=10.0, t=T)
    feed(engine, 0.6, at=11.0)
    feed(engine, 0.6, at=11.0)
    engine.sos(T + 20_000)
    feed(engine, 1.5, at=12.0)
    assert [alarm.code for alarm in engine.active()] == ["high", "sos", "low", "silent"]
    assert {alarm.change for alarm in engine.active()} == {"stands"}


# -- silence -----------------------------------------------------------------------------------


def test_a_source_that_never_spoke_is_silent() -> None:
    engine = make()
    assert engine.next_tick() == 3.0
    assert engine.tick(at=2.9, t=T) == []
    assert said(engine.tick(at=3.0, t=T)) == [("gnss/any/silent", "raised", "unacknowledged")]
    assert engine.tick(at=3.5, t=T) == []
    assert said(engine.tick(at=5.0, t=T)) == [("gas/any/silent", "raised", "unacknowledged")]
    assert engine.next_tick() is None
    assert engine.silent_sources() == {"gnss", "gas"}
    assert said(feed(engine, 0.0, at=6.0)) == [("gas/any/silent", "cleared", "normal")]
    assert engine.silent_sources() == {"gnss"}


def test_a_quantity_that_stops_is_silent_and_is_heard_again() -> None:
    engine = make()
    feed(engine, 0.0, at=1.0)
    engine.tick(at=4.0, t=T)
    assert engine.next_tick() == 6.0
    assert said(engine.tick(at=6.0, t=T)) == [("gas/cl2/silent", "raised", "unacknowledged")]
    assert said(engine.acknowledge("gas/cl2/silent", "panel")) == [
        ("gas/cl2/silent", "acknowledged", "acknowledged")
    ]
    assert said(feed(engine, 0.0, at=7.0)) == [("gas/cl2/silent", "cleared", "normal")]


def test_a_fault_is_a_word_and_no_silence() -> None:
    engine = make()
    assert said(feed(engine, None, Quality.FAULT, at=4.0)) == [
        ("gas/cl2/fault", "raised", "unacknowledged")
    ]
    assert said(engine.tick(at=5.0, t=T)) == [("gnss/any/silent", "raised", "unacknowledged")]


# -- SOS ---------------------------------------------------------------------------------------

SOS = "panel/sos/sos"


def test_sos_ends_only_by_a_person_s_word() -> None:
    engine = make()
    assert said(engine.sos(T)) == [(SOS, "raised", "unacknowledged")]
    assert engine.sos(T + 1) == []
    assert said(engine.acknowledge(SOS, "hq")) == [(SOS, "acknowledged", "acknowledged")]
    assert said(engine.end_sos("hq", T + 2)) == [(SOS, "cleared", "normal")]
    with pytest.raises(LookupError):
        engine.end_sos("hq", T + 3)


def test_an_sos_may_be_confirmed_at_once() -> None:
    engine = make()
    engine.sos(T)
    assert said(engine.end_sos("hq", T + 1)) == [
        (SOS, "acknowledged", "acknowledged"), (SOS, "cleared", "normal"),
    ]  # fmt: skip


def test_a_new_call_for_help_is_a_new_alarm_whoever_has_seen_the_last_one() -> None:
    engine = make()
    engine.sos(T)
    engine.acknowledge(SOS, "hq")
    (again,) = engine.sos(T + 60_000)
    assert (again.change, again.state, again.since, again.by) == (
        "raised", AlarmState.UNACKNOWLEDGED, T + 60_000, "",
    )  # fmt: skip


# -- restart -----------------------------------------------------------------------------------


def restarted(engine: Engine, silent_s: dict[str, float] = SILENT_S) -> tuple[Engine, list[Alarm]]:
    """Through JSON, as the store keeps it."""
    saved = msgspec.json.decode(msgspec.json.encode(engine.save()), type=list[Standing])
    new = Engine(POINTS, silent_s, at=100.0)
    return new, new.restore(saved, at=100.0, t=T + 100_000)


def test_what_stood_before_a_restart_stands_after_it() -> None:
    engine = make()
    feed(engine, 2.0)
    feed(engine, 2.0)
    engine.acknowledge("gas/cl2/low", "panel")
    engine.sos(T)
    engine.tick(at=3.5, t=T)
    new, news = restarted(engine)
    assert news == []
    assert standing(new) == standing(engine)
    assert len(standing(new)) == 4
    # And the same sample is no news, while a lower one ends what was restored.
    assert feed(new, 2.0, at=101.0) == []
    assert said(feed(new, 0.1, at=102.0)) == [
        (HIGH, "returned", "returned_unacknowledged"),
        ("gas/cl2/low", "cleared", "normal"),
    ]
    assert said(new.reading(fix(3, 30.0), at=103.0, t=T, now=103.0)) == [
        ("gnss/any/silent", "cleared", "normal")
    ]


def test_a_returned_alarm_still_waits_for_its_acknowledgement_after_a_restart() -> None:
    engine = make()
    feed(engine, 2.0)
    feed(engine, 0.0)
    new, _ = restarted(engine)
    assert standing(new) == {HIGH: "returned_unacknowledged"}
    assert said(new.acknowledge(HIGH, "panel")) == [(HIGH, "cleared", "normal")]


def test_alarms_of_a_source_that_is_no_longer_configured_do_not_stand_for_ever() -> None:
    engine = make()
    feed(engine, 2.0)
    feed(engine, 2.0)
    engine.tick(at=3.5, t=T)
    new, news = restarted(engine, {"gnss": 3.0})
    assert said(news) == [
        (HIGH, "returned", "returned_unacknowledged"),
        ("gas/cl2/low", "cleared", "normal"),
    ]
    assert standing(new) == {
        HIGH: "returned_unacknowledged", "gnss/any/silent": "unacknowledged",
    }  # fmt: skip
    assert said(new.acknowledge(HIGH, "panel")) == [(HIGH, "cleared", "normal")]


# -- whatever happens --------------------------------------------------------------------------

values = st.one_of(st.none(), st.floats(-1, 25), st.just(float("nan")))
steps = st.one_of(
    st.tuples(st.just("sample"), values, st.sampled_from(list(Quality))),
    st.tuples(st.just("tick")),
    st.tuples(st.just("acknowledge")),
    st.tuples(st.just("sos")),
    st.tuples(st.just("restart")),
)


@given(st.lists(steps, max_size=40))
def test_a_latching_alarm_never_goes_without_a_person(course: list[tuple[object, ...]]) -> None:
    engine, at = make(), 0.0
    for step in course:
        at += 1.0
        before = standing(engine)
        acknowledged = {alarm for alarm, state in before.items() if state == "acknowledged"}
        match step:
            case ("sample", value, quality):
                assert value is None or isinstance(value, float)
                assert isinstance(quality, Quality)
                feed(engine, value, quality, at=at)
            case ("tick",):
                engine.tick(at=at, t=T)
            case ("acknowledge",):
                for alarm in before:
                    engine.acknowledge(alarm, "panel")
                acknowledged = set(before)
            case ("sos",):
                engine.sos(T)
            case ("restart",):
                engine, _ = restarted(engine)
                assert standing(engine) == before
                at = max(at, 100.0)
        for alarm in before.keys() - standing(engine).keys():
            latches = alarm.endswith(("/high", "/over_range", "/sos"))
            assert not latches or alarm in acknowledged, (step, alarm)


@given(st.lists(st.tuples(st.floats(0, 25), st.booleans()), max_size=40))
def test_whoever_stands_in_the_gas_has_an_alarm(course: list[tuple[float, bool]]) -> None:
    engine = make()
    for number, (value, acknowledges) in enumerate(course):
        feed(engine, value, at=float(number))
        if acknowledges:
            for alarm in engine.active():
                engine.acknowledge(alarm.alarm, "panel")
        if value >= 1.0:
            assert HIGH in standing(engine)
