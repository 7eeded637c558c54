"""A person who does not move.  Pure; `at` is seconds on any axis.

    moving --still for still_s--> prealarm --for prealarm_s--> alarm
       ^------ motion, or the wearer's own button -------'

The pre-alarm is the wearer's alone: who is well moves, or presses the button.  Time in which
nothing tells of motion or of stillness does not count before the pre-alarm (a lost position or a
silent sensor is an alarm of its own), and does count in it: who has stopped moving is not helped by
a sensor that has stopped as well.
"""

from __future__ import annotations

import math
from enum import StrEnum

from agent.messages import FixBody
from drivers.geodesy import distance_m

GAP_S = 10.0
"""More than this between two samples is not counted."""
WALKS_M_S = 0.8
"""A speed that no receiver at rest makes up."""
EPH_UNKNOWN_M = 15.0


class State(StrEnum):
    UNKNOWN = "unknown"
    MOVING = "moving"
    PREALARM = "prealarm"
    ALARM = "alarm"


class Motion:
    """Of one wearer."""

    def __init__(self, still_s: float, prealarm_s: float) -> None:
        self._still_s = still_s
        self._prealarm_s = prealarm_s
        self.state = State.UNKNOWN
        self.still: float = 0.0
        """Seconds of stillness so far."""
        self._seen: float | None = None
        self._pre_at: float = 0.0

    def sample(self, moved: bool | None, at: float) -> State:
        """A sensor tells: moved, or not; None: it cannot say."""
        if moved is None:
            return self.tick(at)
        if moved:
            self._move(at)
            return self.state
        gap_s = 0.0 if self._seen is None else max(0.0, at - self._seen)
        self._seen = at
        if self.state in (State.UNKNOWN, State.MOVING):
            self.state = State.MOVING
            self.still += gap_s if gap_s <= GAP_S else 0.0
            if self.still >= self._still_s:
                self.state, self._pre_at = State.PREALARM, at
        return self.tick(at)

    def press(self, at: float) -> State:
        """The wearer's own button: who presses it is not helpless."""
        self._move(at)
        return self.state

    def tick(self, at: float) -> State:
        """Time has passed."""
        if self.state is State.PREALARM and at - self._pre_at >= self._prealarm_s:
            self.state = State.ALARM
        return self.state

    def alarm_at(self) -> float | None:
        """When the pre-alarm becomes an alarm; None where there is none."""
        return self._pre_at + self._prealarm_s if self.state is State.PREALARM else None

    def restore(self, state: State, still: float, at: float) -> None:
        """As before a restart of the agent; a pre-alarm begins anew."""
        self.state, self.still, self._pre_at = state, still, at

    def _move(self, at: float) -> None:
        self.state, self.still, self._seen = State.MOVING, 0.0, at


class ByTrack:
    """Motion by positions: further from where stillness began than the position is wrong by, or
    faster than a receiver at rest says."""

    def __init__(self, radius_m: float) -> None:
        self._radius_m = radius_m
        self._anchor: tuple[float, float, float] | None = None
        """Latitude, longitude, and by how many metres it may be wrong."""

    def moved(self, fix: FixBody) -> bool | None:
        """None: no position that says anything."""
        if fix.mode < 2 or fix.lat is None or fix.lon is None:
            return None
        eph = EPH_UNKNOWN_M if fix.eph is None else fix.eph
        here = (fix.lat, fix.lon, eph)
        if self._anchor is None:
            self._anchor = here
            return False
        lat, lon, eph_then = self._anchor
        far = distance_m((lat, lon), (fix.lat, fix.lon)) > max(self._radius_m, eph, eph_then)
        if far or (fix.speed is not None and fix.speed >= WALKS_M_S):
            self._anchor = here
            return True
        return False


class ByValue:
    """Motion by any quantity that changes with it: an acceleration, an angle, a count of steps."""

    def __init__(self, moves_by: float) -> None:
        self._moves_by = moves_by
        self._held: float | None = None

    def moved(self, value: float | None) -> bool | None:
        if value is None or not math.isfinite(value):
            return None
        if self._held is None:
            self._held = value
            return False
        if abs(value - self._held) >= self._moves_by:
            self._held = value
            return True
        return False
