"""In how much detail live readings go out: all of them, or roll-ups of 1 s, 10 s or 1 min.  Pure.

Coarser as soon as a level has been too dear for some seconds; finer a step at a time, when the
finer one has been well affordable for long, and for twice as long after each time that did not
last.
"""

from __future__ import annotations

import msgspec

PERIODS_S = (0, 1, 10, 60)
"""By level; 0: every reading by itself."""
NAMES = ("full", "1s", "10s", "1min")
COARSEST = len(PERIODS_S) - 1
COARSER_S = 3.0
FINER_S = 30.0
FINER_MOST_S = 960.0
MARGIN = 0.7
"""The finer level must cost less than this of what there is."""
STEADY_S = 120.0
"""A finer level that is kept so long was right."""
ROLLED_BYTES = 110
"""About what one source and quantity takes in a roll-up."""
ROLLUP_BYTES = 450
"""And what a roll-up has besides, with its PUBACK, its list on `skipped` and all headers."""


class Demand(msgspec.Struct, frozen=True):
    """What live readings would take, bytes a second."""

    full: float
    series: int
    """Sources and quantities that report."""

    def of(self, level: int) -> float:
        if level == 0:
            return self.full
        return min(
            self.full, (ROLLUP_BYTES + ROLLED_BYTES * self.series) / PERIODS_S[level]
        )  # fmt: skip


class Detail:
    """Of one link.  Times are of any clock that only rises."""

    def __init__(self) -> None:
        self.level = 0
        self._dear_since: float | None = None
        self._cheap_since: float | None = None
        self._finer_at = float("-inf")
        self._patience_s = FINER_S

    def look(self, demand: Demand, available: float, now: float) -> bool:
        """Asked each second or so; `available`: bytes a second for live readings.  True: the level
        has changed."""
        before = self.level
        if demand.of(self.level) > available and self.level < COARSEST:
            self._cheap_since = None
            self._dear_since = now if self._dear_since is None else self._dear_since
            if now - self._dear_since >= COARSER_S:
                self._coarser(demand, available, now)
        else:
            self._dear_since = None
            self._look_finer(demand, available, now)
        return self.level != before

    def _coarser(self, demand: Demand, available: float, now: float) -> None:
        if now - self._finer_at < STEADY_S:
            self._patience_s = min(FINER_MOST_S, 2 * self._patience_s)
        self._dear_since = None
        self.level += 1
        while self.level < COARSEST and demand.of(self.level) > available:
            self.level += 1

    def _look_finer(self, demand: Demand, available: float, now: float) -> None:
        if self.level == 0 or demand.of(self.level - 1) > MARGIN * available:
            self._cheap_since = None
            if self.level == 0 and now - self._finer_at >= STEADY_S:
                self._patience_s = FINER_S
            return
        self._cheap_since = now if self._cheap_since is None else self._cheap_since
        if now - self._cheap_since >= self._patience_s:
            self._cheap_since, self._finer_at = None, now
            self.level -= 1
