"""Whether a fix can be true: jumps, clocks that step, and the marks of a spoofed receiver.

Pure.  A suspicion is a flag on the fix, which is given all the same: rescuers judge it, and a wrong
suspicion must not hide the only position there is.  Flags: `jump`, `speed_mismatch`, `time_back`,
`time_step`, `spoof_suspect`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from . import DriverConfig, Fix, geodesy

_SPEED_MAX_KM_H = {"vehicle": 150.0, "foot": 12.0}
UNKNOWN_SIGMA_M = 10.0
"""Of a fix that gives no `eph`."""
CONSISTENT = 3
"""Fixes that agree with each other but not with what was before: then they are believed."""
SPEED_MARGIN_M_S = 5.0
SPEED_WINDOW_S = (1.0, 3.0)
"""How far apart two fixes lie whose distance is compared with the speed that the receiver says:
nearer, noise decides; farther, the road is longer than the distance."""
TIME_STEP_S = 2.0
ALTITUDE_STEP_M = 50.0
N_SAT_STEP = 10
STEP_WITHIN_S = 2.5
"""Altitude and satellites are compared only with a fix not older than this."""
FROZEN_S = 60.0
MOVING_M_S = 0.2
"""Less is the noise of a receiver at rest."""
STRONG_DB_HZ = 50.0
ALIKE_DB = 2.0
SATELLITES_MIN = 4


class MotionConfig(DriverConfig, frozen=True, kw_only=True):
    """Keys that all positioning drivers share."""

    carrier: Literal["vehicle", "foot"] = "vehicle"
    """What carries the receiver: a faster move than it can make has the flag `jump`."""
    speed_max_km_h: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The fastest move; default 150 for a vehicle, 12 on foot."""

    @property
    def speed_max_m_s(self) -> float:
        given = self.speed_max_km_h
        return (_SPEED_MAX_KM_H[self.carrier] if given is None else given) / 3.6


class Judge:
    """Fixes of one receiver in, the same with flags out."""

    def __init__(self, speed_max_m_s: float) -> None:
        self._speed_max = speed_max_m_s
        self._last: Fix | None = None
        """The last one with a position."""
        self._trusted: Fix | None = None
        """The last one that could be reached."""
        self._doubted: Fix | None = None
        self._agree = 0
        """How many fixes in a row agree with `_doubted`, itself among them."""
        self._window: tuple[Fix, float, int] | None = None
        """Where a comparison of speeds began, the sum of the speeds since, their number."""
        self._still: Fix | None = None
        """Since when the coordinates are the same to seven decimals."""

    def judge(self, fix: Fix, strengths: Sequence[float] = ()) -> Fix:
        """`strengths`: C/N0 of the satellites that are received, dB-Hz."""
        if fix.mode < 2 or fix.lat is None or fix.lon is None:
            return fix
        flags = [
            *self._time(fix),
            *(["jump"] if self._jumps(fix) else []),
            *(["speed_mismatch"] if self._contradicts_its_speed(fix) else []),
            *(["spoof_suspect"] if self._looks_spoofed(fix, strengths) else []),
        ]
        self._last = fix
        if not flags:
            return fix
        return msgspec.structs.replace(fix, flags=tuple(dict.fromkeys((*fix.flags, *flags))))

    def _time(self, fix: Fix) -> list[str]:
        last = self._last
        if last is None or last.time is None or fix.time is None:
            return []
        step = _seconds(fix.time) - _seconds(last.time)
        if step < 0:
            return ["time_back"]
        return ["time_step"] if abs(step - (fix.at - last.at)) > TIME_STEP_S else []

    def _jumps(self, fix: Fix) -> bool:
        """The trusted place stays where it was until several fixes agree on another one."""
        if self._trusted is None or self._reachable(self._trusted, fix):
            self._trusted, self._doubted, self._agree = fix, None, 0
            return False
        agrees = self._doubted is not None and self._reachable(self._doubted, fix)
        self._doubted, self._agree = fix, self._agree + 1 if agrees else 1
        if self._agree >= CONSISTENT:
            self._trusted, self._doubted, self._agree = fix, None, 0
        return True

    def _reachable(self, start: Fix, end: Fix) -> bool:
        return distance_m(start, end) <= self._speed_max * interval_s(start, end) + 3 * max(
            _sigma(start), _sigma(end)
        )

    def _contradicts_its_speed(self, fix: Fix) -> bool:
        if fix.speed is None:
            self._window = None
            return False
        if self._window is None:
            self._window = (fix, fix.speed, 1)
            return False
        start, total, count = self._window
        total, count = total + fix.speed, count + 1
        interval = interval_s(start, fix)
        if interval < SPEED_WINDOW_S[0]:
            self._window = (start, total, count)
            return False
        self._window = (fix, fix.speed, 1)
        if interval > SPEED_WINDOW_S[1]:
            return False
        margin = SPEED_MARGIN_M_S + 3 * max(_sigma(start), _sigma(fix)) / interval
        return abs(distance_m(start, fix) / interval - total / count) > margin

    def _looks_spoofed(self, fix: Fix, strengths: Sequence[float]) -> bool:
        alike = (
            len(strengths) >= SATELLITES_MIN
            and min(strengths) > STRONG_DB_HZ
            and max(strengths) - min(strengths) <= ALIKE_DB
        )
        return self._is_frozen(fix) or self._steps(fix) or alike

    def _is_frozen(self, fix: Fix) -> bool:
        """A receiver that says that it moves, at the same place for a minute."""
        moving = fix.speed is not None and fix.speed > MOVING_M_S
        if self._still is None or not moving or _place(self._still) != _place(fix):
            self._still = fix if moving else None
            return False
        return interval_s(self._still, fix) > FROZEN_S

    def _steps(self, fix: Fix) -> bool:
        last = self._last
        if last is None or not 0 <= interval_s(last, fix) <= STEP_WITHIN_S:
            return False
        higher = (
            last.alt is not None
            and fix.alt is not None
            and abs(fix.alt - last.alt) > ALTITUDE_STEP_M
        )
        more = (
            last.n_sat is not None
            and fix.n_sat is not None
            and abs(fix.n_sat - last.n_sat) >= N_SAT_STEP
        )
        return higher or more


def interval_s(start: Fix, end: Fix) -> float:
    """By the receiver's time where it gives one, which knows no delay of the line; 0 at
    least."""
    if start.time is not None and end.time is not None:
        return max(0.0, _seconds(end.time) - _seconds(start.time))
    return max(0.0, end.at - start.at)


def distance_m(start: Fix, end: Fix) -> float:
    """Between two fixes."""
    return geodesy.distance_m(_degrees(start), _degrees(end))


def _degrees(fix: Fix) -> geodesy.Position:
    return fix.lat or 0.0, fix.lon or 0.0


def _seconds(time: str) -> float:
    return dt.datetime.fromisoformat(time).timestamp()


def _sigma(fix: Fix) -> float:
    return UNKNOWN_SIGMA_M if fix.eph is None else fix.eph / 2


def _place(fix: Fix) -> tuple[float, float]:
    return round(fix.lat or 0.0, 7), round(fix.lon or 0.0, 7)
