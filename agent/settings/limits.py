"""Files of set points (config/limits): numbers with standard, edition, unit and conversion."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.alarms import conversion
from agent.alarms.conversion import Air
from agent.alarms.setpoints import SetPoint
from agent.settings.toml import Document, build

ROUNDING = 0.03
"""How far a limit in ppm may be from the mg/m3 that it is derived from: 0.34 for 0.339."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    title: dict[str, str]
    unattended: bool = False
    conversion: Air = conversion.WORKPLACE
    limit: tuple[SetPoint, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """One file of set points."""

    points: dict[str, SetPoint]
    """By quantity."""
    unattended: bool = False
    """Made for a detector that nobody carries: its alarms are too late for a person."""


def load(path: Path) -> Limits:
    """ConfigError holds every mistake of the file."""
    document = Document.read(path)
    document.raise_mistakes()
    file = build(document, _File, document.data, ())
    points: dict[str, SetPoint] = {}
    for index, point in enumerate(file.limit if file else ()):
        where = ("limit", index)
        if point.quantity in points:
            document.mistake((*where, "quantity"), f"{point.quantity!r} is given before")
        points[point.quantity] = point
        if file is not None:
            for sentence in _conversions(point, file.conversion):
                document.mistake((*where, "mg_m3"), sentence)
    document.raise_mistakes()
    return Limits(points=points, unattended=file is not None and file.unattended)


def _conversions(point: SetPoint, air: Air) -> list[str]:
    """What is wrong with the figures in mg/m3 that stand beside the limits."""
    found: list[str] = []
    for name, figure in point.mg_m3.items():
        limit = getattr(point, name, None)
        derived = conversion.ppm(point.quantity, figure, air)
        if point.unit != "ppm" or derived is None:
            found.append(f"{point.quantity!r} in {point.unit!r} cannot be derived from mg/m3")
        elif limit is None:
            found.append(f"{name} is given here and not as a limit")
        elif abs(limit - derived) > ROUNDING * derived:
            found.append(
                f"{name}: {figure:g} mg/m3 are {derived:.3g} ppm at {air.temperature_c:g} degrees C"
                f" and {air.pressure_hpa:g} hPa, read {limit:g}"
            )
    return found
