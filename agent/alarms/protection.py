"""Whether the person beside a unit is protected now: every required sensor measures.  Pure.

The heartbeat lamp blinks only while nothing is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from agent.alarms.validity import TRUSTED
from agent.messages import Reading
from agent.settings.evidence import GASES
from drivers import Quality

MEASURES = TRUSTED | {Quality.OVER_RANGE}
"""More than a sensor can tell is told all the same."""
NO_SENSOR = "no_sensor"


def unprotected(
    required: Iterable[str],
    states: Mapping[str, str],
    silent: Set[str],
    latest: Iterable[Reading],
) -> tuple[str, ...]:
    """`source: reason` of each required source that does not measure; empty: all do.

    `states`: of each source; `silent`: those that should have said something.  Of a source that
    measures gases only these count.  Reasons: a state (`starting`, `down`), `silent`, `unheard`, a
    quality (`warmup`, `fault`, `stale`, `invalid`, `under_range`); `no_sensor` where none is
    required at all."""
    readings: dict[str, list[Reading]] = {}
    for reading in latest:
        readings.setdefault(reading.source, []).append(reading)
    reasons = {
        source: _reason(states.get(source, "down"), source in silent, readings.get(source, []))
        for source in required
    }
    if not reasons:
        return (NO_SENSOR,)
    return tuple(f"{source}: {reason}" for source, reason in reasons.items() if reason)


def _reason(state: str, silent: bool, readings: list[Reading]) -> str:
    if state != "up":
        return state
    if silent:
        return "silent"
    gases = [one for one in readings if one.quantity in GASES]
    bad = [one.quality.value for one in gases or readings if one.quality not in MEASURES]
    return min(bad, default="" if readings else "unheard")
