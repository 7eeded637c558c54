"""Hints from what a unit measures.  Each is an estimate, and says on what it rests."""

from __future__ import annotations

from agent.messages.base import Wire


class Upwind(Wire, frozen=True, kw_only=True):
    """Where clean air comes from."""

    bearing_deg: float
    """Towards the wind, degrees true: the direction that it comes from."""
    speed_m_s: float
    age_s: float
    """Of the wind."""
    source: str


class Exceedance(Wire, frozen=True, kw_only=True):
    """Where a limit was last exceeded, from here."""

    alarm: str
    distance_m: float
    bearing_deg: float
    """From the unit to that place, degrees true."""
    t: int
    """UTC ms."""


class Advice(Wire, frozen=True, kw_only=True):
    """`estimate` is always true: no center may show it as anything else."""

    estimate: bool = True
    upwind: Upwind | None = None
    no_upwind: str = ""
    """Why there is none: `no_wind`, `stale`, `not_trusted`, `calm`, `apparent`, `no_place`,
    `far`."""
    exceedance: Exceedance | None = None
    no_exceedance: str = ""
    """`none`, `no_place`, `old`, `here`."""
