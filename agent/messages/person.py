"""Whoever carries a unit or sits in it: what its status says of them."""

from __future__ import annotations

import msgspec

from agent.messages.base import Wire


class SosStatus(Wire, frozen=True, kw_only=True):
    """The call for help that stands, or the last one of this run."""

    stage: str
    """`queued`: written down; `reached`: a broker has acknowledged it; `unconfirmed`: for too long
    no person has confirmed it; `confirmed`, `cancelled`: it is over."""
    silent: bool = False
    """Without sound and lamp at the unit."""
    since: int = 0
    """UTC ms."""
    by: str = ""
    """Who confirmed or cancelled."""
    reason: str = ""
    """Why it was cancelled."""


class ZoneStatus(Wire, frozen=True, kw_only=True):
    """A zone that the unit watches: a circle or a polygon, WGS-84 degrees."""

    id: str
    name: dict[str, str] = msgspec.field(default_factory=dict)
    kind: str
    """`hot`, `warm`, `cold`."""
    inside: bool | None = None
    """None: no position has told yet."""
    center: tuple[float, float] | None = None
    """Latitude, longitude."""
    radius_m: float | None = None
    polygon: tuple[tuple[float, float], ...] = ()


class PersonStatus(Wire, frozen=True, kw_only=True):
    sos: SosStatus | None = None
    motion: str = "off"
    """`off`, `unknown`, `moving`, `prealarm`, `alarm`."""
    no_motion_at: int | None = None
    """UTC ms at which the pre-alarm becomes an alarm."""
    check_in: str = "off"
    """`off`, `waiting`, `due`, `missed`."""
    check_in_due: int | None = None
    """UTC ms."""
    driving: bool = False
    """What is not urgent is shown without sound."""
    zones: tuple[ZoneStatus, ...] = ()
    protected: bool = False
    """The heartbeat: every required sensor measures."""
    unprotected: tuple[str, ...] = ()
    """Why not, as `source: reason`."""
