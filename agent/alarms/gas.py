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


def step(
    channel: Channel, point: SetPoint | None, value: float | None, quality: Quality
) -> Channel:
    """The channel after one sample.  `point` is in the sample's unit (None: no limit)."""
    if quality is Quality.WARMUP:
        return channel
    if quality in _TRUSTED and (value is None or not math.isfinite(value)):
        quality = Quality.FAULT
    if quality in _BY_QUALITY:
        return _with_state(channel, _BY_QUALITY[quality])
    if quality not in _TRUSTED or value is None:
        return channel
    return _measured(channel, point, value)


def _measured(channel: Channel, point: SetPoint | None, value: float) -> Channel:
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
    if "over_range" in channel.holding and not clean:
        holding.add("over_range")
    return Channel(holding=frozenset(holding), counts=counts)


def _with_state(channel: Channel, code: str) -> Channel:
    # The gas codes stay as they were, over-range among them; fault and under-range give way.
    others = channel.holding - {"fault", "under_range"}
    return Channel(holding=others | {code}, counts={})
