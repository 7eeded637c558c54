"""ppm and mg/m3, with the temperature and pressure that the conversion used.  Pure.

A cell feels partial pressure: what is measured and judged is ppm, and mg/m3 is only told beside it.
The same ppm differs by 9 % between the bases in use (0, 20 and 25 degrees C), so a figure in mg/m3
always names its basis.  mg/m3 = ppm x M x P / (R x T x 1000), P in Pa, T in K (FIELD.md 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

GAS_CONSTANT = 8.314462618
"""J/(mol K), CODATA 2018 (exact)."""
ZERO_C = 273.15

MOLAR_MASS = {
    "ash3": 77.945, "c2h2": 26.038, "c2h4": 28.054, "c3h8": 44.097, "c6h6": 78.114, "ch2o": 30.026,
    "ch4": 16.043, "cl2": 70.906, "clo2": 67.452, "co": 28.010, "co2": 44.009, "eto": 44.053,
    "h2": 2.016, "h2s": 34.081, "hcl": 36.461, "hcn": 27.025, "hf": 20.006, "nh3": 17.031,
    "no": 30.006, "no2": 46.006, "o2": 31.998, "o3": 47.998, "ph3": 33.998, "sih4": 32.117,
    "so2": 64.064,
}  # fmt: skip
"""g/mol, from IUPAC's standard atomic weights."""


class Air(msgspec.Struct, frozen=True, kw_only=True):
    """What the air is taken to be."""

    temperature_c: float = 20.0
    pressure_hpa: float = 1013.25

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if not -90 <= self.temperature_c <= 100:
            yield "temperature_c", f"expected -90 to 100, read {self.temperature_c:g}"
        if not 300 <= self.pressure_hpa <= 1200:
            yield "pressure_hpa", f"expected 300 to 1200, read {self.pressure_hpa:g}"

    @property
    def molar_volume_l(self) -> float:
        """Litres that a mol of any gas takes: 24.055 at 20 degrees C and 1013.25 hPa."""
        kelvin = self.temperature_c + ZERO_C
        return GAS_CONSTANT * kelvin / (self.pressure_hpa * 100) * 1000


WORKPLACE = Air()
"""20 degrees C and 1013.25 hPa: the basis of GBZ 2.1's ppm figures."""


def factor(gas: str, air: Air = WORKPLACE) -> float | None:
    """mg/m3 per ppm; None where the gas is no single substance, or not known here."""
    mass = MOLAR_MASS.get(gas)
    return None if mass is None else mass / air.molar_volume_l


def mg_m3(gas: str, ppm: float, air: Air = WORKPLACE) -> float | None:
    each = factor(gas, air)
    return None if each is None else ppm * each


def ppm(gas: str, milligrams: float, air: Air = WORKPLACE) -> float | None:
    each = factor(gas, air)
    return None if each is None else milligrams / each
