"""A position on the wire."""

from __future__ import annotations

from agent.messages.base import Wire
from drivers import Fix

CRS = "EPSG:4326"


class FixBody(Wire, frozen=True, kw_only=True):
    """A position in gpsd's words; WGS-84."""

    mode: int
    crs: str = CRS
    time: str | None = None
    lat: float | None = None
    lon: float | None = None
    alt: float | None = None
    speed: float | None = None
    track: float | None = None
    heading: float | None = None
    eph: float | None = None
    eph_basis: str | None = None
    hdop: float | None = None
    n_sat: int | None = None
    n_seen: int | None = None
    status: str = "autonomous"
    flags: tuple[str, ...] = ()


def fix_body(fix: Fix) -> FixBody:
    """The wire's form of a fix (what only the agent needs is left out)."""
    names = (name for name in FixBody.__struct_fields__ if name != "crs")
    return FixBody(**{name: getattr(fix, name) for name in names})
