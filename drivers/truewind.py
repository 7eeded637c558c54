"""Apparent wind to true wind: vectors, and for how long a heading and a speed are worth it.  Pure.

What a mast on a vehicle feels is the true wind minus the vehicle's own velocity.  To undo that one
needs where the vehicle's nose points (heading: what the angle counts from) and how it moves over
ground (speed and course).  A course is no heading: it says nothing while the vehicle stands, and
the opposite while it reverses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .weather import CALM_M_S

COURSE_MIN_M_S = 1.0
"""Below this a receiver's course over ground is noise (FIELD.md 3.1)."""


class Wind(NamedTuple):
    """Speed in m/s, direction from which it blows in degrees true; None: cannot be told."""

    speed: float | None
    direction: float | None
    missing: str = ""
    """What it cannot be told for want of: `heading`, `speed` or `course`."""


class _Known(NamedTuple):
    value: float
    at: float
    simulated: bool


class Motion:
    """What the last sentences said of the vehicle; each is forgotten after `hold_s` seconds."""

    def __init__(self, *, hold_s: float, standing_m_s: float, course_as_heading: bool) -> None:
        self._hold_s = hold_s
        self._standing_m_s = standing_m_s
        self._course_as_heading = course_as_heading
        # By the sentence that said it: one that has none must not take away another's.
        self._headings: dict[str, _Known | None] = {}
        self._speed: _Known | None = None
        self._course: _Known | None = None
        self.had_heading = False

    def turn(self, by: str, degrees: float | None, at: float, simulated: bool = False) -> None:
        """A heading, degrees true, of sentence `by`; None: the compass says that it has none."""
        known = None if degrees is None else _Known(degrees % 360, at, simulated)
        self._headings[by] = known
        self.had_heading |= degrees is not None

    def move(
        self, m_s: float | None, course: float | None, at: float, simulated: bool = False
    ) -> None:
        """Speed over ground and course, degrees true; None: the receiver has none."""
        self._speed = None if m_s is None else _Known(m_s, at, simulated)
        self._course = None if course is None else _Known(course % 360, at, simulated)

    def heading(self, at: float) -> float | None:
        """Degrees true."""
        known = self._nose(at)
        return None if known is None else known.value

    def simulated(self, at: float) -> bool:
        """Whether anything of it comes from a simulator."""
        parts = (self._nose(at), self._fresh(self._speed, at), self._fresh(self._course, at))
        return any(known is not None and known.simulated for known in parts)

    def _nose(self, at: float) -> _Known | None:
        fresh = [known for part in self._headings.values() if (known := self._fresh(part, at))]
        if fresh:
            return max(fresh, key=lambda known: known.at)
        speed = self._fresh(self._speed, at)
        if self._course_as_heading and speed is not None and speed.value >= COURSE_MIN_M_S:
            return self._fresh(self._course, at)
        return None

    def true_wind(self, speed: float, angle: float, at: float) -> Wind:
        """Of an apparent wind of `speed` m/s from `angle` degrees clockwise from ahead."""
        own, heading = self._fresh(self._speed, at), self.heading(at)
        if own is None:
            return Wind(None, None, "speed")
        if own.value <= self._standing_m_s:
            direction = None if heading is None else (heading + angle) % 360
            if speed < CALM_M_S:
                direction = None
            return Wind(speed, direction, "" if heading is not None else "heading")
        course = self._fresh(self._course, at)
        if heading is None:
            return Wind(None, None, "heading")
        if course is None:
            return Wind(None, None, "course")
        return _minus(speed, heading + angle, own.value, course.value)

    def _fresh(self, known: _Known | None, at: float) -> _Known | None:
        return known if known is not None and at - known.at <= self._hold_s else None


def _minus(speed: float, direction: float, own_speed: float, course: float) -> Wind:
    """Both as the vectors from which air comes: moving ahead brings air from ahead."""
    felt, own = math.radians(direction), math.radians(course)
    north = speed * math.cos(felt) - own_speed * math.cos(own)
    east = speed * math.sin(felt) - own_speed * math.sin(own)
    result = math.hypot(north, east)
    if result < CALM_M_S:
        return Wind(result, None)
    return Wind(result, math.degrees(math.atan2(east, north)) % 360)
