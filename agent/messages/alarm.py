"""An alarm's transition, and what stands now."""

from __future__ import annotations

from enum import StrEnum

from agent.messages.base import Mark, Wire
from agent.messages.position import FixBody
from agent.messages.reading import Reading


class AlarmState(StrEnum):
    """ISA-18.2's alarm states."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED_UNACKNOWLEDGED = "returned_unacknowledged"


class Alarm(Wire, frozen=True, kw_only=True):
    """Body of a record of class `alarms`: one transition; also an entry of `alarms/active`."""

    alarm: str
    """Which alarm: `{source}/{quantity}/{code}`, the same until it is normal again."""
    code: str
    """`high`, `low`, `over_range`, `under_range`, `fault`, `silent`, `sos` ..."""
    rank: int
    """1 is the most urgent (FIELD: high and over-range 1, SOS 2, low 3, fault and silent 4)."""
    change: str
    """`raised`, `worsened`, `returned`, `acknowledged`, `cleared`, `stands` (in alarms/active)."""
    state: AlarmState
    source: str
    quantity: str
    limit: float | None = None
    limit_basis: str = ""
    """Where the set point comes from: profile, standard and edition."""
    reading: Reading | None = None
    """The reading that caused the transition; none where silence did."""
    fix: FixBody | None = None
    """The unit's last position."""
    delay_ms: float | None = None
    """From the first byte of the causing frame to the transition, measured in the unit."""
    since: int | None = None
    """UTC ms at which it was raised."""
    by: str = ""
    """Who acknowledged."""


class ActiveAlarms(Wire, frozen=True, kw_only=True):
    """Retained on `alarms/active`."""

    unit: str
    mark: Mark
    epoch: str
    version: int
    t: int
    alarms: tuple[Alarm, ...] = ()
