"""What is ready and what is not.  Pure: facts and rules in, items out.

Nothing is green that was not looked at: what nobody has stated, tested or set is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from agent.alarms.protection import NO_SENSOR, unprotected
from agent.alarms.setpoints import SetPoint
from agent.messages import Clock, Reading
from agent.messages.selftest import BumpTest, SelftestItem
from agent.selftest.bump import BASE
from agent.settings.calibration import EPOCH, Calibration
from agent.settings.evidence import GASES
from agent.settings.selftest import SelftestConfig
from drivers import Quality

Key = tuple[str, str]
"""Source and quantity."""
OK, WARN, FAIL, NONE = "ok", "warn", "fail", "none"
READY, WARNINGS, NOT_READY = "ready", "ready_with_warnings", "not_ready"
DAY_MS = 86_400_000
FREE_MIN_MB = 200.0
"""Below it a day of records may not find room."""
ZERO_OXYGEN = 0.5
"""Per cent of volume: what a healthy cell differs from 20.9 in clean air, with humidity."""
ZERO_SHARE = 0.1
"""Of the lowest limit; or two steps of the sensor, where that is more."""
SHOWS = frozenset({Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED})


class Zero(msgspec.Struct, frozen=True, kw_only=True):
    """What a sensor showed when somebody stated that the air was clean."""

    value: float | None
    unit: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The unit at this moment."""

    now_ms: int
    clock: Clock
    required: Sequence[str]
    states: Mapping[str, str]
    """Of every source."""
    silent: set[str]
    latest: Sequence[Reading]
    calibrations: Mapping[str, Calibration]
    """Of sources that measure a gas."""
    resolutions: Mapping[Key, float]
    zeros: Mapping[Key, Zero] | None
    """None: nobody has stated that the air is clean."""
    bumps: Mapping[Key, BumpTest]
    battery_low: float = 20.0
    battery_critical: float = 10.0
    store_trouble: str = ""
    log_trouble: str = ""
    free_mb: float | None = None
    cameras: Mapping[str, str] = {}
    """State by name: `idle`, `live`, `down`, `disabled`."""
    pictures: frozenset[str] = frozenset()
    """Cameras that gave a picture for this check."""
    microphone: str = ""
    """As its statistics say; empty: none is configured."""
    position: str = "none"
    """`ok`, `lost`, `none` (no source has ever given one)."""
    position_required: bool = False
    links: Mapping[str, str] = {}
    """State of each uplink."""
    key_trouble: str = ""


def sensors(latest: Iterable[Reading]) -> tuple[Reading, ...]:
    """Those that can be zeroed and bump tested: each gas of each source, the newest reading."""
    found = [one for one in latest if one.quantity in GASES and one.fix is None]
    return tuple(sorted(found, key=lambda one: (one.source, one.quantity)))


def judge(
    facts: Facts, rules: SelftestConfig, point: Callable[[str, str], SetPoint | None]
) -> tuple[SelftestItem, ...]:
    return (
        *_sensors(facts),
        *_zeros(facts, rules, point),
        *overdue(facts, rules, only=False),
        *_unit(facts),
        *_media(facts),
        *_ways(facts),
    )


def result(items: Iterable[SelftestItem]) -> str:
    states = {item.state for item in items}
    if FAIL in states:
        return NOT_READY
    return WARNINGS if WARN in states else READY


def _sensors(facts: Facts) -> Iterator[SelftestItem]:
    if not facts.required:
        yield SelftestItem(item="sensor", state=FAIL, code=NO_SENSOR)
    for source, state in facts.states.items():
        reasons = unprotected((source,), facts.states, facts.silent, facts.latest)
        reason = reasons[0].rpartition(": ")[2] if reasons else ""
        bad = FAIL if source in facts.required else WARN
        yield SelftestItem(
            item="sensor", source=source, state=bad if reason else OK, code=reason or state
        )


def _zeros(
    facts: Facts, rules: SelftestConfig, point: Callable[[str, str], SetPoint | None]
) -> Iterator[SelftestItem]:
    for one in sensors(facts.latest):
        limit = tolerance(one, rules, point, facts.resolutions.get((one.source, one.quantity)))
        item = SelftestItem(
            item="zero", source=one.source, quantity=one.quantity, state=WARN,
            code="zero_not_stated", limit=limit,
        )  # fmt: skip
        if facts.zeros is None:
            yield item
            continue
        zero = facts.zeros.get((one.source, one.quantity))
        if zero is None or zero.value is None:
            yield _is(item, FAIL, "zero_no_value")
            continue
        off = round(zero.value - BASE.get(one.quantity, 0.0), 6)
        item = msgspec.structs.replace(item, value=off, unit=zero.unit)
        if limit is None:
            yield _is(item, WARN, "zero_no_tolerance")
        elif abs(off) > limit:
            yield _is(item, FAIL, "zero_off")
        else:
            yield _is(item, OK, "zero_good")


def _is(item: SelftestItem, state: str, code: str) -> SelftestItem:
    return msgspec.structs.replace(item, state=state, code=code)


def tolerance(
    reading: Reading,
    rules: SelftestConfig,
    point: Callable[[str, str], SetPoint | None],
    resolution: float | None,
) -> float | None:
    """How far from clean air a sensor may show, in its unit; None: nothing says."""
    if (own := rules.zero.get(reading.quantity)) is not None:
        return own
    held = point(reading.source, reading.quantity)
    found = [] if resolution is None else [2 * resolution]
    if reading.quantity == "o2":
        found.append(ZERO_OXYGEN)
    elif held is not None and held.unit == reading.unit:
        limits = [one for one in (held.low, held.high) if one is not None]
        found += [ZERO_SHARE * min(limits)] if limits else []
    return round(max(found), 6) if found else None


def overdue(facts: Facts, rules: SelftestConfig, *, only: bool) -> Iterator[SelftestItem]:
    """Bump tests and calibrations; with `only` those that are not in order."""
    late = FAIL if rules.on_overdue == "lock" else WARN
    for one in sensors(facts.latest):
        item = _bump(one, facts, rules, late)
        if not only or item.state in (WARN, FAIL):
            yield item
    for source, calibration in facts.calibrations.items():
        item = _calibration(source, calibration, facts, late)
        if not only or item.state in (WARN, FAIL):
            yield item


def _bump(one: Reading, facts: Facts, rules: SelftestConfig, late: str) -> SelftestItem:
    test = facts.bumps.get((one.source, one.quantity))
    item = SelftestItem(
        item="bump", source=one.source, quantity=one.quantity, state=OK, code="bump_good"
    )
    if test is None:
        return _is(item, late if rules.bump_days > 0 else NONE, "bump_missing")
    item = msgspec.structs.replace(
        item, value=test.value, unit=test.unit, limit=test.concentration
    )  # fmt: skip
    if not test.passed:
        # The last one counts, however good the one before it was.
        return _is(item, FAIL, "bump_failed")
    if rules.bump_days > 0:
        if facts.clock is Clock.FREE:
            return _is(item, late, "bump_undated")
        # A test that is still to come was dated by a clock that was wrong.
        if not -DAY_MS <= facts.now_ms - test.t < rules.bump_days * DAY_MS:
            return _is(item, late, "bump_overdue")
    return item


def _calibration(source: str, known: Calibration, facts: Facts, late: str) -> SelftestItem:
    item = SelftestItem(
        item="calibration", source=source, state=OK, code="calibration_good",
        detail=known.due.isoformat() if known.due is not None else "",
    )  # fmt: skip
    if known.due is None:
        return _is(item, WARN, "calibration_unknown")
    if facts.clock is Clock.FREE:
        return _is(item, WARN, "calibration_undated")
    if known.is_due(facts.now_ms):
        return _is(item, late, "calibration_overdue")
    days = float((known.due - EPOCH).days - facts.now_ms // DAY_MS)
    return msgspec.structs.replace(item, value=days, unit="d")


def _unit(facts: Facts) -> Iterator[SelftestItem]:
    batteries = [one for one in facts.latest if one.quantity == "battery" and one.unit == "%EL"]
    if not batteries:
        yield SelftestItem(item="battery", state=NONE, code="not_fitted")
    for one in batteries:
        state, code = OK, "battery_good"
        if one.value is None or one.quality not in SHOWS or one.source in facts.silent:
            state, code = WARN, "battery_unknown"
        elif one.value < facts.battery_critical:
            state, code = FAIL, "battery_critical"
        elif one.value < facts.battery_low:
            state, code = WARN, "battery_low"
        yield SelftestItem(
            item="battery", source=one.source, state=state, code=code, value=one.value,
            unit="%", limit=facts.battery_low,
        )  # fmt: skip
    if facts.store_trouble:
        yield SelftestItem(item="disk", state=FAIL, code="disk_refuses", detail=facts.store_trouble)
    elif facts.free_mb is None:
        yield SelftestItem(item="disk", state=WARN, code="disk_unknown")
    else:
        full = facts.free_mb < FREE_MIN_MB
        yield SelftestItem(
            item="disk", state=WARN if full else OK, code="disk_full" if full else "disk_good",
            value=round(facts.free_mb), unit="MB", limit=FREE_MIN_MB,
        )  # fmt: skip
    if facts.log_trouble:
        yield SelftestItem(item="log", state=FAIL, code="log_refuses", detail=facts.log_trouble)
    else:
        yield SelftestItem(item="log", state=OK, code="log_good")
    free = facts.clock is Clock.FREE
    yield SelftestItem(
        item="clock", state=WARN if free else OK, code="clock_free" if free else "clock_good",
        detail=facts.clock.value,
    )  # fmt: skip
    if facts.key_trouble:
        yield SelftestItem(
            item="signature", state=WARN, code="key_unusable", detail=facts.key_trouble
        )


def _media(facts: Facts) -> Iterator[SelftestItem]:
    if not facts.cameras:
        yield SelftestItem(item="camera", state=NONE, code="not_fitted")
    for name, state in facts.cameras.items():
        seen = name in facts.pictures and state != "down"
        yield SelftestItem(
            item="camera", source=name, state=OK if seen else WARN,
            code="camera_good" if seen else "camera_no_picture", detail=state,
        )  # fmt: skip
    match facts.microphone:
        case "":
            yield SelftestItem(item="microphone", state=NONE, code="not_fitted")
        case "down":
            yield SelftestItem(item="microphone", state=WARN, code="microphone_down")
        case state:
            yield SelftestItem(item="microphone", state=OK, code="microphone_good", detail=state)


def _ways(facts: Facts) -> Iterator[SelftestItem]:
    if facts.position == "ok":
        yield SelftestItem(item="position", state=OK, code="position_good")
    elif facts.position == "lost" or facts.position_required:
        bad = FAIL if facts.position_required else WARN
        yield SelftestItem(item="position", state=bad, code="position_lost")
    else:
        yield SelftestItem(item="position", state=NONE, code="not_fitted")
    if not facts.links:
        yield SelftestItem(item="link", state=WARN, code="link_none")
    up = any(state == "up" for state in facts.links.values())
    for name, state in facts.links.items():
        if state == "up":
            yield SelftestItem(item="link", source=name, state=OK, code="link_good")
        else:
            # Alarms here need no link; that nobody hears of them is worth a word.
            code = "link_spare_down" if up else "link_down"
            yield SelftestItem(item="link", source=name, state=WARN, code=code, detail=state)
