"""A bump test: test gas at a sensor, and whether it sees it.  Pure; `at` in monotonic seconds.

Function alone: that gas reaches the sensor and that it answers, not how right it is (calibration).
"""

from __future__ import annotations

from enum import StrEnum

from agent.messages import Reading
from agent.messages.selftest import BumpTest
from drivers import Quality

BASE = {"o2": 20.9}
"""What clean air holds, in the sensor's unit; of all others nothing."""
ANSWERS = frozenset({Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED})


class Bump(StrEnum):
    WAITS = "waits"
    PASSED = "passed"
    FAILED = "failed"


class BumpRun:
    """One that goes on."""

    def __init__(
        self, source: str, quantity: str, unit: str, concentration: float, by: str, at: float,
        *, response: float, within_s: float,
    ) -> None:  # fmt: skip
        """`response`: which share of the way from clean air to the concentration is enough."""
        base = BASE.get(quantity, 0.0)
        if concentration == base or concentration < 0:
            raise ValueError(f"{concentration:g} {unit} of {quantity} is no test gas")
        self.source, self.quantity, self.unit = source, quantity, unit
        self.concentration, self.by = concentration, by
        self.state = Bump.WAITS
        self.value: float | None = None
        self.seconds: float | None = None
        self._base = base
        self._enough = response
        self._start = at
        self._within_s = within_s

    @property
    def key(self) -> str:
        return f"{self.source}/{self.quantity}"

    def reading(self, reading: Reading, at: float) -> Bump:
        """A value of any source.  Over range is a response: the sensor shows more than it can."""
        if (reading.source, reading.quantity) != (self.source, self.quantity):
            return self.state
        value = reading.value
        over = reading.quality is Quality.OVER_RANGE and self.concentration > self._base
        if over and value is None:
            value = reading.full_scale
        if self.state is not Bump.WAITS or at < self._start:
            return self.state
        if not over and (reading.quality not in ANSWERS or value is None):
            return self.state
        if value is not None and (
            self.value is None or self._share(value) > self._share(self.value)
        ):
            self.value = value
        if over or (self.value is not None and self._share(self.value) >= self._enough):
            self.state, self.seconds = Bump.PASSED, at - self._start
        return self.state

    def tick(self, at: float) -> Bump:
        if self.state is Bump.WAITS and at - self._start >= self._within_s:
            self.state = Bump.FAILED
        return self.state

    def result(self, t: int) -> BumpTest:
        """Once it is over; `t`: UTC ms."""
        return BumpTest(
            source=self.source, quantity=self.quantity, unit=self.unit,
            concentration=self.concentration, value=self.value,
            seconds=None if self.seconds is None else round(self.seconds, 1),
            passed=self.state is Bump.PASSED, by=self.by, t=t,
        )  # fmt: skip

    def _share(self, value: float) -> float:
        # Half is half also where binary fractions miss it.
        return round((value - self._base) / (self.concentration - self._base), 6)
