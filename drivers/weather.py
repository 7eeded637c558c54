"""What the weather drivers share: units as instruments print them, and what can be air at all."""

from __future__ import annotations

import math
from typing import Literal

from . import Quality, Sample

KM_H = 1 / 3.6
KNOT = 1852 / 3600
MPH = 0.44704
FT_MIN = 0.3048 / 60
"""m/s in one of each (NIST SP 811, appendix B)."""

BAR = 1000.0
PASCAL = 0.01
MM_HG = 1.333224
IN_HG = 33.86389
PSI = 68.94757
"""hPa in one of each (NIST SP 811)."""

INCH_MM = 25.4

WIND_FULL_SCALE_M_S = 60.0
"""Where the acoustic anemometers of Vaisala and Gill end."""

CALM_M_S = 0.05
"""Below this no anemometer knows a direction (Gill's data sheet)."""

POSSIBLE: dict[str, tuple[float, float]] = {
    "temperature": (-60.0, 70.0),
    "dew_point": (-80.0, 70.0),
    "humidity": (0.0, 100.0),
    "pressure": (300.0, 1100.0),
    "wind_speed": (0.0, 75.0),
    "wind_direction": (0.0, 360.0),
    "rain": (0.0, math.inf),
    "rain_intensity": (0.0, 1000.0),
    "radiation": (-20.0, 2000.0),
}
"""Lowest and highest that the air at the ground can be, by the first words of a quantity; outside
of it the unit or the scale is wrong, or a byte is, and nothing is measured."""

_WET_OVER = {"humidity": 5.0}
"""Per cent over 100 that a damp sensor shows; it means 100."""


Mount = Literal["fixed", "vehicle"]
"""`fixed`: the north mark points north and the mast does not move while it measures; `vehicle`: the
mark points ahead, and the wind is apparent."""


def mounted(quantity: str, mount: Mount) -> str:
    """The quantity's name: on a vehicle the instrument's wind is `wind_speed_apparent`, and
    `wind_direction_apparent` clockwise from ahead."""
    if mount == "vehicle":
        for family in ("wind_speed", "wind_direction"):
            if f"{quantity}_".startswith(f"{family}_"):
                return quantity.replace(family, f"{family}_apparent", 1)
    return quantity


def fahrenheit(value: float) -> float:
    """Degrees Celsius."""
    return (value - 32.0) / 1.8


def sample(
    quantity: str,
    value: float | None,
    unit: str,
    at: float,
    raw: str,
    quality: Quality = Quality.GOOD,
    full_scale: float | None = None,
) -> Sample:
    """A sample, its value judged: impossible ones are a fault and have none, those at the end of
    the range are over-range.  `quality` other than good wins; without a value, good is a fault."""
    if value is not None:
        value, quality = _judge(quantity, value, quality, full_scale)
    elif quality is Quality.GOOD:
        quality = Quality.FAULT
    return Sample(
        quantity=quantity,
        value=value,
        unit=unit,
        quality=quality,
        at=at,
        raw=raw,
        full_scale=full_scale,
    )


def _judge(
    quantity: str, value: float, quality: Quality, full_scale: float | None
) -> tuple[float | None, Quality]:
    low, high = possible(quantity)
    if high < value <= high + _WET_OVER.get(quantity, 0.0):
        value = high
    if not (math.isfinite(value) and low <= value <= high):
        return None, Quality.FAULT if quality is Quality.GOOD else quality
    value = round(value, 4)
    if quantity.startswith("wind_direction"):
        value %= 360.0
    if quality is Quality.GOOD and full_scale is not None and value >= full_scale:
        quality = Quality.OVER_RANGE
    return value, quality


def possible(quantity: str) -> tuple[float, float]:
    """Of `wind_speed_max` what holds for `wind_speed`; without ends where nothing is known."""
    families = [name for name in POSSIBLE if f"{quantity}_".startswith(f"{name}_")]
    return POSSIBLE[max(families, key=len)] if families else (-math.inf, math.inf)


class Vane:
    """Directions, and what becomes of them in a calm."""

    def __init__(self) -> None:
        self._last: dict[str, float | None] = {}

    def turned(
        self, quantity: str, direction: float | None, speed: float | None,
        quality: Quality, at: float, raw: str,
    ) -> Sample:  # fmt: skip
        """Without wind there is no direction: the last one is given, as stale."""
        if direction is None and speed is not None and speed < CALM_M_S:
            quality = Quality.STALE
            direction = self._last.get(quantity)
        elif quality is Quality.GOOD:
            self._last[quantity] = direction
        return sample(quantity, direction, "deg", at, raw, quality)
