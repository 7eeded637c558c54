"""Small rules about a person and the kit: check-in, battery, position, driving.  Pure; `at` is
seconds on any axis that only rises."""

from __future__ import annotations

from enum import StrEnum

# -- the check-in that a lone worker owes ------------------------------------------------------


class Due(StrEnum):
    OFF = "off"
    WAITING = "waiting"
    DUE = "due"
    """The wearer is asked now."""
    MISSED = "missed"


class CheckIn:
    """Each `interval_s` the wearer presses the button; `grace_s` later it is an alarm."""

    def __init__(self, interval_s: float, grace_s: float, at: float) -> None:
        """`interval_s` 0: never."""
        self._interval_s = interval_s
        self._grace_s = grace_s
        self.due_at = at + interval_s

    def checked(self, at: float) -> None:
        self.due_at = at + self._interval_s

    def state(self, at: float) -> Due:
        if self._interval_s <= 0:
            return Due.OFF
        if at < self.due_at:
            return Due.WAITING
        return Due.MISSED if at >= self.due_at + self._grace_s else Due.DUE

    def restore(self, due_at: float, at: float) -> None:
        """As before a restart; never further away than a whole interval."""
        if self._interval_s > 0:
            self.due_at = min(due_at, at + self._interval_s)


# -- battery -----------------------------------------------------------------------------------

BATTERY_AGAIN = 5.0
"""Per cent by which a charge must rise above its limit again."""
BATTERY_CODES = ("battery", "battery_critical")


def battery(
    holding: frozenset[str], charge: float, *, low: float, critical: float
) -> frozenset[str]:
    """The codes that hold at this charge (per cent): at or below its limit, until 5 above it."""
    return frozenset(
        code
        for code, limit in (("battery", low), ("battery_critical", critical))
        if charge <= limit or (code in holding and charge < limit + BATTERY_AGAIN)
    )


# -- position ----------------------------------------------------------------------------------


class Position:
    """Whether a required position is lost.  A source that says nothing at all is `silent`, an alarm
    of its own: here those count that speak and have no fix."""

    def __init__(self, lost_s: float, required: str, at: float) -> None:
        """`required`: `always`, `once had`, `never`."""
        self._lost_s = lost_s
        self._required = required
        self._had: float | None = at if required == "always" else None
        self.lost = False

    def heard(self, good: bool, at: float) -> bool:
        """A position, or a receiver that has none; whether it is lost."""
        if self._required == "never":
            return False
        if good:
            self._had, self.lost = at, False
        elif self._had is not None and at - self._had >= self._lost_s:
            self.lost = True
        return self.lost


# -- driving -----------------------------------------------------------------------------------

DRIVES_AFTER_S = 3.0
STANDS_AFTER_S = 20.0
"""A traffic light ends no drive; but what is held back is not held back for long."""
SLOWER_SHARE = 0.5
QUIET_RANK = 3
"""Alarms of this rank and below are a lamp only while the vehicle drives."""


class Driving:
    """Whether the vehicle drives: above a speed for 3 s, until below half of it, or unknown, for
    20 s."""

    def __init__(self, speed_m_s: float) -> None:
        self._speed_m_s = speed_m_s
        self.driving = False
        self._since: float | None = None
        """Since when it is otherwise."""

    def speed(self, speed: float | None, at: float) -> bool:
        """None: not known."""
        limit = self._speed_m_s * (SLOWER_SHARE if self.driving else 1.0)
        return self._judge(speed is not None and speed >= limit, at)

    def tick(self, at: float, heard_at: float) -> bool:
        """No speed for long: it stands, for all that is known."""
        if self.driving and at - heard_at >= STANDS_AFTER_S:
            self.driving, self._since = False, None
        return self.driving

    def _judge(self, fast: bool, at: float) -> bool:
        if fast is self.driving:
            self._since = None
            return self.driving
        if self._since is None:
            self._since = at
        if at - self._since >= (DRIVES_AFTER_S if fast else STANDS_AFTER_S):
            self.driving, self._since = fast, None
        return self.driving
