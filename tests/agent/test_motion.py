"""No motion, with its numbers (FIELD.md 4.5): still for 60 s, 30 s of pre-alarm, alarm at 90 s."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.motion import GAP_S, ByTrack, ByValue, Motion, State
from agent.messages import FixBody
from drivers.geodesy import beside

HERE = (30.593067, 114.30585)


def fix(meters: float = 0.0, eph: float | None = 4.0, speed: float | None = None) -> FixBody:
    lat, lon = beside(HERE, 90.0, meters)
    return FixBody(mode=3, lat=lat, lon=lon, eph=eph, speed=speed)


def still(motion: Motion, first: int, last: int) -> dict[int, State]:
    """A sample without motion each second."""
    return {at: motion.sample(False, float(at)) for at in range(first, last + 1)}


def test_the_alarm_comes_by_way_of_the_pre_alarm() -> None:
    motion = Motion(still_s=60.0, prealarm_s=30.0)
    motion.sample(True, 0.0)
    seen = still(motion, 1, 95)
    assert seen[59] is State.MOVING
    assert seen[60] is State.PREALARM
    assert seen[89] is State.PREALARM
    assert seen[90] is State.ALARM
    assert seen[95] is State.ALARM


def test_the_pre_alarm_says_when_it_becomes_an_alarm() -> None:
    motion = Motion(60.0, 30.0)
    motion.sample(True, 0.0)
    still(motion, 1, 70)
    assert motion.alarm_at() == 90.0
    assert motion.tick(89.9) is State.PREALARM
    assert motion.tick(90.0) is State.ALARM
    assert motion.alarm_at() is None


@pytest.mark.parametrize("how", ["motion", "button"])
def test_motion_or_the_button_ends_the_pre_alarm_and_the_alarm(how: str) -> None:
    for until in (75, 100):
        motion = Motion(60.0, 30.0)
        motion.sample(True, 0.0)
        still(motion, 1, until)
        at = float(until + 1)
        assert (motion.sample(True, at) if how == "motion" else motion.press(at)) is State.MOVING
        # And all of it begins anew.
        assert still(motion, until + 2, until + 60)[until + 60] is State.MOVING
        assert still(motion, until + 61, until + 61)[until + 61] is State.PREALARM


def test_what_nothing_tells_of_does_not_count_before_the_pre_alarm_and_counts_in_it() -> None:
    motion = Motion(60.0, 30.0)
    motion.sample(True, 0.0)
    still(motion, 1, 30)
    # An hour without a position: no stillness was seen.
    assert motion.tick(3600.0) is State.MOVING
    assert still(motion, 3630, 3659)[3659] is State.MOVING
    assert still(motion, 3660, 3660)[3660] is State.PREALARM
    # In it the sensor fails as well.
    assert motion.sample(None, 3689.9) is State.PREALARM
    assert motion.sample(None, 3690.0) is State.ALARM


def test_a_gap_is_more_than_ten_seconds() -> None:
    motion = Motion(60.0, 30.0)
    motion.sample(True, 0.0)
    for number in range(1, 7):
        state = motion.sample(False, number * GAP_S)
    assert state is State.PREALARM


@given(
    samples=st.lists(
        st.tuples(st.floats(0.1, 9.0), st.sampled_from([True, False, False, False, None])),
        max_size=80,
    )
)
def test_it_never_alarms_without_a_whole_pre_alarm(
    samples: list[tuple[float, bool | None]],
) -> None:
    motion, at, moved_at, pre_at = Motion(20.0, 10.0), 0.0, 0.0, None
    for wait_s, moved in samples:
        at += wait_s
        before, state = motion.state, motion.sample(moved, at)
        if moved:
            moved_at = at
            assert state is State.MOVING
        if state is State.PREALARM and before is not State.PREALARM:
            pre_at = at
            assert at - moved_at >= 20.0 - 1e-6
        if state is State.ALARM and before is not State.ALARM:
            assert pre_at is not None
            assert at - pre_at >= 10.0 - 1e-6
        if before is State.ALARM and not moved:
            assert state is State.ALARM


@pytest.mark.parametrize(
    ("fixes", "expected"),
    [
        # within the radius, and within what the position may be wrong by
        ([fix(0), fix(4.9)], [False, False]),
        ([fix(0), fix(5.2)], [False, True]),
        ([fix(0, eph=12.0), fix(11.0, eph=4.0)], [False, False]),
        ([fix(0, eph=4.0), fix(11.0, eph=12.0)], [False, False]),
        ([fix(0, eph=None), fix(14.0)], [False, False]),
        ([fix(0, eph=None), fix(16.0)], [False, True]),
        # a walker's speed counts, a receiver's noise does not
        ([fix(0), fix(1.0, speed=0.8)], [False, True]),
        ([fix(0), fix(1.0, speed=0.3)], [False, False]),
        # slow, but away
        ([fix(0), fix(3), fix(6), fix(9), fix(12)], [False, False, True, False, True]),
        ([FixBody(mode=1)], [None]),
    ],
)
def test_motion_by_the_track(fixes: list[FixBody], expected: list[bool | None]) -> None:
    track = ByTrack(5.0)
    assert [track.moved(one) for one in fixes] == expected


def test_motion_by_an_accelerometer() -> None:
    """Metres per second squared: at rest 9.81 with noise; a step swings it."""
    rule = ByValue(1.0)
    values = [9.81, 9.9, 9.7, 12.4, 9.81, 9.8, 9.85, None, float("nan"), 9.8]
    expected = [False, False, False, True, True, False, False, None, None, False]
    assert [rule.moved(value) for value in values] == expected
