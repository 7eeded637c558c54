"""Readings thinned for want of budget or rate: what a period's were, in a few figures."""

from __future__ import annotations

import msgspec

from agent.messages.base import Clock, Mark, Wire
from agent.messages.position import FixBody
from drivers import Quality


class Rolled(Wire, frozen=True, kw_only=True):
    """One source's readings of one quantity within a roll-up."""

    source: str
    quantity: str
    unit: str = ""
    count: int
    """Readings, whatever their quality."""
    min: float | None = None
    """This and the next three over the readings that have a value and are `good`, `cal_due`,
    `simulated`, `over_range` or `under_range`; none where no reading is."""
    max: float | None = None
    mean: float | None = None
    last: float | None = None
    quality: Quality
    """Of the last reading."""
    qualities: dict[str, int]
    """How many readings of each quality."""
    fix: FixBody | None = None
    """The last one, of `position`."""


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """On `rollups`: in place of readings that do not come now.  It has no number; `ranges` says
    whose numbers it stands for (they are on `skipped` as `thinned`).  The readings themselves come
    late when there is room, or by `resend`."""

    unit: str
    epoch: str
    mark: Mark
    ranges: tuple[tuple[int, int], ...]
    """First and last number, both included, in order."""
    t: int
    """UTC ms at which the period begins."""
    until: int
    """UTC ms of the last reading."""
    clock: Clock
    period_s: int
    """1, 10 or 60."""
    rolled: tuple[Rolled, ...]
