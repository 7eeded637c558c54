"""Files of set points (config/limits): numbers with standard, edition and unit."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.alarms.setpoints import SetPoint
from agent.toml import Document, build


class _File(msgspec.Struct, frozen=True, kw_only=True):
    title: dict[str, str]
    limit: tuple[SetPoint, ...]


def load(path: Path) -> dict[str, SetPoint]:
    """Set points by quantity.  ConfigError holds every mistake of the file."""
    document = Document.read(path)
    document.raise_mistakes()
    file = build(document, _File, document.data, ())
    points: dict[str, SetPoint] = {}
    for index, point in enumerate(file.limit if file else ()):
        if point.quantity in points:
            document.mistake(("limit", index, "quantity"), f"{point.quantity!r} is given before")
        points[point.quantity] = point
    document.raise_mistakes()
    return points
