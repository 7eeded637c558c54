"""Zones: who is in which.  Pure.

Inside at the first position within the border; outside only when the position is further beyond it
than it may be wrong by (`eph`), so that nobody flickers at a border, and nobody has left a hot zone
by a position that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agent.alarms import geometry
from agent.messages import FixBody
from drivers.geodesy import Position

EPH_UNKNOWN_M = 15.0
EPH_LEAST_M = 3.0
ORDER = ("hot", "warm", "cold")
"""The worst first."""
CODES = ("zone_hot", "zone_warm", "zone_outside")


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: dict[str, str] = {}
    kind: str
    """`hot`, `warm`, `cold`."""
    center: tuple[float, float] | None = None
    radius_m: float = 0.0
    polygon: tuple[tuple[float, float], ...] = ()
    alarms_on: str
    """`enter`, `leave`, `none`."""

    def depth_m(self, place: Position) -> float:
        """Metres within its border; negative: outside."""
        if self.center is not None:
            return geometry.depth_in_circle(place, self.center, self.radius_m)
        return geometry.depth_in_polygon(place, self.polygon)

    def code(self) -> str | None:
        """The code of its alarm; None: entering and leaving are no alarm."""
        if self.alarms_on == "enter":
            return "zone_warm" if self.kind == "warm" else "zone_hot"
        return "zone_outside" if self.alarms_on == "leave" else None


class Change(msgspec.Struct, frozen=True):
    zone: Zone
    inside: bool


class Zones:
    """Of one unit."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self.zones: dict[str, Zone] = {zone.id: zone for zone in zones}
        self.inside: dict[str, bool] = {}
        """By id; none of those that no position was judged by."""

    def fix(self, fix: FixBody) -> list[Change]:
        """A position; what it changes."""
        if fix.mode < 2 or fix.lat is None or fix.lon is None:
            return []
        eph = max(EPH_LEAST_M, EPH_UNKNOWN_M if fix.eph is None else fix.eph)
        changes = []
        for zone in self.zones.values():
            depth_m = zone.depth_m((fix.lat, fix.lon))
            before = self.inside.get(zone.id)
            inside = depth_m >= (-eph if before else 0.0)
            if inside is not before:
                self.inside[zone.id] = inside
                # Far from all zones at the start is no news, outside of one to stay in is.
                if inside or before or zone.alarms_on == "leave":
                    changes.append(Change(zone, inside))
        return changes

    def put(self, zone: Zone) -> None:
        """A new zone, or one with a new border: judged from the next position on."""
        self.zones[zone.id] = zone
        self.inside.pop(zone.id, None)

    def remove(self, zone: str) -> Zone | None:
        self.inside.pop(zone, None)
        return self.zones.pop(zone, None)

    def holds(self, zone: Zone) -> bool:
        """Whether its alarm's condition holds."""
        inside = self.inside.get(zone.id)
        return inside is True if zone.alarms_on == "enter" else (
            inside is False if zone.alarms_on == "leave" else False
        )  # fmt: skip

    def worst(self) -> Zone | None:
        """Of those that the unit is in."""
        within = [zone for zone in self.zones.values() if self.inside.get(zone.id)]
        return min(within, key=lambda zone: ORDER.index(zone.kind), default=None)
