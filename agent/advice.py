"""Hints for who stands here: towards the wind, and how far the last exceedance is.  Pure.

An estimate at best, and none at all on a wind that is old, light, apparent or another place's:
a wrong arrow costs more than no arrow (FIELD.md 8).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import msgspec

from agent.alarms.validity import TRUSTED
from agent.messages import FixBody, Reading
from agent.messages.advice import Advice, Exceedance, Upwind
from drivers.geodesy import Position, bearing_deg, distance_m

WIND_MAX_AGE_S = 30.0
WIND_MIN_M_S = 1.0
"""Below it a direction is chance."""
WIND_MAX_M = 500.0
"""So far from here the wind may have been measured."""
PLACE_MAX_AGE_S = 60.0
EXCEEDED_MAX_AGE_S = 3600.0
HERE_M = 15.0
"""Nearer than positions are right."""
EXCEEDS = frozenset({"low", "high", "over_range", "deficient", "critical"})
"""Alarms that gas at a place raises; a mean over 15 minutes has no place."""
SPEEDS = ("wind_speed_mean", "wind_speed")
DIRECTIONS = ("wind_direction_mean", "wind_direction")
"""A mean first: one gust is no wind."""


class Heard(msgspec.Struct, frozen=True):
    """A reading, and when it began, monotonic seconds."""

    reading: Reading
    at: float


class Place(msgspec.Struct, frozen=True):
    """Where the unit was."""

    lat: float
    lon: float
    at: float

    @property
    def position(self) -> Position:
        return (self.lat, self.lon)


class Exceeded(msgspec.Struct, frozen=True):
    """The last time that a limit was exceeded, and where."""

    alarm: str
    t: int
    at: float
    fix: FixBody | None


def advice(
    heard: Mapping[tuple[str, str], Heard],
    here: Place | None,
    exceeded: Exceeded | None,
    at: float,
    *,
    apparent: Container[str] = (),
    mast: Position | None = None,
) -> Advice:
    """`heard`: the newest of each (source, quantity); `apparent`: sources whose wind is true only
    while the unit stands, and it moves; `mast`: where the wind is measured, if that is not at the
    unit."""
    upwind, why = _upwind(heard, here, at, apparent, mast)
    far, why_not = _exceedance(here, exceeded, at)
    return Advice(upwind=upwind, no_upwind=why, exceedance=far, no_exceedance=why_not)


def _upwind(
    heard: Mapping[tuple[str, str], Heard],
    here: Place | None,
    at: float,
    apparent: Container[str],
    mast: Position | None,
) -> tuple[Upwind | None, str]:
    found = [
        "apparent" if source in apparent else _of(source, heard, at) for source in _sources(heard)
    ]
    good = [wind for wind in found if isinstance(wind, Upwind)]
    if not good:
        felt = any(quantity.startswith("wind_speed_apparent") for _, quantity in heard)
        # What was nearest to being one says most.
        reasons = [one for one in found if isinstance(one, str)]
        order = ("calm", "apparent", "stale", "not_trusted")
        otherwise = "apparent" if felt else "no_wind"
        return None, next((one for one in order if one in reasons), otherwise)
    if mast is not None:
        if here is None or at - here.at > PLACE_MAX_AGE_S:
            return None, "no_place"
        if distance_m(mast, here.position) > WIND_MAX_M:
            return None, "far"
    return min(good, key=lambda wind: (wind.age_s, wind.source)), ""


def _sources(heard: Mapping[tuple[str, str], Heard]) -> Iterable[str]:
    """Those that give a true wind; an apparent one has a quantity of its own."""
    return sorted({source for source, quantity in heard if quantity in DIRECTIONS})


def _of(source: str, heard: Mapping[tuple[str, str], Heard], at: float) -> Upwind | str:
    """The wind of one source, or what is wrong with it.  Speed and direction go together."""
    why = "stale"
    for speed_name, direction_name in zip(SPEEDS, DIRECTIONS, strict=True):
        speed, direction = heard.get((source, speed_name)), heard.get((source, direction_name))
        if speed is None or direction is None:
            continue
        age_s = at - min(speed.at, direction.at)
        if not 0 <= age_s <= WIND_MAX_AGE_S:
            continue
        value, bearing = speed.reading.value, direction.reading.value
        if speed.reading.quality not in TRUSTED or value is None:
            why = "not_trusted"
        elif value < WIND_MIN_M_S:
            why = "calm"
        elif direction.reading.quality not in TRUSTED or bearing is None:
            why = "not_trusted"
        else:
            return Upwind(
                bearing_deg=round(bearing) % 360, speed_m_s=round(value, 1),
                age_s=round(age_s, 1), source=source,
            )  # fmt: skip
    return why


def _exceedance(
    here: Place | None, exceeded: Exceeded | None, at: float
) -> tuple[Exceedance | None, str]:
    if exceeded is None:
        return None, "none"
    if at - exceeded.at > EXCEEDED_MAX_AGE_S:
        return None, "old"
    fix = exceeded.fix
    if fix is None or fix.lat is None or fix.lon is None:
        return None, "no_place"
    if here is None or at - here.at > PLACE_MAX_AGE_S:
        return None, "no_place"
    there = (fix.lat, fix.lon)
    far_m = distance_m(here.position, there)
    if far_m < HERE_M:
        return None, "here"
    return Exceedance(
        alarm=exceeded.alarm, distance_m=round(far_m),
        bearing_deg=round(bearing_deg(here.position, there)) % 360, t=exceeded.t,
    ), ""  # fmt: skip
