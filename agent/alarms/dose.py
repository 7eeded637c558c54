"""The running sums of one gas of one sensor: a ring of minutes, and a shift's total.  Pure."""

from __future__ import annotations

import math

import msgspec

BIN_S = 60.0
BINS = 15
TWA_S = 8 * 3600.0
"""The divisor of the 8-hour mean, whatever the length of the shift (OSHA, GBZ 2.1)."""


class Bin(msgspec.Struct):
    """One minute."""

    dose: float = 0.0
    """Unit seconds."""
    covered_s: float = 0.0


def counted(value: float | None) -> float | None:
    """A trusted value as it counts: a drift below zero is nothing."""
    return None if value is None or not math.isfinite(value) else max(0.0, value)


class Account(msgspec.Struct, kw_only=True):
    """Times are seconds on the caller's axis; doses unit seconds."""

    unit: str
    upto: float
    """Up to when all is summed."""
    dose: float = 0.0
    covered_s: float = 0.0
    over_range_s: float = 0.0
    peak: float = 0.0
    peak_t: int | None = None
    ring: list[Bin] = []
    """The last minutes that are full, at most 15, the oldest first."""
    filling: Bin = msgspec.field(default_factory=Bin)
    """The minute that is not full yet."""
    held: float = 0.0
    """The last value, which counts until `until`."""
    until: float = -math.inf
    over_range: bool = False
    """Whether the last value is full scale in place of more."""
    holding: frozenset[str] = frozenset()
    """The codes whose condition holds."""

    def take(
        self, value: float | None, at: float, t: int, *, hold_s: float, over_range: bool
    ) -> None:
        """A value that counts from `at`, at most for `hold_s`; None: nothing is measured now."""
        self.advance(at)
        if value is None:
            self.until = self.upto
            return
        self.held, self.until, self.over_range = value, at + hold_s, over_range
        if self.peak_t is None or value > self.peak:
            self.peak, self.peak_t = value, t

    def advance(self, at: float) -> None:
        """Sum up to `at`, which lies in the minute that is being filled."""
        seconds = min(at, self.until) - self.upto
        if seconds > 0:
            self.dose += self.held * seconds
            self.covered_s += seconds
            self.filling.dose += self.held * seconds
            self.filling.covered_s += seconds
            self.over_range_s += seconds if self.over_range else 0.0
        self.upto = max(self.upto, at)

    def close_bin(self, at: float) -> None:
        """A minute ends at `at`."""
        self.advance(at)
        self.ring = [*self.ring[1 - BINS :], self.filling]
        self.filling = Bin()

    def skip(self) -> None:
        """More minutes than the ring has pass without a value."""
        self.ring = [Bin() for _ in range(BINS)]
        self.filling = Bin()

    @property
    def stel(self) -> float:
        """Mean of the 15 minutes up to the last minute's end; of those up to now where that is
        more, so that what is exceeded already need not wait."""
        full = sum(minute.dose for minute in self.ring)
        first = self.ring[0].dose if len(self.ring) == BINS else 0.0
        return max(full, full - first + self.filling.dose) / (BINS * BIN_S)

    @property
    def twa(self) -> float:
        return self.dose / TWA_S

    @property
    def dose_15min(self) -> float:
        """Of the full minutes and the one that is being filled."""
        return sum(minute.dose for minute in self.ring) + self.filling.dose

    @property
    def covered_15min_s(self) -> float:
        """The same time."""
        return sum(minute.covered_s for minute in self.ring) + self.filling.covered_s

    def moved(self, seconds: float) -> None:
        """Its times are on another axis; what was held is not known any more."""
        self.upto += seconds
        self.until = -math.inf
