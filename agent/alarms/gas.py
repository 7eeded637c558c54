"""Set points against samples: which codes hold for one quantity of one source.  Pure.

HIGH and over-range hold at one valid sample; LOW needs two in a row (FIELD.md 4.5), so that one
odd sample does not cry wolf.  A code ends only behind its hysteresis, over-range only in clean air:
where a catalytic bead lacks oxygen its reading falls while the gas gets worse.  Warm-up neither
raises nor ends anything.  A fault ends no gas alarm: what cannot be measured has not gone.
"""

from __future__ import annotations

import math

import msgspec

from agent.alarms.setpoints import SetPoint
from drivers import Quality

CODES = frozenset({
    "low", "high", "deficient", "critical", "over_range", "under_range", "fault",
})  # fmt: skip
"""What is judged here."""
CONFIRM_LOW = 2
"""Samples in a row for the first alarm."""
WORSE_TIMES = 2.0
"""An acknowledged alarm is raised again at so many times the value that was acknowledged."""
WORSE_OXYGEN = 1.0
"""And oxygen when so many per cent of volume have gone since."""
SAME = 1e-9
"""Of a set point: 0.45 and 0.5 less 10 % are the same, whatever binary fractions make of them."""

_TRUSTED = (Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED)
_BY_QUALITY = {
    Quality.FAULT: "fault", Quality.OVER_RANGE: "over_range", Quality.UNDER_RANGE: "under_range",
}  # fmt: skip


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one quantity of one source."""

    holding: frozenset[str] = frozenset()
    """The codes whose condition holds."""
    counts: dict[str, int] = {}
    """Samples in a row beyond a set point that is not confirmed yet."""
    last: float | None = None
    """The last value that could be believed."""
    clean: bool = False
    """Whether the last sample could be believed and shows clean air."""


def step(
    channel: Channel,
    point: SetPoint | None,
    value: float | None,
    quality: Quality,
    *,
    bead: bool = False,
) -> Channel:
    """The channel after one sample.  `point` is in the sample's unit (None: no limit).

    `bead`: what measures needs oxygen to, so that after over range no reading shows clean air: a
    mixture too rich to burn looks the same.  Then `confirm_clean` alone ends it."""
    if quality is Quality.WARMUP:
        return msgspec.structs.replace(channel, clean=False)
    if quality in _TRUSTED and (value is None or not math.isfinite(value)):
        quality = Quality.FAULT
    if quality in _BY_QUALITY:
        return _with_state(channel, _BY_QUALITY[quality])
    if quality is Quality.INVALID and value is not None and math.isfinite(value):
        # It is too low if anything: what it reaches holds, and what it falls below proves nothing.
        after = _measured(channel, point, value, bead=bead)
        holding = channel.holding | after.holding
        return Channel(holding=holding, counts=after.counts, last=channel.last)
    if quality not in _TRUSTED or value is None:
        return msgspec.structs.replace(channel, clean=False)
    return _measured(channel, point, value, bead=bead)


def confirm_clean(channel: Channel) -> Channel:
    """A person says that the air is clean."""
    return msgspec.structs.replace(channel, holding=channel.holding - {"over_range"})


def has_worsened(code: str, seen: float, value: float) -> bool:
    """Whether `value` is so much worse than the one that was acknowledged that it is news."""
    if code in ("deficient", "critical"):
        return value <= seen - WORSE_OXYGEN
    return value >= WORSE_TIMES * seen > 0


def _measured(channel: Channel, point: SetPoint | None, value: float, *, bead: bool) -> Channel:
    holding: set[str] = set()
    counts: dict[str, int] = {}
    clean = True
    for code, limit, rising in point.rules() if point is not None else ():
        distance = value - limit if rising else limit - value
        same = SAME * max(1.0, abs(limit))
        near = point is not None and distance > same - point.band(limit)
        clean = clean and not (rising and near)
        if code in channel.holding:
            if near:
                holding.add(code)
        elif distance >= -same:
            count = channel.counts.get(code, 0) + 1
            if count >= (CONFIRM_LOW if code in ("low", "deficient") else 1):
                holding.add(code)
            else:
                counts[code] = count
    if "over_range" in channel.holding and (bead or not clean):
        holding.add("over_range")
    return Channel(holding=frozenset(holding), counts=counts, last=value, clean=clean)


def _with_state(channel: Channel, code: str) -> Channel:
    # The gas codes stay as they were, over-range among them; fault and under-range give way.
    others = channel.holding - {"fault", "under_range"}
    return Channel(holding=others | {code}, counts={}, last=channel.last)
