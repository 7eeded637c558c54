"""Whether a value may be believed at all, judged before anything else sees it.  Pure.

A gas at its full scale is over range, and far below zero under range, also where its driver does
not say so (FIELD.md 2.6).  A catalytic or infrared %LEL head needs air: with less than 10 % of
volume of oxygen its figure is too low, whatever it says.
"""

from __future__ import annotations

import math

import msgspec

from agent.messages import Reading
from agent.settings.evidence import GASES
from drivers import Quality

OXYGEN_NEEDED = 10.0
"""Per cent of volume, below which a %LEL reading is invalid."""
OXYGEN_AGAIN = 10.2
"""With the hysteresis of oxygen."""
UNDER_RANGE = -0.1
"""Of full scale."""
TRUSTED = frozenset({Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED})
_BEFORE = "before the restart"


class Validity:
    """Of one unit: remembers where oxygen was too low."""

    def __init__(self) -> None:
        self._low: set[str] = set()
        """The sources whose last oxygen that could be believed was too low."""

    def judged(self, reading: Reading) -> Reading:
        """The reading with its quality put right."""
        if reading.quality not in TRUSTED or reading.value is None:
            return reading
        if not math.isfinite(reading.value) or reading.quantity not in GASES:
            return reading
        quality = reading.quality
        if reading.full_scale is not None and reading.full_scale > 0:
            if reading.value >= reading.full_scale:
                quality = Quality.OVER_RANGE
            elif reading.value < UNDER_RANGE * reading.full_scale:
                quality = Quality.UNDER_RANGE
        if quality in TRUSTED:
            if reading.quantity == "o2" and reading.unit == "/100":
                self._breathe(reading.source, reading.value)
            elif reading.unit == "%LEL" and self._low:
                quality = Quality.INVALID
        if quality is reading.quality:
            return reading
        return msgspec.structs.replace(reading, quality=quality)

    def restore(self) -> None:
        """Oxygen was too low before a restart: so it is until somebody measures it."""
        self._low.add(_BEFORE)

    def _breathe(self, source: str, oxygen: float) -> None:
        self._low.discard(_BEFORE)
        if oxygen < OXYGEN_NEEDED:
            self._low.add(source)
        elif oxygen >= OXYGEN_AGAIN:
            self._low.discard(source)
