"""Gas in the wind: Gaussian dispersion over flat ground.  Pure: numbers in, numbers out.

A drill's world, not a forecast: flat, no obstacles, steady wind, neutrally buoyant gas.  Chlorine,
cold ammonia, hydrogen sulphide and LPG are dense: their real near field is wider, lower and slower.

Sources: Briggs' open-country and urban dispersion curves (1973), good from 100 m to 10 km and
extrapolated below; AEGL values for 60 minutes (US EPA).
"""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

GAS_CONSTANT = 8.314462618
"""J/(mol K)."""
KELVIN = 273.15
WIND_MIN_M_S = 1.0
"""The formula divides by the wind; below this it claims more than it knows."""
SIGMA_MIN_M = 1.0
"""Smears the first metres, where the curves go to zero and the formula to infinity."""
REACH_MAX_M = 10_000.0

MOLAR_MASS_G_MOL = {
    "cl2": 70.90, "nh3": 17.03, "h2s": 34.08, "co": 28.01, "co2": 44.01, "so2": 64.06,
    "no2": 46.01, "ch4": 16.04, "hcn": 27.03, "hcl": 36.46, "hf": 20.01, "ph3": 34.00,
    "h2": 2.016, "c2h4": 28.05, "eto": 44.05, "ch2o": 30.03, "o3": 48.00,
}  # fmt: skip
"""Gases that a source may give off."""

AEGL_60_MIN_PPM = {
    "cl2": (0.5, 2.0, 20.0), "nh3": (30.0, 160.0, 1100.0), "h2s": (0.51, 27.0, 50.0),
    "co": (None, 83.0, 330.0), "so2": (0.2, 0.75, 30.0), "no2": (0.5, 12.0, 20.0),
    "hcn": (2.0, 7.1, 15.0), "ph3": (None, 2.0, 3.6), "hcl": (1.8, 22.0, 100.0),
    "hf": (1.0, 24.0, 44.0), "ch2o": (0.9, 14.0, 56.0),
}  # fmt: skip
"""AEGL-1, -2 and -3; None where none is set."""


class Terrain(StrEnum):
    RURAL = "rural"
    URBAN = "urban"


class Stability(StrEnum):
    """Pasquill's classes: A very unstable (strong sun), D neutral, F stable (clear night)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


_Curve = tuple[float, float, float]
"""(a, b, p) of sigma = a x (1 + b x)^p, x in m."""


def _across(b: float, **a: float) -> dict[str, _Curve]:
    return {stability: (value, b, -0.5) for stability, value in a.items()}


_SIGMA_Y = {
    Terrain.RURAL: _across(1e-4, A=0.22, B=0.16, C=0.11, D=0.08, E=0.06, F=0.04),
    Terrain.URBAN: _across(4e-4, A=0.32, B=0.32, C=0.22, D=0.16, E=0.11, F=0.11),
}
_SIGMA_Z: dict[Terrain, dict[str, _Curve]] = {
    Terrain.RURAL: {
        "A": (0.20, 0.0, 0.0), "B": (0.12, 0.0, 0.0), "C": (0.08, 2e-4, -0.5),
        "D": (0.06, 1.5e-3, -0.5), "E": (0.03, 3e-4, -1.0), "F": (0.016, 3e-4, -1.0),
    },
    Terrain.URBAN: {
        "A": (0.24, 1e-3, 0.5), "B": (0.24, 1e-3, 0.5), "C": (0.20, 0.0, 0.0),
        "D": (0.14, 3e-4, -0.5), "E": (0.08, 1.5e-3, -0.5), "F": (0.08, 1.5e-3, -0.5),
    },
}  # fmt: skip


class Air(msgspec.Struct, frozen=True, kw_only=True):
    """What carries the gas."""

    wind_m_s: float
    """At the height of the release."""
    stability: Stability = Stability.D
    terrain: Terrain = Terrain.RURAL
    temperature_cel: float = 25.0
    pressure_hpa: float = 1013.25

    def sigma(self, x_m: float) -> tuple[float, float]:
        """Half-widths of the plume in m, (across, upright), `x_m` downwind of the source."""
        curves = (_SIGMA_Y[self.terrain], _SIGMA_Z[self.terrain])
        across, upright = (
            a * x_m * (1.0 + b * x_m) ** p for a, b, p in (c[self.stability] for c in curves)
        )
        return max(across, SIGMA_MIN_M), max(upright, SIGMA_MIN_M)

    def to_ppm(self, kg_m3: float, gas: str) -> float:
        """A mass in a volume as parts per million of the volume, at most all of it."""
        kelvin = self.temperature_cel + KELVIN
        pascal = self.pressure_hpa * 100.0
        molar_volume = GAS_CONSTANT * kelvin / pascal
        return min(kg_m3 * molar_volume / MOLAR_MASS_G_MOL[gas] * 1e9, 1e6)


def _upright(z_m: float, height_m: float, sigma_z: float) -> float:
    """The release and its mirror image below the ground."""
    return math.exp(-((z_m - height_m) ** 2) / (2 * sigma_z**2)) + math.exp(
        -((z_m + height_m) ** 2) / (2 * sigma_z**2)
    )


def plume_kg_m3(
    rate_kg_s: float, air: Air, x_m: float, y_m: float, z_m: float, height_m: float = 0.0
) -> float:
    """Mean concentration in a steady plume: x downwind, y across, z above the ground.

    A mean over about 10 minutes.  Zero upwind of the source.
    """
    if x_m <= 0.0:
        return 0.0
    sigma_y, sigma_z = air.sigma(x_m)
    wind = max(air.wind_m_s, WIND_MIN_M_S)
    across = math.exp(-(y_m**2) / (2 * sigma_y**2))
    area = 2 * math.pi * wind * sigma_y * sigma_z
    return rate_kg_s / area * across * _upright(z_m, height_m, sigma_z)


def puff_kg_m3(
    mass_kg: float,
    air: Air,
    age_s: float,
    x_m: float,
    y_m: float,
    z_m: float,
    height_m: float = 0.0,
) -> float:
    """Concentration in a cloud of `mass_kg`, released at once `age_s` ago."""
    if age_s <= 0.0:
        return 0.0
    centre_m = max(air.wind_m_s, WIND_MIN_M_S) * age_s
    sigma_y, sigma_z = air.sigma(centre_m)
    along = math.exp(-((x_m - centre_m) ** 2) / (2 * sigma_y**2))
    across = math.exp(-(y_m**2) / (2 * sigma_y**2))
    volume = math.pow(2 * math.pi, 1.5) * sigma_y * sigma_y * sigma_z
    return mass_kg / volume * along * across * _upright(z_m, height_m, sigma_z)


def arrived(air: Air, age_s: float, x_m: float) -> float:
    """The share (0 to 1) of the steady plume that a release begun `age_s` ago has built up
    `x_m` downwind: its front travels with the wind and is as blurred as the plume is wide."""
    front_m = max(air.wind_m_s, WIND_MIN_M_S) * age_s
    sigma_y, _ = air.sigma(max(x_m, 0.0))
    return 0.5 * (1.0 + math.erf((front_m - x_m) / (math.sqrt(2.0) * sigma_y)))


def reach_m(
    rate_kg_s: float, air: Air, gas: str, level_ppm: float, z_m: float = 0.0, height_m: float = 0.0
) -> float:
    """How far downwind on the axis the plume is above `level_ppm`: 0 to 10 km."""

    def ppm(x_m: float) -> float:
        return air.to_ppm(plume_kg_m3(rate_kg_s, air, x_m, 0.0, z_m, height_m), gas)

    # Far enough out the axis only falls; an elevated release may be below the level near by.
    steps = [math.pow(10.0, k / 20.0) for k in range(int(20 * math.log10(REACH_MAX_M)) + 1)]
    above = [x for x in steps if ppm(x) >= level_ppm]
    if not above:
        return 0.0
    low, high = above[-1], above[-1] * math.pow(10.0, 1 / 20.0)
    if low >= REACH_MAX_M:
        return REACH_MAX_M
    while high - low > 0.1:
        middle = (low + high) / 2
        low, high = (middle, high) if ppm(middle) >= level_ppm else (low, middle)
    return low


def outline(
    rate_kg_s: float, air: Air, gas: str, level_ppm: float, z_m: float = 0.0, height_m: float = 0.0
) -> list[tuple[float, float]]:
    """The ground where the mean is above `level_ppm`, as a closed ring of (x, y) in m.

    Empty where it is nowhere.  The first point is not repeated at the end.
    """
    length_m = reach_m(rate_kg_s, air, gas, level_ppm, z_m, height_m)
    if length_m <= 0.0:
        return []
    side: list[tuple[float, float]] = []
    for step in range(1, 24):
        x_m = length_m * (step / 24) ** 1.5
        axis = air.to_ppm(plume_kg_m3(rate_kg_s, air, x_m, 0.0, z_m, height_m), gas)
        if axis > level_ppm:
            sigma_y, _ = air.sigma(x_m)
            side.append((x_m, sigma_y * math.sqrt(2.0 * math.log(axis / level_ppm))))
    other = [(x_m, -y_m) for x_m, y_m in reversed(side)]
    return [(0.0, 0.0), *side, (length_m, 0.0), *other]
