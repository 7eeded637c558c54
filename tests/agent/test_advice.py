"""Hints with a table of winds: no arrow where the wind is old, light, apparent or of another
place."""

from __future__ import annotations

from typing import Any

import pytest

from agent.advice import Exceeded, Heard, Place, advice
from agent.messages import FixBody, Reading
from drivers import Quality
from drivers.geodesy import beside

NOW = 1000.0
HERE = (30.593067, 114.30585)
PLACE = Place(*HERE, NOW - 1)


def wind(
    speed: float | None = 3.1, direction: float | None = 38.0, *, age: float = 2.0,
    quality: Quality = Quality.GOOD, kind: str = "", source: str = "mast",
) -> dict[tuple[str, str], Heard]:  # fmt: skip
    made = {}
    for family, value, unit in (("wind_speed", speed, "m/s"), ("wind_direction", direction, "deg")):
        name = family + kind
        reading = Reading(source=source, quantity=name, value=value, unit=unit, quality=quality)
        made[(source, name)] = Heard(reading, NOW - age)
    return made


@pytest.mark.parametrize(
    ("heard", "over", "bearing", "why"),
    [
        (wind(), {}, 38, ""),
        (wind(direction=359.7), {}, 0, ""),
        ({}, {}, None, "no_wind"),
        (wind(age=30.0), {}, 38, ""),
        (wind(age=30.1), {}, None, "stale"),
        (wind(speed=0.99), {}, None, "calm"),
        (wind(speed=1.0), {}, 38, ""),
        (wind(quality=Quality.FAULT), {}, None, "not_trusted"),
        (wind(quality=Quality.STALE), {}, None, "not_trusted"),
        (wind(quality=Quality.SIMULATED), {}, 38, ""),
        (wind(direction=None), {}, None, "not_trusted"),
        (wind(kind="_apparent"), {}, None, "apparent"),
        # A mast that knows nothing of its vehicle's motion, and the vehicle moves.
        (wind(), {"apparent": {"mast"}}, None, "apparent"),
        (wind() | wind(direction=90.0, source="nmea"), {"apparent": {"mast"}}, 90, ""),
        # A mean of minutes before the value of a moment.
        (wind() | wind(direction=50.0, kind="_mean"), {}, 50, ""),
        (wind() | wind(direction=50.0, kind="_mean", age=31.0), {}, 38, ""),
        (wind() | wind(speed=0.2, kind="_mean", age=1.0, source="b"), {}, 38, ""),
        (wind(), {"mast": beside(HERE, 90.0, 480.0)}, 38, ""),
        (wind(), {"mast": beside(HERE, 90.0, 520.0)}, None, "far"),
        (wind(), {"mast": HERE, "here": None}, None, "no_place"),
        (wind(), {"mast": HERE, "here": Place(*HERE, NOW - 61)}, None, "no_place"),
    ],
)
def test_towards_the_wind(
    heard: dict[tuple[str, str], Heard], over: dict[str, Any], bearing: float | None, why: str
) -> None:
    given = {"here": PLACE, **over}
    made = advice(heard, given.pop("here"), None, NOW, **given)
    assert made.estimate
    assert (made.upwind.bearing_deg if made.upwind else None, made.no_upwind) == (bearing, why)


def exceeded(bearing: float, metres: float, age: float = 60.0) -> Exceeded:
    lat, lon = beside(HERE, bearing, metres)
    return Exceeded("gas1/cl2/high", 5, NOW - age, FixBody(mode=3, lat=lat, lon=lon))


@pytest.mark.parametrize(
    ("last", "here", "far", "why"),
    [
        (exceeded(270.0, 120.0), PLACE, (120, 270), ""),
        (exceeded(359.9, 500.0), PLACE, (500, 0), ""),
        (exceeded(90.0, 10.0), PLACE, None, "here"),
        (None, PLACE, None, "none"),
        (exceeded(90.0, 120.0, age=3601.0), PLACE, None, "old"),
        (Exceeded("a", 5, NOW - 1, None), PLACE, None, "no_place"),
        (exceeded(90.0, 120.0), None, None, "no_place"),
        (exceeded(90.0, 120.0), Place(*HERE, NOW - 61), None, "no_place"),
    ],
)
def test_how_far_the_last_exceedance_is(
    last: Exceeded | None, here: Place | None, far: tuple[int, int] | None, why: str
) -> None:
    made = advice({}, here, last, NOW)
    shown = made.exceedance
    found = None if shown is None else (round(shown.distance_m), round(shown.bearing_deg))
    assert (found, made.no_exceedance) == (far, why)
