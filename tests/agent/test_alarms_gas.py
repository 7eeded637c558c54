"""Set points against samples, with the numbers of config/limits/responder.toml.

Each case is a course of samples and, after each, the codes that hold.  Worked by hand:
chlorine 0.5 / 1 ppm, hysteresis 10 %: low ends below 0.45, high below 0.9;
oxygen 19.5 and 16 falling, 23.5 rising, hysteresis 0.2: they end above 19.7 and 16.2, below 23.3;
combustible 10 / 20 %LEL, hysteresis 2: they end below 8 and 18.
"""

from __future__ import annotations

import math

import pytest

from agent.alarms import gas
from agent.alarms.setpoints import SetPoint
from agent.settings import limits, places
from drivers import Quality

POINTS = limits.load(places.named("limits", "responder")).points
NONE: set[str] = set()

Course = list[tuple[float | tuple[float | None, Quality] | None, set[str]]]


def play(point: SetPoint | None, course: Course) -> None:
    channel = gas.Channel()
    for number, (sample, expected) in enumerate(course):
        value, quality = sample if isinstance(sample, tuple) else (sample, Quality.GOOD)
        channel = gas.step(channel, point, value, quality)
        assert channel.holding == expected, (number, sample)


COURSES: dict[str, tuple[str, Course]] = {
    "low needs two samples": ("cl2", [(0.5, NONE), (0.5, {"low"})]),
    "one odd sample does not cry wolf": (
        "cl2", [(0.6, NONE), (0.4, NONE), (0.6, NONE), (0.6, {"low"})],
    ),
    "high needs one": ("cl2", [(0.0, NONE), (1.0, {"high"}), (1.0, {"high", "low"})]),
    "just below is not yet": ("cl2", [(0.49, NONE)] * 3),
    "low ends behind its hysteresis": (
        "cl2", [(0.5, NONE), (0.5, {"low"}), (0.46, {"low"}), (0.45, NONE), (0.5, NONE)],
    ),
    "high ends behind its own, low goes on": (
        "cl2",
        [(1.2, {"high"}), (0.95, {"high", "low"}), (0.91, {"high", "low"}), (0.9, {"low"})],
    ),
    "too little oxygen": (
        "o2",
        [(20.9, NONE), (19.5, NONE), (19.4, {"deficient"}), (19.6, {"deficient"}), (19.7, NONE)],
    ),
    "critically little oxygen at once": (
        "o2", [(15.9, {"critical"}), (16.1, {"critical", "deficient"}), (16.2, {"deficient"})],
    ),
    "too much oxygen": (
        "o2", [(23.5, NONE), (23.6, {"low"}), (23.4, {"low"}), (23.3, NONE), (20.9, NONE)],
    ),
    "the hysteresis of combustible gas is 2 %LEL": (
        "combustible", [(20, {"high"}), (18.1, {"high", "low"}), (18, {"low"}), (8, NONE)],
    ),
    "warm-up raises nothing": ("cl2", [((5.0, Quality.WARMUP), NONE)] * 3),
    "warm-up ends nothing": (
        "cl2", [(2.0, {"high"}), ((0.0, Quality.WARMUP), {"high"}), (0.0, NONE)],
    ),
    "warm-up without figures": ("cl2", [((None, Quality.WARMUP), NONE)]),
    "stale raises and ends nothing": (
        "cl2", [(2.0, {"high"}), ((0.0, Quality.STALE), {"high"})],
    ),
    "a fault is an alarm at once": ("cl2", [((None, Quality.FAULT), {"fault"}), (0.0, NONE)]),
    "a fault ends no gas alarm": (
        "cl2", [(2.0, {"high"}), ((None, Quality.FAULT), {"high", "fault"}), (0.1, NONE)],
    ),
    "a fault and what it says": ("cl2", [((3.0, Quality.FAULT), {"fault"})]),
    "good without a value is a fault": ("cl2", [(None, {"fault"})]),
    "good without a number is a fault": (
        "cl2", [(1.5, {"high"}), (math.nan, {"high", "fault"}), (math.inf, {"high", "fault"})],
    ),
    "over range at once, and no fault": ("cl2", [((20.0, Quality.OVER_RANGE), {"over_range"})]),
    "over range ends in clean air alone": (
        "combustible",
        [
            ((100, Quality.OVER_RANGE), {"over_range"}),
            (60, {"over_range", "high"}),
            (9, {"over_range"}),
            (8.1, {"over_range"}),
            (8, NONE),
        ],
    ),
    "over range stays through a fault": (
        "combustible",
        [
            ((100, Quality.OVER_RANGE), {"over_range"}),
            ((None, Quality.FAULT), {"over_range", "fault"}),
            (50, {"over_range", "high"}),
        ],
    ),
    "over range ends no gas alarm": (
        "cl2", [(1.5, {"high"}), ((20.0, Quality.OVER_RANGE), {"high", "over_range"})],
    ),
    "under range is a state of its own": (
        "cl2", [((-3.0, Quality.UNDER_RANGE), {"under_range"}), ((None, Quality.FAULT), {"fault"})],
    ),
    "overdue for calibration still alarms": (
        "cl2", [((1.0, Quality.CAL_DUE), {"high"}), ((0.0, Quality.CAL_DUE), NONE)],
    ),
    "simulated still alarms": ("cl2", [((1.0, Quality.SIMULATED), {"high"})]),
    "below zero is clean": ("cl2", [(-0.1, NONE), (-0.1, NONE)]),
}  # fmt: skip


@pytest.mark.parametrize("name", COURSES)
def test_course(name: str) -> None:
    quantity, course = COURSES[name]
    play(POINTS[quantity], course)


def test_a_quantity_without_limits_has_states_but_no_gas_alarm() -> None:
    play(None, [
        (1e9, NONE),
        ((None, Quality.FAULT), {"fault"}),
        (5.0, NONE),
        ((5.0, Quality.OVER_RANGE), {"over_range"}),
        (4.0, NONE),
    ])  # fmt: skip


@pytest.mark.parametrize("quantity", POINTS)
def test_every_limit_of_the_file_is_raised_and_ends(quantity: str) -> None:
    point = POINTS[quantity]
    for code, limit, rising in point.rules():
        channel = gas.Channel()
        for _ in range(2):
            channel = gas.step(channel, point, limit, Quality.GOOD)
        assert code in channel.holding
        band = point.band(limit) * 1.001
        away = limit - band if rising else limit + band
        assert code not in gas.step(channel, point, away, Quality.GOOD).holding


def test_the_numbers_are_those_of_the_field_guide() -> None:
    """FIELD.md 4.5, first column."""
    pairs = {
        "combustible": (10, 20), "co": (35, 200), "h2s": (10, 15), "so2": (2, 5), "no2": (2, 5),
        "nh3": (25, 50), "cl2": (0.5, 1), "hcn": (4.7, 10), "ph3": (0.3, 1), "hcl": (2, 5),
        "co2": (5000, 30000),
    }  # fmt: skip
    assert {name: (POINTS[name].low, POINTS[name].high) for name in pairs} == pairs
    oxygen = POINTS["o2"]
    assert (oxygen.deficient, oxygen.low, oxygen.critical) == (19.5, 23.5, 16)
    assert not any(point.sure for point in POINTS.values())
