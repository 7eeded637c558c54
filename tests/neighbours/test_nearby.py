"""agent/neighbours/nearby.py: what is announced, grouped, silenced and forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.neighbours.nearby import FORGET_S, LOST_S, UNITS_MAX, Nearby, News
from agent.neighbours.packet import SEEN_MAX, Seen, Shared
from drivers.geodesy import beside
from tests.neighbours.making import NOW_MS, made, shared

HERE = (30.5, 114.3)


def tell(nearby: Nearby, unit: str, *alarms: Shared, at: float = 0.0, **more: Any) -> list[str]:
    """What is new, as words."""
    packet = made(unit=unit, nonce=unit[-2:].encode() * 4, alarms=alarms, **more)
    return [word(news) for news in nearby.hear(packet, at)]


def word(news: News) -> str:
    return news.news if news.shared is None else f"{news.news} {news.shared.code}"


def put(metres: float, bearing: float = 90.0) -> dict[str, float]:
    lat, lon = beside(HERE, bearing, metres)
    return {"lat": lat, "lon": lon}


def test_an_alarm_is_raised_and_over() -> None:
    nearby = Nearby()
    assert tell(nearby, "kit-07") == ["met"]
    assert tell(nearby, "kit-07", shared()) == ["raised high"]
    assert nearby.sounds()
    assert tell(nearby, "kit-07", shared()) == []
    assert tell(nearby, "kit-07") == ["over high"]
    assert not nearby.sounds()


def test_who_where_and_what() -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared(value=14.2), at=100.0, place_age_s=2.0, **put(120.0, 45.0))
    (one,) = nearby.announcements(HERE, 103.0)
    assert (one.code, one.quantity, one.value, one.unit) == ("high", "h2s", 14.2, "ppm")
    assert one.units == ("kit-07",)
    assert one.distance_m == pytest.approx(120.0, abs=0.2)
    assert one.bearing_deg == pytest.approx(45.0, abs=0.2)
    assert one.place_age_s == 5.0
    assert one.sounds


def test_without_the_own_place_there_is_no_distance() -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared(), **put(120.0))
    (one,) = nearby.announcements(None, 0.0)
    assert (one.distance_m, one.bearing_deg) == (None, None)


def test_one_cloud_is_one_announcement_with_the_worst_value_and_the_nearest_unit() -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared(value=14.0), **put(120.0))
    tell(nearby, "kit-08", shared(value=30.0, since=NOW_MS + 5), **put(100.0))
    tell(nearby, "kit-09", shared(value=11.0), **put(900.0))
    near, far = nearby.announcements(HERE, 0.0)
    assert (near.units, near.value, near.since) == (("kit-08", "kit-07"), 30.0, NOW_MS)
    assert far.units == ("kit-09",)


def test_of_little_oxygen_the_least_is_the_worst() -> None:
    nearby = Nearby()
    for unit, value in (("kit-07", 17.0), ("kit-08", 12.5)):
        tell(nearby, unit, shared(code="critical", quantity="o2", value=value), **put(10.0))
    assert [one.value for one in nearby.announcements(HERE, 0.0)] == [12.5]


def test_another_gas_and_another_kind_are_announcements_of_their_own() -> None:
    nearby = Nearby()
    tell(
        nearby, "kit-07", shared(), shared(alarm="gas/co/high", quantity="co"),
        shared(alarm="gas/h2s/over_range", code="over_range"), **put(10.0),
    )  # fmt: skip
    assert len(nearby.announcements(HERE, 0.0)) == 3


def test_units_without_a_place_are_one_place() -> None:
    nearby = Nearby()
    for unit in ("kit-07", "kit-08"):
        tell(nearby, unit, shared())
    assert [one.units for one in nearby.announcements(HERE, 0.0)] == [("kit-07", "kit-08")]


def test_each_call_for_help_is_one_of_its_own() -> None:
    nearby = Nearby()
    call = shared(alarm="panel/sos/sos", code="sos", quantity="sos", rank=2)
    for unit in ("kit-07", "kit-08"):
        tell(nearby, unit, call, **put(10.0))
    assert [one.units for one in nearby.announcements(HERE, 0.0)] == [("kit-07",), ("kit-08",)]


def test_the_button_ends_the_sound_and_who_joins_the_cloud_does_not_begin_it() -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared(), **put(10.0))
    nearby.silence()
    assert not nearby.sounds()
    assert tell(nearby, "kit-08", shared(), **put(40.0)) == ["met", "raised high"]
    assert not nearby.sounds()
    assert [one.sounds for one in nearby.announcements(HERE, 0.0)] == [False]
    # Another place, another kind, another raising: each sounds.
    tell(nearby, "kit-09", shared(), **put(400.0))
    assert nearby.sounds()


@pytest.mark.parametrize(
    "news",
    [
        shared(since=NOW_MS + 1),
        shared(alarm="gas/h2s/over_range", code="over_range"),
        shared(alarm="panel/sos/sos", code="sos", quantity="sos"),
    ],
)
def test_what_is_new_at_the_same_unit_sounds_again(news: Shared) -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared(), **put(10.0))
    nearby.silence()
    tell(nearby, "kit-07", news, **put(10.0))
    assert nearby.sounds()


def test_other_codes_are_no_affair_of_neighbours() -> None:
    nearby = Nearby()
    codes = ("low", "bus", "sos_silent", "fault")
    assert tell(nearby, "kit-07", *(shared(alarm=code, code=code) for code in codes)) == ["met"]
    assert nearby.announcements(None, 0.0) == ()


def test_what_was_seen_here_is_told_as_long_as_it_stands() -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared())
    assert nearby.seen() == ()
    nearby.silence()
    assert nearby.seen() == (Seen("kit-07", "gas/h2s/high", NOW_MS),)
    tell(nearby, "kit-07")
    assert nearby.seen() == ()


def test_out_of_reach_and_back() -> None:
    nearby = Nearby()
    tell(nearby, "kit-07", shared(), at=0.0)
    assert nearby.tick(LOST_S) == []
    assert [word(news) for news in nearby.tick(LOST_S + 0.1)] == ["lost"]
    assert [one.lost for one in nearby.announcements(None, 20.0)] == [True]
    assert nearby.echo() == {}
    assert nearby.sounds()
    assert tell(nearby, "kit-07", shared(), at=30.0) == ["back"]
    nearby.tick(30.0 + FORGET_S + 1)
    assert nearby.units() == ()
    assert not nearby.sounds()


def test_who_has_nothing_to_say_makes_room_first() -> None:
    nearby = Nearby()
    tell(nearby, "kit-in-danger", shared(), at=0.0)
    for number in range(UNITS_MAX + 5):
        tell(nearby, f"kit-{number + 100}", at=1.0 + number)
    names = {one.unit for one in nearby.units()}
    assert len(names) == UNITS_MAX
    assert "kit-in-danger" in names


def test_no_more_is_seen_than_fits_a_packet() -> None:
    nearby = Nearby()
    for number in range(SEEN_MAX + 3):
        tell(nearby, f"kit-{number + 10}", shared())
    nearby.silence()
    assert len(nearby.seen()) == SEEN_MAX


alarm_sets = st.lists(
    st.builds(
        shared,
        alarm=st.sampled_from(["a", "b", "c"]),
        code=st.sampled_from(["high", "over_range", "sos", "low", "bus"]),
        since=st.integers(0, 3),
    ),
    max_size=3, unique_by=lambda one: one.alarm,
)  # fmt: skip


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["kit-07", "kit-08", "kit-09"]), alarm_sets, st.booleans()),
            st.just("button"),
            st.floats(0.1, 30.0),
        ),
        max_size=30,
    )
)
def test_whatever_happens_the_sound_is_explained(steps: list[Any]) -> None:
    """It sounds only where something stands that nobody here has silenced, and right after the
    button it never does; announcements hold each standing alarm once."""
    nearby, at = Nearby(), 0.0
    for step in steps:
        if step == "button":
            nearby.silence()
            assert not nearby.sounds()
        elif isinstance(step, float):
            at += step
            nearby.tick(at)
        else:
            unit, alarms, placed = step
            tell(nearby, unit, *alarms, at=at, **(put(50.0) if placed else {}))
        told = nearby.announcements(HERE, at)
        standing = {
            (one.unit, alarm.alarm) for one in nearby.units() for alarm in one.alarms.values()
        }
        assert sum(len(one.units) for one in told) <= len(standing)
        assert bool(told) == bool(standing)
        assert nearby.sounds() == any(one.sounds for one in told)
