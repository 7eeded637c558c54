"""What may be believed, what is no recovery, what is news again (FIELD.md 2.6 and 4.5)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alarms.engine import Engine
from agent.alarms.validity import Validity
from agent.annunciator import Annunciator
from agent.messages import Alarm, AlarmState, Reading
from agent.settings import limits, places
from drivers import Quality

POINTS = limits.load(places.named("limits", "responder")).points
T = 1_790_000_000_000
UNITS = {"combustible": "%LEL", "o2": "/100"}
LEL = "head/combustible/over_range"


def make() -> Engine:
    return Engine(POINTS, {"head": 10.0, "gas": 10.0}, at=0.0)


def reading(
    quantity: str,
    value: float | None,
    quality: Quality = Quality.GOOD,
    full_scale: float | None = None,
    source: str = "head",
) -> Reading:
    return Reading(
        source=source, quantity=quantity, value=value, unit=UNITS.get(quantity, "ppm"),
        quality=quality, full_scale=full_scale,
    )  # fmt: skip


def feed(engine: Engine, *readings: Reading) -> list[str]:
    """`code change` of what they cause."""
    changes = [
        change
        for one in readings
        for change in engine.reading(engine.judged(one, 1.0), at=1.0, t=T, now=1.0)
    ]
    return said(changes)


def said(changes: list[Alarm]) -> list[str]:
    return [f"{change.code} {change.change}" for change in changes]


def codes(engine: Engine) -> set[str]:
    return {alarm.code for alarm in engine.active()}


# -- what may be believed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "value", "full_scale", "quality"),
    [
        ("co", 500.0, 500.0, Quality.OVER_RANGE),
        ("co", 499.9, 500.0, Quality.GOOD),
        ("co", -50.0, 500.0, Quality.GOOD),
        ("co", -50.1, 500.0, Quality.UNDER_RANGE),
        ("co", 9999.0, None, Quality.GOOD),
        ("combustible", 100.0, 100.0, Quality.OVER_RANGE),
        ("o2", 30.0, 30.0, Quality.OVER_RANGE),
        ("temperature", -40.0, 60.0, Quality.GOOD),
    ],
)
def test_the_ends_of_a_range(
    quantity: str, value: float, full_scale: float | None, quality: Quality
) -> None:
    one = reading(quantity, value, full_scale=full_scale)
    assert Validity().judged(one).quality is quality


@pytest.mark.parametrize("quality", [q for q in Quality if q.value not in
                                     ("good", "cal_due", "simulated")])  # fmt: skip
def test_a_quality_that_is_bad_already_stays(quality: Quality) -> None:
    assert Validity().judged(reading("co", 600.0, quality, 500.0)).quality is quality


def test_far_below_zero_is_a_fault_of_its_own() -> None:
    engine = make()
    assert feed(engine, reading("co", -60.0, full_scale=500.0)) == ["under_range raised"]
    assert feed(engine, reading("co", 0.0, full_scale=500.0)) == ["under_range cleared"]


# -- %LEL and oxygen ---------------------------------------------------------------------------


def test_lel_with_little_oxygen_is_invalid_and_says_so() -> None:
    engine = make()
    assert feed(engine, reading("combustible", 3.0)) == []
    assert "critical raised" in feed(engine, reading("o2", 9.9))
    assert engine.judged(reading("combustible", 3.0), 1.0).quality is Quality.INVALID
    assert feed(engine, reading("combustible", 3.0)) == ["lel_invalid raised"]
    # It stays until oxygen is clearly back, and a reading shows it.
    feed(engine, reading("o2", 10.1))
    assert feed(engine, reading("combustible", 3.0)) == []
    feed(engine, reading("o2", 10.2))
    assert feed(engine, reading("combustible", 3.0)) == ["lel_invalid cleared"]


def test_an_invalid_reading_raises_and_ends_nothing() -> None:
    engine = make()
    feed(engine, reading("combustible", 25.0))
    feed(engine, reading("o2", 8.0))
    feed(engine, reading("combustible", 0.0), reading("combustible", 0.0))
    assert "high" in codes(engine)
    other = make()
    feed(other, reading("o2", 8.0))
    assert feed(other, reading("combustible", 25.0)) == ["high raised", "lel_invalid raised"]


def test_oxygen_that_cannot_be_believed_changes_nothing() -> None:
    engine = make()
    feed(engine, reading("o2", 8.0), reading("o2", None, Quality.FAULT))
    feed(engine, reading("o2", 20.9, Quality.WARMUP))
    assert engine.judged(reading("combustible", 3.0), 1.0).quality is Quality.INVALID


def test_the_lowest_of_several_oxygen_sensors_counts() -> None:
    engine = make()
    feed(engine, reading("o2", 8.0, source="gas"), reading("o2", 20.9, source="head"))
    assert engine.judged(reading("combustible", 3.0), 1.0).quality is Quality.INVALID


def test_too_little_oxygen_is_known_after_a_restart() -> None:
    engine = make()
    feed(engine, reading("o2", 8.0), reading("combustible", 3.0))
    again = make()
    again.restore(engine.save(), 0.0, T)
    assert feed(again, reading("combustible", 3.0)) == []
    assert "lel_invalid" in codes(again)
    feed(again, reading("o2", 20.9))
    assert "lel_invalid cleared" in feed(again, reading("combustible", 3.0))


# -- over range of what needs oxygen --------------------------------------------------------------


def test_a_falling_reading_after_over_range_is_no_recovery() -> None:
    engine = make()
    feed(engine, reading("combustible", 100.0, full_scale=100.0))
    engine.acknowledge(LEL, "panel")
    # Too rich to burn looks like clean air, for however long.
    assert feed(engine, *[reading("combustible", 0.0, full_scale=100.0)] * 20) == []
    assert engine.active()[0].state is AlarmState.ACKNOWLEDGED
    changes = engine.clean_air(LEL, "panel", T)
    assert said(changes) == ["over_range cleared"]
    assert engine.active() == ()


def test_over_range_that_nobody_acknowledged_ends_with_the_same_word() -> None:
    engine = make()
    feed(engine, reading("combustible", 100.0, full_scale=100.0), reading("combustible", 0.0))
    assert said(engine.clean_air(LEL, "hq", T)) == ["over_range acknowledged", "over_range cleared"]


@pytest.mark.parametrize(
    "then",
    [[], [reading("combustible", 9.0)], [reading("combustible", None, Quality.FAULT)],
     [reading("o2", 5.0), reading("combustible", 0.0)],
     [reading("combustible", 0.0), reading("combustible", 0.0, Quality.WARMUP)]],
)  # fmt: skip
def test_clean_air_is_not_believed_where_the_instrument_does_not_show_it(
    then: list[Reading],
) -> None:
    engine = make()
    feed(engine, reading("combustible", 100.0, full_scale=100.0), *then)
    with pytest.raises(ValueError, match="head does not show clean air"):
        engine.clean_air(LEL, "panel", T)
    assert "over_range" in codes(engine)


def test_clean_air_where_nothing_was_over_range() -> None:
    engine = make()
    feed(engine, reading("combustible", 25.0))
    for alarm in (LEL, "head/combustible/high"):
        with pytest.raises(LookupError, match=f"no over-range alarm '{alarm}' stands"):
            engine.clean_air(alarm, "panel", T)


def test_a_cell_that_needs_no_oxygen_recovers_in_clean_air_and_still_wants_a_person() -> None:
    engine = make()
    feed(engine, reading("co", 500.0, full_scale=500.0))
    assert "over_range returned" in feed(engine, reading("co", 0.0, full_scale=500.0))
    assert said(engine.acknowledge("head/co/over_range", "panel")) == ["over_range cleared"]


def test_over_range_survives_a_restart_and_its_word_too() -> None:
    engine = make()
    feed(engine, reading("combustible", 100.0, full_scale=100.0))
    again = make()
    again.restore(engine.save(), 0.0, T)
    feed(again, reading("combustible", 0.0))
    assert "over_range" in codes(again)
    again.clean_air(LEL, "panel", T)
    assert codes(again) == set()


# -- worse ------------------------------------------------------------------------------------


def test_high_after_an_acknowledged_low_sounds() -> None:
    engine, horn = make(), Annunciator()
    changes = engine.reading(reading("cl2", 0.6), 1.0, T, 1.0)
    changes += engine.reading(reading("cl2", 0.6), 1.0, T, 1.0)
    horn.changed(changes)
    assert horn.shown(engine.active(), 1.0).pattern == "low"
    horn.silence(engine.active(), 1.0)
    engine.acknowledge("head/cl2/low", "panel")
    assert horn.shown(engine.active(), 2.0).pattern == "acknowledged"
    horn.changed(engine.reading(reading("cl2", 1.0), 2.0, T, 2.0))
    assert horn.shown(engine.active(), 2.0).pattern == "high"


@pytest.mark.parametrize(
    ("quantity", "code", "seen", "same", "worse"),
    [("cl2", "high", 1.5, 2.9, 3.0), ("o2", "critical", 15.0, 14.1, 14.0),
     ("combustible", "low", 9.0, 17.9, 18.0)],
)  # fmt: skip
def test_what_was_acknowledged_and_is_much_worse_is_news_again(
    quantity: str, code: str, seen: float, same: float, worse: float
) -> None:
    engine, horn = make(), Annunciator()
    start = {"cl2": 1.0, "o2": 15.9, "combustible": 10.0}[quantity]
    feed(engine, *[reading(quantity, start)] * 2, reading(quantity, seen))
    for alarm in engine.active():
        engine.acknowledge(alarm.alarm, "panel")
    horn.silence(engine.active(), 1.0)
    assert feed(engine, reading(quantity, same)) == []
    changes = engine.reading(reading(quantity, worse), 1.0, T, 1.0)
    assert f"{code} worsened" in said(changes)
    horn.changed(changes)
    assert horn.shown(engine.active(), 2.0).pattern in ("high", "low")
    assert all(change.state is AlarmState.UNACKNOWLEDGED for change in changes)
    # Not acknowledged, it sounds already: no more news.
    assert feed(engine, reading(quantity, worse)) == []


def test_an_acknowledged_high_that_stands_sounds_again_after_a_minute() -> None:
    engine, horn = make(), Annunciator()
    horn.changed(engine.reading(reading("cl2", 1.5), 1.0, T, 1.0))
    engine.acknowledge("head/cl2/high", "panel")
    horn.silence(engine.active(), 10.0)
    assert horn.shown(engine.active(), 69.9).pattern == "acknowledged"
    assert horn.shown(engine.active(), 70.0).pattern == "high"


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["combustible", "o2"]),
            st.floats(-20, 120),
            st.sampled_from(list(Quality)),
        ),
        st.sampled_from(["ack", "restart"]),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_nothing_but_a_person_s_word_ends_over_range_of_a_bead(
    steps: list[tuple[str, float, Quality] | str],
) -> None:
    engine = make()
    feed(engine, reading("combustible", 100.0, full_scale=100.0))
    for step in steps:
        match step:
            case "ack":
                for alarm in engine.active():
                    engine.acknowledge(alarm.alarm, "panel")
            case "restart":
                saved = engine.save()
                engine = make()
                engine.restore(saved, 0.0, T)
            case (quantity, value, quality):
                feed(engine, reading(str(quantity), float(value), Quality(quality), 100.0))
        assert "over_range" in codes(engine)
