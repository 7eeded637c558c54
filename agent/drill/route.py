"""Where a unit walks or drives: a broken line, walked at a steady pace.  Pure."""

from __future__ import annotations

import bisect
import math
from enum import StrEnum

import msgspec


class Ending(StrEnum):
    """What a unit does at the last point of its route."""

    STAY = "stay"
    LOOP = "loop"
    """Goes straight back to the first point, for ever."""
    RETURN = "return"
    """Turns and walks the same way back, for ever."""


class Motion(msgspec.Struct, frozen=True):
    """A place and how it changes: m east and north of the site, m/s, degrees from north."""

    east_m: float
    north_m: float
    speed_m_s: float
    track_deg: float


class _Leg(msgspec.Struct, frozen=True):
    begin_s: float
    wait_s: float
    """At the leg's beginning."""
    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def length_m(self) -> float:
        return math.dist(self.start, self.end)

    @property
    def track_deg(self) -> float:
        east, north = (b - a for a, b in zip(self.start, self.end, strict=True))
        return math.degrees(math.atan2(east, north)) % 360.0


class Route:
    """`points` are (east, north) or (east, north, seconds to wait there)."""

    def __init__(
        self, points: list[tuple[float, ...]], speed_m_s: float, ending: Ending = Ending.LOOP
    ) -> None:
        self.speed_m_s = speed_m_s
        self.ending = ending
        self._legs: list[_Leg] = []
        self.period_s = 0.0
        for point, following in zip(*self._pairs(points), strict=True):
            leg = _Leg(
                self.period_s,
                point[2] if len(point) > 2 else 0.0,
                (point[0], point[1]),
                (following[0], following[1]),
            )
            self._legs.append(leg)
            self.period_s += leg.wait_s + leg.length_m / speed_m_s

    def _pairs(
        self, points: list[tuple[float, ...]]
    ) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
        """Each leg's first and last point, over one whole period."""
        if self.ending is Ending.LOOP:
            line = [*points, points[0]]
        elif self.ending is Ending.RETURN:
            # The turning points are waited at once, not on the way in and again on the way out.
            line = [*points, *reversed(points[:-1])] if len(points) > 1 else [*points, *points]
        else:
            line = [*points, points[-1]]
        return line[:-1], line[1:]

    def at(self, t_s: float) -> Motion:
        """Where the unit is `t_s` after it set out."""
        if self.period_s <= 0.0:
            return Motion(*self._legs[0].start, 0.0, 0.0)
        if self.ending is Ending.STAY:
            t_s = min(t_s, self.period_s)
        else:
            t_s %= self.period_s
        index = bisect.bisect_right(self._legs, t_s, key=lambda leg: leg.begin_s) - 1
        leg = self._legs[index]
        walked_m = (t_s - leg.begin_s - leg.wait_s) * self.speed_m_s
        if walked_m < 0.0 or leg.length_m == 0.0:
            return Motion(*leg.start, 0.0, leg.track_deg)
        share = min(walked_m / leg.length_m, 1.0)
        east, north = (a + (b - a) * share for a, b in zip(leg.start, leg.end, strict=True))
        moving = not (self.ending is Ending.STAY and t_s >= self.period_s)
        return Motion(east, north, self.speed_m_s if moving else 0.0, leg.track_deg)
