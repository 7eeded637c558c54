"""What the console knows of each unit, from MQTT alone.  Pure: no loop, no file, no clock.

`feed` takes a message and gives what the pages must be told; `snapshot` gives all of it to a page
that comes new.  Everything is bounded, and times are the units' own (UTC ms).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import itemgetter
from typing import Any

import msgspec

from agent import topics
from agent.center.gap_closer import GapCloser
from agent.center.receiver import Gap, Receiver, Record
from agent.delivery import compression
from agent.messages import (
    ActiveAlarms,
    Alarm,
    Class,
    FixBody,
    Link,
    Mark,
    Rolled,
    Rollup,
    Status,
    epoch_order,
)

MAX_UNITS = 500
MAX_QUANTITIES = 256
"""Of one unit: pairs of source and quantity."""
MAX_LINKS = 16
SERIES_MS = 10 * 60 * 1000
MAX_POINTS = 1200
"""Of one series: ten minutes at 2 Hz."""
MAX_TRACK = 1800
"""Positions: half an hour at 1 Hz."""
MAX_EVENTS = 50

Update = dict[str, Any]
"""One message for the pages; its `type` says which (tests/console/test_units.py has each)."""

Point = list[Any]
"""UTC ms, then a value (or None), or a latitude and a longitude."""

_time = itemgetter(0)

_EACH_MINUTE = frozenset({"exposure"})
_UPDATE_OF: dict[str, str] = {
    Class.READINGS: "records",
    Class.ALARMS: "alarm",
    Class.EVENTS: "event",
    Class.MEDIA: "media",
    Class.ACK: "ack",
}


class UnitState(msgspec.Struct, kw_only=True):
    """All of one unit, as a page gets it."""

    status: Status | None = None
    links: dict[str, str] = {}
    latest: dict[str, dict[str, Any]] = {}
    """By `source/quantity`."""
    fix: dict[str, Any] | None = None
    track: list[Point] = []
    """`[t, lat, lon]`, rising in t."""
    series: dict[str, list[Point]] = {}
    """By `source/quantity`: `[t, value]`, rising in t."""
    alarms: tuple[Alarm, ...] = ()
    counts: dict[str, int] = {}
    events: list[dict[str, Any]] = []


class _Unit:
    """A unit's state, and what is needed to keep it."""

    def __init__(self) -> None:
        self.state = UnitState()
        self.closer = GapCloser()
        self.versions: dict[str, tuple[int, int]] = {}
        """The newest (epoch, version) seen of each retained topic."""
        self.counted = True
        """False while the pages have an older count."""

    def is_newer(self, topic: str, epoch: str, version: int) -> bool:
        """False where a newer one is known; a repeat counts as new."""
        order = (epoch_order(epoch), version)
        if order < self.versions.get(topic, order):
            return False
        self.versions[topic] = order
        return True


class Units:
    """Every unit that has been heard of.

    `since`: UTC ms from which the console has listened (see `Receiver`)."""

    def __init__(self, since: int) -> None:
        self._receiver = Receiver(since)
        self._units: dict[str, _Unit] = {}

    def __contains__(self, unit: object) -> bool:
        return unit in self._units

    def state(self, unit: str) -> UnitState:
        """KeyError: never heard of."""
        return self._units[unit].state

    def snapshot(self) -> Update:
        states = {name: self._units[name].state for name in sorted(self._units)}
        return {"type": "snapshot", "units": states}

    def feed(self, topic: topics.Topic, payload: bytes) -> list[Update]:
        """Take a message; what the pages must be told of it.

        Topics that say nothing about a unit give nothing, and so does a retained message that is
        cleared (a drill tidies up).  ValueError says what is wrong."""
        match topic.path:
            case ("status",):
                return self._status(topic, payload)
            case ("link", path):
                return self._link(topic, path, payload)
            case ("alarms", "active"):
                return self._active(topic, payload)
            case ("skipped",):
                self._receiver.feed(topic, payload)
                self._unit(topic.unit).counted = False
                return []
            case ("rollups",):
                return self._rollup(topic, payload)
            case _:
                return self._records(topic, payload)

    def tick(self, now_s: float) -> tuple[list[Update], list[tuple[str, Gap]]]:
        """Once a second: the counts that have changed, and the gaps to ask a unit for.

        `now_s` is any clock that only rises.  A unit without any link that is up is not asked."""
        updates: list[Update] = []
        wanted: list[tuple[str, Gap]] = []
        for name, unit in self._units.items():
            if not unit.counted:
                unit.counted = True
                updates.append({"type": "counts", "unit": name, "counts": self._count(name)})
            links = unit.state.links.values()
            if not links or "up" in links:
                due = unit.closer.due(self._receiver.gaps(name), now_s)
                wanted.extend((name, gap) for gap in due)
        return updates, wanted

    def reconnected(self) -> None:
        """Our own way to the broker was lost and is back: ask for gaps from the beginning."""
        for unit in self._units.values():
            unit.closer = GapCloser()

    def _unit(self, name: str) -> _Unit:
        unit = self._units.get(name)
        if unit is None:
            if len(self._units) >= MAX_UNITS:
                raise ValueError(f"{name}: a console shows at most {MAX_UNITS} units")
            unit = self._units[name] = _Unit()
        return unit

    def _count(self, name: str) -> dict[str, int]:
        counts: dict[str, int] = msgspec.to_builtins(self._receiver.counts(name))
        self._units[name].state.counts = counts
        return counts

    def _status(self, topic: topics.Topic, payload: bytes) -> list[Update]:
        if not payload:
            return []
        self._receiver.feed(topic, payload)
        status = msgspec.json.decode(payload, type=Status)
        unit = self._unit(topic.unit)
        unit.counted = False
        if not unit.is_newer("status", status.epoch, status.version):
            return []
        unit.state.status = status
        return [{"type": "status", "unit": topic.unit, "status": status}]

    def _link(self, topic: topics.Topic, path: str, payload: bytes) -> list[Update]:
        if not payload:
            if topic.unit in self._units:
                self._units[topic.unit].state.links.pop(path, None)
            return []
        link = _decode(payload, Link, topic)
        unit = self._unit(topic.unit)
        links = unit.state.links
        if path not in links and len(links) >= MAX_LINKS:
            raise ValueError(f"{topic.unit}: a console shows at most {MAX_LINKS} links of a unit")
        if not unit.is_newer(f"link/{path}", link.epoch, link.version):
            return []
        if link.state == "up" and links.get(path) != "up":
            unit.closer = GapCloser()
        links[path] = link.state
        update = {
            "type": "link", "unit": topic.unit, "path": path, "state": link.state, "t": link.t
        }  # fmt: skip
        return [update] if "up" in links.values() else [update, *self._behind(topic.unit, link.t)]

    def _behind(self, vehicle: str, t: int) -> list[Update]:
        """A vehicle is not heard any more: nor is anybody through it, until it says so again."""
        lost: list[Update] = []
        for name, unit in self._units.items():
            if unit.state.links.get(vehicle) == "up":
                unit.state.links[vehicle] = "lost"
                lost.append(
                    {"type": "link", "unit": name, "path": vehicle, "state": "lost", "t": t}
                )
        return lost

    def _active(self, topic: topics.Topic, payload: bytes) -> list[Update]:
        if not payload:
            return []
        active = _decode(payload, ActiveAlarms, topic)
        unit = self._unit(topic.unit)
        if not unit.is_newer("alarms/active", active.epoch, active.version):
            return []
        unit.state.alarms = active.alarms
        return [{"type": "active", "unit": topic.unit, "alarms": unit.state.alarms}]

    def _rollup(self, topic: topics.Topic, payload: bytes) -> list[Update]:
        rollup = _decode(payload, Rollup, topic)
        state = self._unit(topic.unit).state
        records = [_last_of(rollup, rolled) for rolled in rollup.rolled if rollup.ranges]
        for record in records:
            _take_reading(state, record)
        shown = [_shown(record) for record in records]
        return [{"type": "records", "unit": topic.unit, "records": shown}]

    def _records(self, topic: topics.Topic, payload: bytes) -> list[Update]:
        if len(topic.path) != 1 or topic.path[0] not in _UPDATE_OF:
            return []
        fresh = self._receiver.feed(topic, payload)
        unit = self._unit(topic.unit)
        unit.counted = False
        if not fresh:
            return []
        klass = fresh[0].klass
        shown = [_shown(record) for record in fresh]
        if klass is Class.READINGS:
            for record in fresh:
                _take_reading(unit.state, record)
            return [{"type": "records", "unit": topic.unit, "records": shown}]
        if klass is Class.EVENTS:
            # What each minute brings stands in `status`; here it would push out what has happened.
            shown = [event for event in shown if event["event"] not in _EACH_MINUTE]
            for event in shown:
                insort(unit.state.events, event, key=itemgetter("t"))
            del unit.state.events[:-MAX_EVENTS]
        kind = _UPDATE_OF[klass]
        return [{"type": kind, "unit": topic.unit, "record": record} for record in shown]


def _last_of(rollup: Rollup, rolled: Rolled) -> Record:
    """As if the last reading had come by itself: it will, later, under its own number."""
    body: dict[str, Any] = {"source": rolled.source, "quantity": rolled.quantity}
    body |= {"unit": rolled.unit, "quality": rolled.quality, "value": rolled.last}
    body |= {"period_s": rollup.period_s}
    if rolled.fix is not None:
        body["fix"] = msgspec.to_builtins(rolled.fix)
    return Record(
        unit=rollup.unit, epoch=rollup.epoch, seq=rollup.ranges[-1][1], prev=0, t=rollup.until,
        clock=rollup.clock, late=False, mark=rollup.mark, klass=Class.READINGS, body=body,
    )  # fmt: skip


def _decode(payload: bytes, kind: Any, topic: topics.Topic) -> Any:
    """A retained message of a unit, checked like a batch."""
    where = "/".join((topic.unit, *topic.path))
    try:
        read = msgspec.json.decode(compression.expand(payload), type=kind)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{where}: expected {kind.__name__}, but {error}") from error
    if read.unit != topic.unit:
        raise ValueError(f"{where}: the payload names unit {read.unit!r}")
    if (read.mark == Mark.EXERCISE) != topic.exercise:
        raise ValueError(f"{where}: mark {read.mark.value!r} does not belong under this root")
    try:
        epoch_order(read.epoch)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return read


def _shown(record: Record) -> dict[str, Any]:
    """A record for the pages: without the frame's bytes, which are for the log."""
    envelope = {name: getattr(record, name) for name in ("t", "late", "clock", "epoch", "seq")}
    return envelope | {name: value for name, value in record.body.items() if name != "raw"}


def _take_reading(state: UnitState, record: Record) -> None:
    shown = _shown(record)
    if shown.get("fix") is not None:
        _take_fix(state, record, shown)
        return
    key = f"{shown['source']}/{shown['quantity']}"
    if key not in state.latest and len(state.latest) >= MAX_QUANTITIES:
        return
    known = state.latest.get(key)
    if known is None or not record.late or record.t >= known["t"]:
        state.latest[key] = shown
    points = state.series.setdefault(key, [])
    _insert(points, [record.t, shown.get("value")], MAX_POINTS, late=record.late)
    old = bisect_left(points, points[-1][0] - SERIES_MS, key=_time)
    del points[:old]


def _take_fix(state: UnitState, record: Record, shown: dict[str, Any]) -> None:
    body = msgspec.convert(shown["fix"], FixBody)
    if state.fix is None or not record.late or record.t >= state.fix["t"]:
        envelope = {name: shown[name] for name in ("t", "late", "clock", "source", "quality")}
        state.fix = envelope | msgspec.to_builtins(body)
    if body.mode >= 2 and body.lat is not None and body.lon is not None:
        _insert(state.track, [record.t, body.lat, body.lon], MAX_TRACK, late=record.late)


def _insert(points: list[Point], point: Point, most: int, *, late: bool) -> None:
    """Put a point in its place in time, and let go of what is too much."""
    if not late and points and point[0] < points[-1][0] - SERIES_MS:
        # The unit's clock was set back; what it said before lies in a future that never comes.
        points.clear()
    insort(points, point, key=_time)
    del points[:-most]
