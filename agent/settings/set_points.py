"""The set points that hold at a unit: its file of limits, what it sets differently, and whether its
instruments can show them at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from agent.alarms.setpoints import EXPOSURE, LIMITS, Override, SetPoint
from agent.settings import limits, places
from agent.settings.toml import ConfigError, Document, did_you_mean
from drivers import Span

if TYPE_CHECKING:
    from agent.config import SourceConfig
    from agent.settings.tables import AlarmsConfig, Profile

ON_PEOPLE = ("soldier", "vehicle")
"""Profiles whose unit is with people."""


class UnitPoints(msgspec.Struct, frozen=True, kw_only=True):
    points: dict[str, SetPoint] = {}
    """By quantity."""
    own: dict[tuple[str, str], SetPoint] = {}
    """By source and quantity, in place of the former."""
    changes: tuple[tuple[Override, SetPoint | None], ...] = ()
    """What the unit sets differently, each with what held before."""


def of_unit(
    document: Document,
    alarms: AlarmsConfig | None,
    profile: Profile | None,
    sources: Sequence[SourceConfig],
) -> UnitPoints:
    """Every mistake goes to `document`; then the result says nothing."""
    file = _file(document, alarms, profile)
    if alarms is None or file is None:
        return UnitPoints()
    found = UnitPoints(points=dict(file.points), own={}, changes=())
    changes = tuple(_overridden(document, alarms.override, found, sources))
    for source in sources:
        for where, sentence in _unfit(source, found, alarms.override):
            document.mistake(where, sentence)
    return msgspec.structs.replace(found, changes=changes)


def _file(
    document: Document, alarms: AlarmsConfig | None, profile: Profile | None
) -> limits.Limits | None:
    if alarms is None:
        return None
    path = places.named("limits", alarms.limits)
    if not path.is_file():
        known = places.names("limits")
        hint = did_you_mean(alarms.limits, known) or f"; known are {', '.join(known)}"
        document.mistake(("alarms", "limits"), f"there is no file {path.name!r}{hint}")
        return None
    try:
        file = limits.load(path)
    except ConfigError as error:
        document.mistakes.extend(error.mistakes)
        return None
    if file.unattended and profile is not None and profile.value in ON_PEOPLE:
        document.mistake(
            ("alarms", "limits"),
            f"{alarms.limits!r} is for detectors that nobody stands beside, and the profile is"
            f" {profile.value!r}; begin with 'responder' and say in [[alarms.override]] what"
            " differs",
        )
    return file


def _overridden(
    document: Document,
    overrides: Sequence[Override],
    found: UnitPoints,
    sources: Sequence[SourceConfig],
) -> Iterator[tuple[Override, SetPoint | None]]:
    """Puts them in place, those of the whole unit first."""
    names = [source.name for source in sources]
    seen: set[tuple[str, str]] = set()
    for index, override in sorted(enumerate(overrides), key=lambda pair: pair[1].source != ""):
        where = ("alarms", "override", index)
        key = (override.source, override.quantity)
        if key in seen:
            document.mistake((*where, "quantity"), f"{override.quantity!r} is overridden already")
        seen.add(key)
        if override.source and override.source not in names:
            hint = did_you_mean(override.source, names)
            document.mistake((*where, "source"), f"there is no source {override.source!r}{hint}")
        base = found.points.get(override.quantity)
        try:
            point = override.apply(base)
        except ValueError as error:
            document.mistake((*where, "unit"), str(error))
            continue
        for name, sentence in point.mistakes():
            document.mistake((*where, name), sentence)
        if override.source:
            found.own[key] = point
        else:
            found.points[override.quantity] = point
        yield override, base


def _unfit(
    source: SourceConfig, found: UnitPoints, overrides: Sequence[Override]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Limits that this instrument cannot show: then nothing would ever be raised."""
    for span in source.options.spans():
        own = found.own.get((source.name, span.quantity))
        point = own if own is not None else found.points.get(span.quantity)
        if point is None or point.unit != span.unit:
            continue
        for name in LIMITS:
            limit = getattr(point, name)
            sentence = "" if limit is None else _cannot_show(span, name, limit)
            if sentence:
                what = f"{name} of {span.quantity} is {limit:g} {span.unit}, {sentence}"
                yield (
                    _where(overrides, source.name, span.quantity, name),
                    (
                        f"{what} of the source {source.name!r}; give it an [[alarms.override]] or a"
                        " fitting instrument"
                    ),
                )


def _cannot_show(span: Span, name: str, limit: float) -> str:
    if span.full_scale is not None and limit > span.full_scale:
        return f"above the range ({span.full_scale:g})"
    # A mean may be finer than the single value.
    fine = name not in EXPOSURE and span.resolution is not None
    if fine and span.resolution is not None and limit < span.resolution:
        return f"below the resolution ({span.resolution:g})"
    return ""


def _where(
    overrides: Sequence[Override], source: str, quantity: str, name: str
) -> tuple[str | int, ...]:
    """Of the override that gave the number, else of the file of limits' name."""
    for own in (source, ""):
        for index, override in enumerate(overrides):
            if (override.source, override.quantity) == (own, quantity):
                if getattr(override, name) is not None:
                    return ("alarms", "override", index, name)
    return ("alarms", "limits")
