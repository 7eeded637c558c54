"""Who is near, what stands there, and what of it a person here must hear.  Pure.

What stands at one place is one announcement, however many units stand in the cloud; a call for help
is always one of its own.  The own button ends the sound of what it has heard; whoever comes into
the same cloud later does not begin it again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agent.alarms.standing import HEARD_BY_NEIGHBOURS
from agent.messages import NeighbourAlarm
from agent.neighbours.packet import SEEN_MAX, Packet, Seen, Shared
from drivers.geodesy import Position, bearing_deg, distance_m

CLOUD = {"high": "high", "critical": "high", "over_range": "over_range"}
"""Codes of the air, and as what they are announced; the others are of one person each."""
GROUP_M = 150.0
LOST_S = 10.0
"""Without a packet for so long, a neighbour is out of reach; what stood there is still shown."""
FORGET_S = 3600.0
UNITS_MAX = 64


class Neighbour(msgspec.Struct, kw_only=True):
    """A unit within reach."""

    unit: str
    name: dict[str, str]
    nonce: bytes
    heard_at: float
    place: Position | None = None
    place_at: float = 0.0
    alarms: dict[str, Shared] = {}
    more: int = 0
    lost: bool = False


class News(msgspec.Struct, frozen=True, kw_only=True):
    """`raised` and `over` of one alarm; `lost` and `back` of a neighbour at which something stands;
    `met` at the first packet of a unit or of a run of it."""

    news: str
    unit: str
    shared: Shared | None = None


_Key = tuple[str, str, int]
"""Unit, alarm, since: one raising of one alarm."""


class Nearby:
    """`at` is monotonic seconds."""

    def __init__(self) -> None:
        self._units: dict[str, Neighbour] = {}
        self._quiet: set[_Key] = set()
        """What does not sound (any more)."""
        self._seen: dict[_Key, None] = {}
        """What a person here has seen."""

    # -- what comes in ---------------------------------------------------------------------

    def hear(self, packet: Packet, at: float) -> list[News]:
        """A packet that the guard has admitted."""
        known = self._units.get(packet.unit)
        news: list[News] = []
        if known is None or known.nonce != packet.nonce:
            news.append(News(news="met", unit=packet.unit))
        if known is None:
            known = self._make_room_for(packet, at)
        elif known.lost and known.alarms:
            news.append(News(news="back", unit=packet.unit))
        known.nonce, known.heard_at, known.lost = packet.nonce, at, False
        known.name, known.more = packet.name, packet.more
        if packet.lat is not None and packet.lon is not None:
            known.place, known.place_at = (packet.lat, packet.lon), at - packet.place_age_s
        shared = {
            alarm.alarm: alarm for alarm in packet.alarms if alarm.code in HEARD_BY_NEIGHBOURS
        }
        news += self._changes(known, shared)
        known.alarms = shared
        self._forget_what_is_over()
        return news

    def tick(self, at: float) -> list[News]:
        """Time has passed: who is out of reach now?"""
        news = []
        for known in list(self._units.values()):
            if not known.lost and at - known.heard_at > LOST_S:
                known.lost = True
                if known.alarms:
                    news.append(News(news="lost", unit=known.unit))
            if at - known.heard_at > FORGET_S:
                del self._units[known.unit]
        self._forget_what_is_over()
        return news

    def silence(self) -> None:
        """The own button: who stands here has heard, and seen, all that stands."""
        for known in self._units.values():
            for shared in known.alarms.values():
                key = _key(known, shared)
                self._quiet.add(key)
                self._seen[key] = None

    # -- what stands -----------------------------------------------------------------------

    def sounds(self) -> bool:
        return any(
            _key(known, shared) not in self._quiet
            for known in self._units.values()
            for shared in known.alarms.values()
        )

    def seen(self) -> tuple[Seen, ...]:
        """The last that a person here has seen, as far as it still stands."""
        return tuple(Seen(*key) for key in list(self._seen)[-SEEN_MAX:])

    def echo(self) -> dict[str, bytes]:
        """The nonces of those within reach, who was heard last first."""
        near = sorted(self._units.values(), key=lambda known: -known.heard_at)
        return {known.unit: known.nonce for known in near if not known.lost}

    def units(self) -> tuple[Neighbour, ...]:
        return tuple(self._units.values())

    def announcements(self, own: Position | None, at: float) -> tuple[NeighbourAlarm, ...]:
        """The most urgent first, and of those the nearest."""
        groups: list[list[tuple[Neighbour, Shared]]] = []
        for entry in self._entries(own):
            group = next((one for one in groups if _same_place(one[0], entry)), None)
            if group is None:
                groups.append([entry])
            else:
                group.append(entry)
        return tuple(self._announcement(group, own, at) for group in groups)

    # -- within ----------------------------------------------------------------------------

    def _make_room_for(self, packet: Packet, at: float) -> Neighbour:
        while len(self._units) >= UNITS_MAX:
            # Who has nothing to say goes first, then who was heard longest ago.
            least = min(self._units.values(), key=lambda one: (bool(one.alarms), one.heard_at))
            del self._units[least.unit]
        made = Neighbour(unit=packet.unit, name=packet.name, nonce=packet.nonce, heard_at=at)
        self._units[packet.unit] = made
        return made

    def _changes(self, known: Neighbour, shared: dict[str, Shared]) -> Iterable[News]:
        for alarm, now in shared.items():
            before = known.alarms.get(alarm)
            if before is None or before.since != now.since:
                if self._is_in_a_quiet_cloud(known, now):
                    self._quiet.add(_key(known, now))
                yield News(news="raised", unit=known.unit, shared=now)
        for alarm, before in known.alarms.items():
            if alarm not in shared:
                yield News(news="over", unit=known.unit, shared=before)

    def _is_in_a_quiet_cloud(self, known: Neighbour, shared: Shared) -> bool:
        return any(
            _key(other, stands) in self._quiet
            for other in self._units.values()
            for stands in other.alarms.values()
            if other is not known and _same_place((other, stands), (known, shared))
        )

    def _forget_what_is_over(self) -> None:
        standing = {
            _key(known, shared)
            for known in self._units.values()
            for shared in known.alarms.values()
        }
        self._quiet &= standing
        self._seen = {key: None for key in self._seen if key in standing}

    def _entries(self, own: Position | None) -> list[tuple[Neighbour, Shared]]:
        def order(entry: tuple[Neighbour, Shared]) -> tuple[int, float, str]:
            known, shared = entry
            far = float("inf")
            if own is not None and known.place is not None:
                far = distance_m(own, known.place)
            return shared.rank, far, known.unit

        entries = [
            (known, shared) for known in self._units.values() for shared in known.alarms.values()
        ]
        return sorted(entries, key=order)

    def _announcement(
        self, group: list[tuple[Neighbour, Shared]], own: Position | None, at: float
    ) -> NeighbourAlarm:
        nearest, first = group[0]
        values = [shared.value for _, shared in group if shared.value is not None]
        worst = min if first.code == "critical" else max
        distance = bearing = None
        if own is not None and nearest.place is not None:
            distance = round(distance_m(own, nearest.place), 1)
            bearing = round(bearing_deg(own, nearest.place), 1)
        return NeighbourAlarm(
            code=CLOUD.get(first.code, first.code), quantity=first.quantity,
            units=tuple(dict.fromkeys(known.unit for known, _ in group)),
            since=min(shared.since for _, shared in group),
            value=worst(values) if values else None, unit=first.unit,
            distance_m=distance, bearing_deg=bearing,
            place_age_s=round(at - nearest.place_at, 1) if nearest.place is not None else None,
            lost=all(known.lost for known, _ in group),
            sounds=any(_key(known, shared) not in self._quiet for known, shared in group),
        )  # fmt: skip


def _key(known: Neighbour, shared: Shared) -> _Key:
    return known.unit, shared.alarm, shared.since


def _same_place(one: tuple[Neighbour, Shared], other: tuple[Neighbour, Shared]) -> bool:
    """Whether two alarms are of one cloud.  Units without a position are one place, too: better one
    announcement for all in a tunnel than one for each."""
    (here, first), (there, second) = one, other
    as_what = CLOUD.get(first.code)
    if as_what is None or as_what != CLOUD.get(second.code) or first.quantity != second.quantity:
        return False
    if here.place is None or there.place is None:
        return here.place is there.place
    return distance_m(here.place, there.place) <= GROUP_M
