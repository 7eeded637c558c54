"""Suspicions: each has a fix that deserves it and its neighbours that do not."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Fix
from drivers.plausible import Judge, MotionConfig, distance_m

START = dt.datetime(2026, 11, 24, 2, 30, tzinfo=dt.UTC)
DEGREE_M = 111_195.08
"""Of latitude, on the sphere of the driver."""


def fix(second: float, north_m: float = 0.0, **more: Any) -> Fix:
    time = (START + dt.timedelta(seconds=second)).isoformat(timespec="milliseconds")
    given = {
        "mode": 3,
        "at": 1000.0 + second,
        "time": time.replace("+00:00", "Z"),
        "lat": 30.0 + north_m / DEGREE_M,
        "lon": 114.0,
        "eph": 4.0,
        **more,
    }
    return Fix(**given)


def flags(
    fixes: Iterable[Fix], speed_max_km_h: float = 150.0, strengths: tuple[float, ...] = ()
) -> list[tuple[str, ...]]:
    judge = Judge(speed_max_km_h / 3.6)
    return [judge.judge(one, strengths).flags for one in fixes]


def test_limits_by_carrier() -> None:
    assert MotionConfig().speed_max_m_s == pytest.approx(150 / 3.6)
    assert MotionConfig(carrier="foot").speed_max_m_s == pytest.approx(12 / 3.6)
    assert MotionConfig(carrier="foot", speed_max_km_h=36).speed_max_m_s == pytest.approx(10)


def test_distance() -> None:
    wuhan, beijing = fix(0, lat=30.593, lon=114.306), fix(0, lat=39.904, lon=116.407)
    assert distance_m(wuhan, beijing) == pytest.approx(1_052_000, rel=0.005)
    assert distance_m(wuhan, wuhan) == 0
    east, west = fix(0, lat=0.0, lon=179.9), fix(0, lat=0.0, lon=-179.9)
    assert distance_m(east, west) == pytest.approx(0.2 * DEGREE_M, rel=1e-6)


def test_a_drive_is_not_suspected() -> None:
    speed = 130 / 3.6
    drive = [fix(t, speed * t, speed=speed, alt=20.0, n_sat=18 - t % 5) for t in range(60)]
    assert set(flags(drive)) == {()}
    assert set(flags(drive, strengths=(30.0, 41.0, 52.0, 47.0))) == {()}


def test_ten_a_second_with_noise_are_not_suspected() -> None:
    noise = itertools.cycle((0.0, 2.5, -2.0, 1.5, -3.0))
    walk = [fix(t / 10, 0.12 * t + next(noise), speed=1.2) for t in range(200)]
    assert set(flags(walk, 12.0)) == {()}


def test_a_jump_is_held_until_three_fixes_agree() -> None:
    away = [fix(t, 900.0 if t >= 3 else 0.0) for t in range(9)]
    assert flags(away) == [(), (), ()] + [("jump",)] * 3 + [(), (), ()]


def test_a_single_outlier_leaves_no_trace() -> None:
    assert flags([fix(t, 900.0 if t == 3 else 0.0) for t in range(6)]) == [
        (), (), (), ("jump",), (), ()
    ]  # fmt: skip


def test_fixes_that_do_not_agree_with_each_other_stay_jumps() -> None:
    wild = [fix(0), *(fix(t, 5000.0 * (-1) ** t) for t in range(1, 8))]
    assert flags(wild)[1:] == [("jump",)] * 7


def test_on_foot_the_limit_is_lower_and_noise_has_its_share() -> None:
    # 3.33 m/s and three sigmas of 2 m each second: 9.3 m.
    assert flags([fix(0), fix(1, 9.2)], 12.0) == [(), ()]
    assert flags([fix(0), fix(1, 9.5)], 12.0) == [(), ("jump",)]
    assert flags([fix(0, eph=None), fix(1, 33.0, eph=None)], 12.0) == [(), ()]


def test_after_an_outage_the_way_may_be_long() -> None:
    assert flags([fix(0), fix(600, 20_000.0)]) == [(), ()]


def test_a_jump_is_never_dropped() -> None:
    judge = Judge(150 / 3.6)
    judge.judge(fix(0))
    far = fix(1, 5000.0, flags=("antenna_open",))
    found = judge.judge(far)
    assert found.flags == ("antenna_open", "jump")
    assert msgspec.structs.replace(found, flags=far.flags) == far


def test_a_speed_that_the_places_contradict() -> None:
    standing = [fix(t, 0.0, speed=30.0, eph=1.0) for t in range(4)]
    assert flags(standing) == [(), *[("speed_mismatch",)] * 3]
    # 5 m/s and three sigmas of 0.5 m in a second.
    assert flags([fix(t, 0.0, speed=6.4, eph=1.0) for t in range(3)]) == [()] * 3
    assert flags([fix(t, 0.0, speed=6.6, eph=1.0) for t in range(2)])[1] == ("speed_mismatch",)


def test_speeds_are_compared_over_a_second_and_not_over_a_gap() -> None:
    fast = [fix(t / 10, 3.0 * t, speed=30.0, eph=1.0) for t in range(30)]
    assert set(flags(fast)) == {()}
    assert flags([fix(0, speed=30.0), fix(60, 100.0, speed=30.0)]) == [(), ()]
    assert flags([fix(0, speed=30.0), fix(1, 30.0), fix(2, 60.0, speed=0.0)]) == [()] * 3


def test_time_that_goes_back_or_steps() -> None:
    assert flags([fix(5), fix(4, at=1006.0)]) == [(), ("time_back",)]
    assert flags([fix(0), fix(4, at=1001.0)]) == [(), ("time_step",)]
    assert flags([fix(0), fix(1, at=1004.0)]) == [(), ("time_step",)]
    assert flags([fix(0), fix(1, at=1002.9)]) == [(), ()]
    assert flags([fix(0), fix(1, time=None)]) == [(), ()]


def test_frozen_coordinates_of_a_moving_receiver() -> None:
    still = [fix(t, speed=0.5) for t in range(63)]
    assert [found for found in flags(still) if found] == [("spoof_suspect",)] * 2
    assert set(flags([fix(t, speed=0.1) for t in range(90)])) == {()}
    moved = [fix(t, 0.02 if t == 30 else 0.0, speed=0.5) for t in range(63)]
    assert set(flags(moved)) == {()}


def test_steps_of_altitude_and_of_satellites() -> None:
    assert flags([fix(0, alt=20.0), fix(1, alt=71.0)]) == [(), ("spoof_suspect",)]
    assert flags([fix(0, alt=20.0), fix(1, alt=69.0)]) == [(), ()]
    assert flags([fix(0, alt=20.0), fix(30, alt=171.0)]) == [(), ()]
    assert flags([fix(0, n_sat=8), fix(1, n_sat=18)]) == [(), ("spoof_suspect",)]
    assert flags([fix(0, n_sat=8), fix(1, n_sat=17)]) == [(), ()]


@pytest.mark.parametrize(
    ("strengths", "suspect"),
    [
        ((51.0, 52.0, 52.5, 51.5), True),
        ((51.0, 52.0, 52.5), False),
        ((51.0, 52.0, 53.5, 52.0), False),
        ((49.0, 50.0, 50.5, 49.5), False),
        ((), False),
    ],
)
def test_satellites_that_are_too_strong_and_too_much_alike(
    strengths: tuple[float, ...], suspect: bool
) -> None:
    assert flags([fix(0)], strengths=strengths) == [("spoof_suspect",) if suspect else ()]


def test_no_fix_is_not_judged() -> None:
    none = Fix(mode=1, at=1.0, status="none")
    assert flags([fix(0), none, fix(2)]) == [(), (), ()]


FLOATS = st.floats(-1e9, 1e9)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e6), st.floats(-90, 90), st.floats(-180, 180),
            st.none() | FLOATS, st.none() | st.floats(0, 1e6), st.booleans(),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_no_fix_makes_it_raise_and_none_is_changed_but_for_flags(rows: Any) -> None:
    judge = Judge(40.0)
    for second, lat, lon, alt, speed, timed in rows:
        one = fix(second, lat=lat, lon=lon, alt=alt, speed=speed)
        one = one if timed else msgspec.structs.replace(one, time=None)
        found = judge.judge(one)
        assert msgspec.structs.replace(found, flags=()) == one
        assert math.isfinite(distance_m(one, fix(0)))
