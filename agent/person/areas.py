"""Zones around the unit: those of the configuration, and those that a command has drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agent.alarms.engine import UNIT
from agent.alarms.standing import Cause
from agent.alarms.validity import TRUSTED
from agent.alarms.zones import Change, Zone, Zones
from agent.messages import Alarm, FixBody, Reading
from agent.messages.person import ZoneStatus
from agent.person.watch import Tell
from agent.settings.person import ZoneConfig

ZONES_MAX = 64
"""Of the configuration and of commands together."""


class Areas:
    """Made once per run."""

    def __init__(
        self, zones: Iterable[ZoneConfig], *, tell: Tell, on_event: Callable[..., Any]
    ) -> None:
        configured = [zone_of(zone) for zone in zones]
        self.own: frozenset[str] = frozenset(zone.id for zone in configured)
        """Those of the configuration: no command removes them."""
        self._zones = Zones(configured)
        self._tell = tell
        self._on_event = on_event

    def reading(self, reading: Reading, t: int) -> bool:
        """A position; whether it has changed anything."""
        if reading.fix is None or reading.quality not in TRUSTED:
            return False
        changes = self._zones.fix(reading.fix)
        for change in changes:
            self._say(change, t)
        return bool(changes)

    def put(self, zone: Zone, by: str, t: int, fix: FixBody | None) -> None:
        """A new zone, or another border; judged at once by the last position.  ValueError: it is
        one of the configuration's, or there are too many."""
        if zone.id in self.own:
            raise ValueError(f"{zone.id!r} is a zone of the unit's configuration")
        if zone.id not in self._zones.zones and len(self._zones.zones) >= ZONES_MAX:
            raise ValueError(f"there are {ZONES_MAX} zones already")
        if (before := self._zones.zones.get(zone.id)) is not None:
            self._end(before, t)
        self._zones.put(zone)
        self._on_event("zone_set", zone.id, by, kind=zone.kind, alarms_on=zone.alarms_on)
        for change in self._zones.fix(fix) if fix is not None else ():
            self._say(change, t)

    def remove(self, name: str, by: str, t: int) -> None:
        """LookupError: no such zone; ValueError: it is one of the configuration's."""
        if name in self.own:
            raise ValueError(f"{name!r} is a zone of the unit's configuration")
        zone = self._zones.remove(name)
        if zone is None:
            raise LookupError(f"there is no zone {name!r}")
        self._on_event("zone_removed", name, by)
        self._end(zone, t)

    def drawn(self) -> list[Zone]:
        """Those of commands."""
        return [zone for zone in self._zones.zones.values() if zone.id not in self.own]

    def inside(self) -> dict[str, bool]:
        return dict(self._zones.inside)

    def restore(self, drawn: Iterable[Zone], inside: dict[str, bool]) -> None:
        """As before a restart."""
        for zone in drawn:
            if zone.id not in self.own and len(self._zones.zones) < ZONES_MAX:
                self._zones.put(zone)
        # What a position has told since is newer.
        self._zones.inside = {
            name: within
            for name, within in (inside | self._zones.inside).items()
            if name in self._zones.zones
        }

    def holds(self, alarm: Alarm) -> bool:
        """Whether the condition of an alarm of these holds."""
        zone = self._zones.zones.get(alarm.quantity)
        return zone is not None and zone.code() == alarm.code and self._zones.holds(zone)

    def status(self) -> tuple[ZoneStatus, ...]:
        return tuple(
            ZoneStatus(
                id=zone.id, name=zone.name, kind=zone.kind, inside=self._zones.inside.get(zone.id),
                center=zone.center, radius_m=zone.radius_m if zone.center else None,
                polygon=zone.polygon,
            )
            for zone in self._zones.zones.values()
        )  # fmt: skip

    # -- within ----------------------------------------------------------------------------

    def _say(self, change: Change, t: int) -> None:
        zone = change.zone
        name = "zone_entered" if change.inside else "zone_left"
        self._on_event(name, zone.id, kind=zone.kind, name=zone.name)
        if (code := zone.code()) is not None:
            cause = Cause(source=UNIT, quantity=zone.id, code=code, t=t)
            self._tell(cause, self._zones.holds(zone))

    def _end(self, zone: Zone, t: int) -> None:
        if (code := zone.code()) is not None:
            self._tell(Cause(source=UNIT, quantity=zone.id, code=code, t=t), False)


def zone_of(config: ZoneConfig) -> Zone:
    return Zone(
        id=config.id, name=config.name, kind=config.kind,
        center=(config.center[0], config.center[1]) if config.center else None,
        radius_m=config.radius_m or 0.0,
        polygon=tuple((corner[0], corner[1]) for corner in config.polygon or ()),
        alarms_on=config.alarms_on,
    )  # fmt: skip
