"""Check-in, battery, position, driving and the heartbeat, each with its numbers."""

from __future__ import annotations

import pytest

from agent.alarms import person
from agent.alarms.person import CheckIn, Driving, Due, Position
from agent.alarms.protection import NO_SENSOR, unprotected
from agent.messages import Reading
from agent.settings.person import (
    CheckInConfig,
    DrivingConfig,
    NoMotionConfig,
    PersonConfig,
    PositionConfig,
    rules,
)
from drivers import Quality


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0, Due.WAITING), (1799, Due.WAITING), (1800, Due.DUE), (1859, Due.DUE), (1860, Due.MISSED),
     (9999, Due.MISSED)],
)  # fmt: skip
def test_a_check_in_each_half_hour_with_a_minute_of_grace(at: float, expected: Due) -> None:
    assert CheckIn(1800.0, 60.0, 0.0).state(at) is expected


def test_a_check_in_begins_the_interval_anew_whenever_it_comes() -> None:
    check = CheckIn(1800.0, 60.0, 0.0)
    for at in (900.0, 2650.0, 4000.0):
        check.checked(at)
        assert check.state(at + 1799) is Due.WAITING
        assert check.state(at + 1800) is Due.DUE


def test_a_restart_owes_what_was_owed_and_no_more() -> None:
    check = CheckIn(1800.0, 60.0, 5000.0)
    check.restore(5100.0, 5000.0)
    assert check.state(5100.0) is Due.DUE
    check.restore(99_999.0, 5000.0)
    assert check.due_at == 6800.0
    never = CheckIn(0.0, 60.0, 0.0)
    never.restore(1.0, 0.0)
    assert never.state(1e9) is Due.OFF


def test_battery_with_its_two_limits_and_five_per_cent_of_hysteresis() -> None:
    holding: frozenset[str] = frozenset()
    seen = []
    for charge in (21.0, 20.0, 24.9, 25.0, 10.0, 14.9, 15.0, 26.0):
        holding = person.battery(holding, charge, low=20.0, critical=10.0)
        seen.append(sorted(holding))
    both = ["battery", "battery_critical"]
    assert seen == [[], ["battery"], ["battery"], [], both, both, ["battery"], []]


def heard(position: Position, fixes: dict[int, bool]) -> dict[int, bool]:
    return {at: position.heard(good, float(at)) for at, good in fixes.items()}


def test_a_position_is_lost_after_half_a_minute_without_a_fix() -> None:
    seen = heard(
        Position(30.0, "once had", 0.0),
        {0: False, 100: False, 101: True, 130: False, 131: False, 200: False, 201: True},
    )
    assert seen == {0: False, 100: False, 101: False, 130: False, 131: True, 200: True, 201: False}


def test_a_position_that_is_always_required_is_lost_from_the_start() -> None:
    assert heard(Position(30.0, "always", 0.0), {29: False, 30: False}) == {29: False, 30: True}


def test_a_position_that_nobody_requires_is_never_lost() -> None:
    assert heard(Position(30.0, "never", 0.0), {0: True, 900: False}) == {0: False, 900: False}


def test_driving_above_its_speed_for_three_seconds_until_it_stands_for_twenty() -> None:
    driving = Driving(3.0)
    speeds = {0: 2.9, 1: 3.0, 2: 3.0, 3: 3.0, 4: 3.0, 10: 1.6, 20: 1.4, 39: 0.0, 40: 0.0}
    seen = {at: driving.speed(speed, float(at)) for at, speed in speeds.items()}
    assert seen == {
        0: False, 1: False, 2: False, 3: False, 4: True, 10: True, 20: True, 39: True, 40: False,
    }  # fmt: skip


def test_a_red_light_ends_no_drive_and_a_lost_position_does() -> None:
    driving = Driving(3.0)
    for at in range(5):
        driving.speed(10.0, float(at))
    assert driving.speed(0.0, 5.0)
    assert driving.speed(0.0, 20.0)
    assert driving.speed(8.0, 21.0)
    assert driving.tick(40.9, heard_at=21.0)
    assert not driving.tick(41.0, heard_at=21.0)


GAS = Reading(source="cl2", quantity="cl2", value=0.0, unit="ppm", quality=Quality.GOOD)


def gas(quality: Quality) -> Reading:
    return Reading(source="cl2", quantity="cl2", value=0.0, unit="ppm", quality=quality)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        (Quality.GOOD, ()),
        (Quality.CAL_DUE, ()),
        (Quality.SIMULATED, ()),
        (Quality.OVER_RANGE, ()),
        (Quality.WARMUP, ("cl2: warmup",)),
        (Quality.FAULT, ("cl2: fault",)),
        (Quality.STALE, ("cl2: stale",)),
        (Quality.INVALID, ("cl2: invalid",)),
        (Quality.UNDER_RANGE, ("cl2: under_range",)),
    ],
)
def test_the_heart_beats_while_the_sensor_measures(
    quality: Quality, expected: tuple[str, ...]
) -> None:
    assert unprotected(["cl2"], {"cl2": "up"}, set(), [gas(quality)]) == expected


@pytest.mark.parametrize(
    ("required", "states", "silent", "latest", "expected"),
    [
        ([], {}, set(), [], (NO_SENSOR,)),
        (["cl2"], {"cl2": "up"}, set(), [], ("cl2: unheard",)),
        (["cl2"], {"cl2": "down"}, set(), [GAS], ("cl2: down",)),
        (["cl2"], {"cl2": "starting"}, set(), [], ("cl2: starting",)),
        (["cl2"], {}, set(), [GAS], ("cl2: down",)),
        (["cl2"], {"cl2": "up"}, {"cl2"}, [GAS], ("cl2: silent",)),
        (["cl2"], {"cl2": "up", "gnss": "down"}, {"gnss"}, [GAS], ()),
        (["cl2", "gnss"], {"cl2": "up", "gnss": "up"}, {"gnss"}, [GAS], ("gnss: silent",)),
    ],
)
def test_the_heart_stops_and_says_why(
    required: list[str],
    states: dict[str, str],
    silent: set[str],
    latest: list[Reading],
    expected: tuple[str, ...],
) -> None:
    assert unprotected(required, states, silent, latest) == expected


def test_what_else_a_gas_head_measures_does_not_stop_the_heart() -> None:
    warm = Reading(
        source="cl2", quantity="temperature", value=None, unit="Cel", quality=Quality.FAULT
    )
    assert unprotected(["cl2"], {"cl2": "up"}, set(), [GAS, warm]) == ()


@pytest.mark.parametrize(
    ("profile", "motion", "check_in_s", "position", "drives"),
    [
        ("soldier", True, 1800.0, "once had", False),
        ("vehicle", False, 0.0, "once had", True),
        ("monitor", False, 0.0, "never", False),
        ("laptop", False, 0.0, "never", False),
    ],
)
def test_what_a_profile_decides(
    profile: str, motion: bool, check_in_s: float, position: str, drives: bool
) -> None:
    made = rules(PersonConfig(), profile)
    assert (made.watches_motion, made.check_in_s) == (motion, check_in_s)
    assert (made.position, made.drives, made.still_s) == (position, drives, 180.0)


def test_what_is_given_holds_whatever_the_profile() -> None:
    config = PersonConfig(
        no_motion=NoMotionConfig(enabled=True, source="imu", quantity="acceleration"),
        check_in=CheckInConfig(interval_s=600.0), position=PositionConfig(required=True),
        driving=DrivingConfig(enabled=True),
    )  # fmt: skip
    made = rules(config, "monitor")
    assert (made.watches_motion, made.still_s, made.check_in_s) == (True, 60.0, 600.0)
    assert (made.position, made.drives) == ("always", True)
