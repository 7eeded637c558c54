"""How many bytes a link may carry: so many a day, and so many a second.  Pure.

A day is UTC's, as a bill counts it when nobody says otherwise.
"""

from __future__ import annotations

import msgspec

DAY_MS = 86_400_000
RESERVE = 0.1
"""Of what is left of a day: for alarms, commands and what nobody foresees."""
BURST_S = 1.0
BURST_BYTES = 4_000
"""A rate is kept over one second, or over so many bytes where that is longer."""


class Spent(msgspec.Struct):
    """What is stored, so that a restart gives no second budget."""

    day: int = 0
    """Days since 1970, UTC."""
    bytes: int = 0


class Budget:
    """Bytes of one UTC day."""

    def __init__(self, per_day: int, spent: Spent | None = None) -> None:
        self.per_day = per_day
        """0: as many as one likes; they are counted all the same."""
        self.spent = spent or Spent()

    def spend(self, count: int, now_ms: int, *, known: bool) -> Spent | None:
        """Count bytes; a day that is over, once.  `known`: GNSS or a time server has set the clock;
        one that nobody has set must not give a new day by going back."""
        over, day = None, now_ms // DAY_MS
        if day > self.spent.day or (known and day != self.spent.day):
            over = self.spent if self.spent.bytes else None
            self.spent = Spent(day=day)
        self.spent.bytes += count
        return over

    def pace(self, now_ms: int) -> float:
        """Bytes a second that last until the day's end; infinite where there is no budget."""
        if not self.per_day:
            return float("inf")
        left_s = max(60.0, (DAY_MS - now_ms % DAY_MS) / 1000)
        return max(0.0, (self.per_day - self.spent.bytes) * (1 - RESERVE) / left_s)


class Bucket:
    """A rate in bytes a second, kept over a second or so; 0: none."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._most = max(rate * BURST_S, float(BURST_BYTES))
        self._level = self._most
        self._at = now

    def take(self, count: float) -> None:
        """More than there is may be taken by what cannot wait: it is missing later."""
        self._level = max(self._level - count, -10 * self._most)

    def free(self, now: float) -> float:
        """Bytes that may go now; below 0: so many too many have gone."""
        if not self.rate:
            return float("inf")
        self._level = min(self._most, self._level + (now - self._at) * self.rate)
        self._at = now
        return self._level

    def full_in(self, now: float, wanted: float) -> float:
        """Seconds until so many are free, or all that it holds."""
        if not self.rate:
            return 0.0
        return max(0.0, (min(wanted, self._most) - self.free(now)) / self.rate)
