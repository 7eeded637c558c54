"""One way of a unit to one center."""

from __future__ import annotations

from agent.messages.base import Mark, Wire


class Link(Wire, frozen=True, kw_only=True):
    """Retained on `link/{path}`; the will of that path says `lost`."""

    unit: str
    path: str
    """The name of the `[[uplink]]`; a vehicle's, through which a kit is heard; `relay`: not a way,
    but whether a vehicle hands on what comes to its broker."""
    mark: Mark
    state: str
    """`up`, `lost`, `closed`."""
    epoch: str
    version: int = 0
    t: int = 0


class UplinkStatus(Wire, frozen=True, kw_only=True):
    """In `status`: what the way to this center carries, and may carry."""

    kind: str
    """`wired`, `4g`, `satellite`."""
    readings: str
    """`full`, or roll-ups of `1s`, `10s`, `1min`."""
    sent_kbit_s: float
    """Measured over the last minute, headers of TCP and IP included."""
    rate_kbit_s: float = 0.0
    """The most that it may send; 0: as much as the link bears."""
    spent_mb: float
    """Sent and received since midnight UTC, as the unit's kernel counts it."""
    budget_mb_per_day: float = 0.0
    """0: none."""
    status_s: float = 30.0
    """A status in which nothing is new but numbers comes at least so often."""
