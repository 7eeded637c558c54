"""Whether a configuration protects the people beside a unit less than another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from agent.alarms.setpoints import LIMITS, SetPoint
from agent.config import Config, SourceConfig
from agent.settings.set_points import ON_PEOPLE

FALLING = ("deficient", "critical")
"""Limits that are stricter the higher they are."""
FREE = {"place", "serial"}
SHRINKS = {"silent_s", "calibration_days", "period_s"}
"""Keys of a source that are stricter the smaller they are."""
ONCE_GIVEN = {"same_s"}
"""The same, but 0 is never."""


def loosened(before: Config, after: Config) -> list[str]:
    """A sentence for each way in which `after` protects less; nothing where nobody is beside it."""
    if before.unit.profile.value not in ON_PEOPLE:
        return []
    return [*_set_points(before, after), *_sources(before, after), *_panel(before, after)]


def _set_points(before: Config, after: Config) -> Iterator[str]:
    for quantity, point in before.set_points.items():
        yield from _point(quantity, point, after.set_points.get(quantity))
    for source, quantity in before.own_points.keys() | after.own_points.keys():
        old, new = (
            config.own_points.get((source, quantity)) or config.set_points.get(quantity)
            for config in (before, after)
        )
        if old is not None:
            yield from _point(f"{quantity} of {source}", old, new)


def _point(what: str, old: SetPoint, new: SetPoint | None) -> Iterator[str]:
    if new is None or new.unit != old.unit:
        yield f"{what}: its limits would go, or be in another unit than {old.unit}"
        return
    for name in LIMITS:
        was, would = getattr(old, name), getattr(new, name)
        falling = name in FALLING
        if was is None:
            continue
        if would is None or (would < was if falling else would > was):
            yield (
                f"{name} of {what}: expected {'at least' if falling else 'at most'} {was:g} "
                f"{old.unit}, read {'none' if would is None else f'{would:g}'}"
            )
    if new.hysteresis != old.hysteresis:
        bands = [old.band(limit) for _, limit, _ in old.rules()]
        least = max(bands, default=0.0)
        if new.hysteresis is None or new.hysteresis < least:
            read = "none" if new.hysteresis is None else f"{new.hysteresis:g}"
            yield f"hysteresis of {what}: expected at least {least:g} {old.unit}, read {read}"


def _sources(before: Config, after: Config) -> Iterator[str]:
    made = {source.name: source for source in after.sources}
    for old in before.sources:
        new = made.get(old.name)
        if new is None:
            yield f"source {old.name}: it would go"
            continue
        for key, was, would in _differences(old, new):
            if key in FREE or (key in SHRINKS and would < was):
                continue
            if key in ONCE_GIVEN and would > 0 and (was == 0 or would < was):
                continue
            expected = f"at most {was:g}" if key in SHRINKS | ONCE_GIVEN else f"{was!r} as it is"
            yield f"{key} of source {old.name}: expected {expected}, read {would!r}"


def _differences(old: SourceConfig, new: SourceConfig) -> Iterator[tuple[str, Any, Any]]:
    for ours, theirs in ((old.table, new.table), (old.options, new.options)):
        if type(ours) is not type(theirs):
            yield "driver", old.table.driver, new.table.driver
            return
        for key in ours.__struct_fields__:
            if (was := getattr(ours, key)) != (would := getattr(theirs, key)):
                yield key, was, would


def _panel(before: Config, after: Config) -> Iterator[str]:
    old, new = before.panel, after.panel
    if old is None:
        return
    if new is None:
        yield "panel: it would go"
        return
    if new.sos_hold_s > old.sos_hold_s:
        yield f"sos_hold_s: expected at most {old.sos_hold_s:g}, read {new.sos_hold_s:g}"
    if new.clean_hold_s < old.clean_hold_s:
        yield f"clean_hold_s: expected at least {old.clean_hold_s:g}, read {new.clean_hold_s:g}"
    holds = {"sos_hold_s": old.sos_hold_s, "clean_hold_s": old.clean_hold_s}
    if msgspec.structs.replace(new, **holds) != old:
        yield "panel: its pins stay as they are"
