"""The far side of the wire: which records have arrived, which are repeats, which are missing.

Pure: no loop, no file, no clock.  Used by whoever takes a unit's records from a broker (the
console, the drill's summary).  A record is known by (unit, epoch, seq): its first copy counts,
whichever way and in whatever order it comes.  Numbers run from 1 in each epoch without holes, so
every number below the highest known one that has not come is missing, and the verb `resend` asks
for it; but for those that the unit itself says will not come: on `skipped`, or by an event
`retention` that names no class.

Memory is bounded: numbers are kept as ranges, and there are ceilings on units, epochs and ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from agent import topics
from agent.delivery import compression
from agent.delivery.ranges import Ranges
from agent.messages import (
    Ack,
    Alarm,
    Batch,
    Class,
    Clock,
    Envelope,
    Event,
    Mark,
    Reading,
    Skipped,
    Status,
    epoch_order,
)

MAX_UNITS = 10_000
MAX_EPOCHS = 64
"""Of one unit; the oldest is let go when there are more."""
MAX_RANGES = 4096
"""Of one epoch; the lowest hole is given up (it stays counted as missing) when there are more."""

_BODIES: dict[Class, Any] = {
    Class.READINGS: Reading,
    Class.ALARMS: Alarm,
    Class.EVENTS: Event,
    Class.MEDIA: dict[str, Any],
    Class.ACK: Ack,
}
_ENVELOPE_KEYS = Envelope.__struct_fields__


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record that had not been seen before."""

    unit: str
    epoch: str
    seq: int
    prev: int
    t: int
    """UTC ms."""
    clock: Clock
    late: bool
    mark: Mark
    klass: Class
    body: dict[str, Any]
    """Checked against the type of its class, and left as it came."""


class Gap(msgspec.Struct, frozen=True, order=True):
    """Numbers of one epoch that have not arrived, both ends included."""

    epoch: str
    first: int
    last: int


class Counts(msgspec.Struct, frozen=True):
    received: int
    repeated: int
    missing: int


class _Gone(msgspec.Struct):
    """`data` of an event `retention`."""

    epoch: str
    first: int
    last: int
    classes: tuple[str, ...] = ()


class _Epoch:
    """What is known of one epoch of one unit."""

    def __init__(self, floor: int | None) -> None:
        self.numbers = Ranges()
        self.known = Ranges()
        """Those, and the numbers that will not come."""
        self.highest = 0
        self.floor = floor
        """The first number that is missed if it does not come; None while that is open."""
        self.committed = 0
        self.closed = False
        self.given_up = 0

    def take(self, seq: int) -> bool:
        """Mark a number as arrived; False if it had been."""
        if self.floor is None:
            self.floor = seq
        if seq in self.numbers:
            return False
        self.numbers.add(seq, seq)
        self._know(seq, seq)
        return True

    def void(self, first: int, last: int) -> None:
        """The unit says that these do not come."""
        self._know(first, last)

    def _know(self, first: int, last: int) -> None:
        self.known.add(first, last)
        self.highest = max(self.highest, last)
        while len(self.known) > MAX_RANGES:
            self.given_up += _close_lowest_hole(self.known, self.floor or 0)
        while len(self.numbers) > MAX_RANGES:
            _close_lowest_hole(self.numbers, 0)

    def hear_of(self, last: int, closed: bool) -> None:
        """A status says which number was committed last."""
        self.committed = max(self.committed, last)
        self.closed = self.closed or closed

    def holes(self) -> Iterator[tuple[int, int]]:
        """Numbers that ought to have arrived and have not."""
        if self.floor is None:
            return iter(())
        upto = self.committed if self.closed else max(self.committed, self.highest)
        return self.known.holes(self.floor, upto)

    def missing(self) -> int:
        return self.given_up + sum(last - first + 1 for first, last in self.holes())


def _close_lowest_hole(ranges: Ranges, floor: int) -> int:
    """How many numbers from `floor` on that were."""
    pairs = iter(ranges)
    _, before = next(pairs)
    after, _ = next(pairs)
    ranges.add(before + 1, after - 1)
    return max(0, after - max(before + 1, floor))


class _Unit:
    """One unit's epochs and its share of the counts."""

    def __init__(self) -> None:
        self.epochs: dict[str, _Epoch] = {}
        self.received = 0
        self.repeated = 0
        self.let_go = -1
        """Epochs up to this order have been let go; what comes of them is taken for a repeat."""
        self.given_up = 0


class Receiver:
    """Takes messages in any order and gives each record once.

    `since` (UTC ms): epochs begun before it were joined on the way, so what they gave before the
    first record that is seen here is not missed.  With 0 every number from 1 on is expected.
    """

    def __init__(self, since: int = 0) -> None:
        self._since = since
        self._units: dict[str, _Unit] = {}

    def feed(self, topic: topics.Topic, payload: bytes) -> list[Record]:
        """The records of a message that had not been seen before.

        A payload may be compressed (zstd).  Topics without records give none; a `status` tells
        which numbers to expect.  ValueError says what is wrong with a payload; nothing of such a
        message is counted."""
        where = "/".join((topic.unit, *topic.path))
        if topic.path == ("status",):
            self._hear(topic, _decode(payload, Status, where), where)
            return []
        if topic.path == ("skipped",):
            self._void(topic, _decode(payload, Skipped, where), where)
            return []
        if len(topic.path) != 1 or topic.path[0] not in _CLASSES:
            return []
        klass = Class(topic.path[0])
        batch = _decode(_expand(payload, where), Batch, where)
        _check_sender(topic, batch.unit, batch.mark, where)
        _check_epoch(batch.epoch, where)
        read = [_read_record(raw, batch, klass, where) for raw in batch.records]
        return self._take(batch, read)

    def gaps(self, unit: str) -> list[Gap]:
        """What is missing of a unit and worth asking for, oldest epoch first."""
        known = self._units.get(unit)
        if known is None:
            return []
        return [
            Gap(name, first, last)
            for name in sorted(known.epochs, key=epoch_order)
            for first, last in known.epochs[name].holes()
        ]

    def counts(self, unit: str) -> Counts:
        known = self._units.get(unit)
        if known is None:
            return Counts(0, 0, 0)
        missing = known.given_up + sum(epoch.missing() for epoch in known.epochs.values())
        return Counts(known.received, known.repeated, missing)

    def units(self) -> list[str]:
        return sorted(self._units)

    def _take(self, batch: Batch, read: list[Record]) -> list[Record]:
        unit = self._unit(batch.unit)
        epoch = self._epoch(unit, batch.epoch)
        if epoch is None:
            unit.repeated += len(read)
            return []
        fresh = [record for record in read if epoch.take(record.seq)]
        unit.received += len(fresh)
        unit.repeated += len(read) - len(fresh)
        for record in fresh:
            if record.klass is Class.EVENTS and record.body.get("event") == "retention":
                self._retention(unit, record.body.get("data"))
        return fresh

    def _retention(self, unit: _Unit, data: Any) -> None:
        """All of a range is gone; where only a class of it is, `skipped` says which numbers."""
        try:
            gone = msgspec.convert(data, _Gone)
            epoch_order(gone.epoch)
        except (msgspec.ValidationError, ValueError):
            # Somebody else's event of this name.
            return
        epoch = self._epoch(unit, gone.epoch)
        if epoch is not None and not gone.classes and 1 <= gone.first <= gone.last:
            epoch.void(gone.first, gone.last)

    def _void(self, topic: topics.Topic, skipped: Skipped, where: str) -> None:
        _check_sender(topic, skipped.unit, skipped.mark, where)
        _check_epoch(skipped.epoch, where)
        for first, last in skipped.ranges:
            if not 1 <= first <= last:
                raise ValueError(f"{where}: expected 1 <= first <= last, read {first} and {last}")
        epoch = self._epoch(self._unit(skipped.unit), skipped.epoch)
        for first, last in skipped.ranges:
            if epoch is not None:
                epoch.void(first, last)

    def _hear(self, topic: topics.Topic, status: Status, where: str) -> None:
        _check_sender(topic, status.unit, status.mark, where)
        for known in status.epochs:
            _check_epoch(known.epoch, where)
        unit = self._unit(status.unit)
        for known in status.epochs:
            epoch = self._epoch(unit, known.epoch)
            if epoch is not None:
                closed = known.epoch != status.epoch or status.state == "stopped"
                epoch.hear_of(known.last, closed)

    def _unit(self, name: str) -> _Unit:
        unit = self._units.get(name)
        if unit is None:
            if len(self._units) >= MAX_UNITS:
                raise ValueError(f"{name}: a receiver holds at most {MAX_UNITS} units")
            unit = self._units[name] = _Unit()
        return unit

    def _epoch(self, unit: _Unit, name: str) -> _Epoch | None:
        """None: the epoch is older than those that are kept."""
        epoch = unit.epochs.get(name)
        if epoch is not None:
            return epoch
        order = epoch_order(name)
        if order <= unit.let_go:
            return None
        epoch = unit.epochs[name] = _Epoch(floor=1 if order >= self._since else None)
        if len(unit.epochs) > MAX_EPOCHS:
            oldest = min(unit.epochs, key=epoch_order)
            gone = unit.epochs.pop(oldest)
            unit.let_go = epoch_order(oldest)
            unit.given_up += gone.missing()
        return unit.epochs.get(name)


_CLASSES = frozenset(klass.value for klass in Class)


def _decode(data: bytes | msgspec.Raw, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        kind_name = getattr(kind, "__name__", "object")
        shown = bytes(data)[:60].decode(errors="replace")
        raise ValueError(f"{where}: expected a {kind_name}, but {error}; read {shown!r}") from error


def _expand(payload: bytes, where: str) -> bytes:
    try:
        return compression.expand(payload)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _check_sender(topic: topics.Topic, unit: str, mark: Mark, where: str) -> None:
    if unit != topic.unit:
        raise ValueError(f"{where}: the topic names unit {topic.unit!r}, but the payload {unit!r}")
    if (mark == Mark.EXERCISE) != topic.exercise:
        root = topics.ROOT_EXERCISE if topic.exercise else topics.ROOT
        raise ValueError(f"{where}: mark {mark.value!r} does not belong under {root}")


def _check_epoch(epoch: str, where: str) -> None:
    try:
        epoch_order(epoch)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _read_record(raw: msgspec.Raw, batch: Batch, klass: Class, where: str) -> Record:
    envelope: Envelope = _decode(raw, Envelope, where)
    if envelope.seq < 1 or not 0 <= envelope.prev < envelope.seq:
        raise ValueError(
            f"{where}: expected 1 <= seq and 0 <= prev < seq, "
            f"but read seq {envelope.seq} and prev {envelope.prev}"
        )
    _decode(raw, _BODIES[klass], f"{where} seq {envelope.seq}")
    body: dict[str, Any] = _decode(raw, dict[str, Any], where)
    for key in _ENVELOPE_KEYS:
        body.pop(key, None)
    return Record(
        unit=batch.unit,
        epoch=batch.epoch,
        seq=envelope.seq,
        prev=envelope.prev,
        t=envelope.t,
        clock=envelope.clock,
        late=envelope.late,
        mark=batch.mark,
        klass=klass,
        body=body,
    )
