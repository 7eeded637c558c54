"""What holds at a unit for what it measures: limits, gases without one, its air.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.alarms import conversion
from agent.alarms.setpoints import SetPoint
from agent.messages import Air, LimitStatus, Reading
from agent.settings.evidence import GASES
from drivers import Quality

Point = Callable[[str, str], SetPoint | None]
"""The set point of (source, quantity)."""


def limits(
    readings: Iterable[Reading], point: Point
) -> tuple[tuple[LimitStatus, ...], tuple[str, ...]]:
    """The set points that judge `readings`, and the gases that none judges.  A limit holds only
    for readings in its own unit; where sensors of a quantity differ, each entry names its own."""
    found: dict[str, dict[str, SetPoint | None]] = {}
    for reading in readings:
        held = point(reading.source, reading.quantity)
        if held is not None and held.unit != reading.unit:
            held = None
        if held is not None or reading.quantity in GASES:
            found.setdefault(reading.quantity, {})[reading.source] = held
    judged: list[LimitStatus] = []
    unlimited: list[str] = []
    for quantity, by_source in sorted(found.items()):
        same = len({id(held) for held in by_source.values()}) == 1
        for source, held in by_source.items():
            if held is None:
                unlimited.append(quantity if same else f"{source}/{quantity}")
            else:
                judged.append(_status(held, "" if same else source))
            if same:
                break
    return tuple(judged), tuple(unlimited)


def _status(point: SetPoint, source: str) -> LimitStatus:
    return LimitStatus(
        quantity=point.quantity, unit=point.unit, low=point.low, high=point.high,
        deficient=point.deficient, critical=point.critical, basis=point.basis, stel=point.stel,
        twa=point.twa, exposure_basis=point.exposure_basis, source=source,
    )  # fmt: skip


def air(readings: Iterable[Reading], silent: set[str]) -> Air | None:
    """By the temperature and pressure that the unit measures, of a weather station where there is
    one (a gas head is warm inside); else as GBZ 2.1 takes them."""
    known = [
        reading
        for reading in readings
        if reading.quality in (Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED)
        and reading.source not in silent
        and reading.value is not None
    ]
    outside = {
        reading.source for reading in known if reading.quantity in ("wind_speed", "pressure")
    }
    temperature = _one(known, "temperature", "Cel", outside)
    pressure = _one(known, "pressure", "hPa", outside)
    base = conversion.WORKPLACE
    here = conversion.Air(
        temperature_c=base.temperature_c if temperature is None else temperature,
        pressure_hpa=base.pressure_hpa if pressure is None else pressure,
    )
    if any(here.mistakes()):
        here, temperature, pressure = base, None, None
    factors = {
        reading.quantity: round(each, 4)
        for reading in known
        if reading.unit == "ppm" and (each := conversion.factor(reading.quantity, here)) is not None
    }
    if not factors:
        return None
    values = (("temperature", temperature), ("pressure", pressure))
    return Air(
        temperature_c=here.temperature_c, pressure_hpa=here.pressure_hpa,
        measured=tuple(name for name, value in values if value is not None),
        mg_m3_per_ppm=dict(sorted(factors.items())),
    )  # fmt: skip


def _one(readings: list[Reading], quantity: str, unit: str, outside: set[str]) -> float | None:
    found = [r for r in readings if (r.quantity, r.unit) == (quantity, unit)]
    found.sort(key=lambda reading: reading.source not in outside)
    return found[0].value if found else None
