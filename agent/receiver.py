"""The far side of the wire: which records have arrived, which are repeats, which are missing.

Pure: no loop, no file, no clock.  Used by whoever takes a unit's records from a broker (the
console, the drill's summary).  A record is known by (unit, epoch, seq): its first copy counts,
whichever way and in whatever order it comes.  Numbers run from 1 in each epoch without holes, so
every number below the highest known one that has not come is missing, and the verb `resend` asks
for it.

Memory is bounded: numbers are kept as ranges, and there are ceilings on units, epochs and ranges.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import msgspec

from agent import topics
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


class _Numbers:
    """A set of positive integers, kept as disjoint ranges in rising order."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._lasts) and self._firsts[at] <= number

    @property
    def highest(self) -> int:
        return self._lasts[-1] if self._lasts else 0

    def add(self, first: int, last: int) -> None:
        """Put in every number from `first` to `last`."""
        low = bisect_left(self._lasts, first - 1)
        high = low
        while high < len(self._firsts) and self._firsts[high] <= last + 1:
            first = min(first, self._firsts[high])
            last = max(last, self._lasts[high])
            high += 1
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def holes(self, start: int, upto: int) -> Iterator[tuple[int, int]]:
        """Ranges from `start` to `upto` that are not in the set."""
        for first, last in zip(self._firsts, self._lasts, strict=True):
            if first > upto:
                break
            if start < first:
                yield start, first - 1
            start = max(start, last + 1)
        if start <= upto:
            yield start, upto

    def trim(self, ranges: int, start: int) -> int:
        """Fill the lowest holes until at most `ranges` ranges are left.

        Returns how many numbers from `start` on that was."""
        filled = 0
        while len(self._firsts) > ranges:
            filled += max(0, self._firsts[1] - max(self._lasts[0] + 1, start))
            self._lasts[0] = self._lasts.pop(1)
            del self._firsts[1]
        return filled


class _Epoch:
    """What is known of one epoch of one unit."""

    def __init__(self, floor: int | None) -> None:
        self.numbers = _Numbers()
        self.floor = floor
        """The first number that is missed if it does not come; None while that is open."""
        self.committed = 0
        self.closed = False
        self.given_up = 0

    @property
    def upto(self) -> int:
        """The highest number that ought to arrive."""
        if self.closed:
            return self.committed
        return max(self.committed, self.numbers.highest)

    def take(self, seq: int) -> bool:
        """Mark a number as arrived; False if it had been."""
        if self.floor is None:
            self.floor = seq
        if seq in self.numbers:
            return False
        self.numbers.add(seq, seq)
        self.given_up += self.numbers.trim(MAX_RANGES, self.floor)
        return True

    def hear_of(self, last: int, closed: bool) -> None:
        """A status says which number was committed last."""
        self.committed = max(self.committed, last)
        self.closed = self.closed or closed


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

        Topics without records give none; a `status` tells which numbers to expect.  ValueError
        says what is wrong with a payload; nothing of such a message is counted."""
        where = "/".join((topic.unit, *topic.path))
        if topic.path == ("status",):
            self._hear(topic, _decode(payload, Status, where), where)
            return []
        if len(topic.path) != 1 or topic.path[0] not in _CLASSES:
            return []
        klass = Class(topic.path[0])
        batch = _decode(payload, Batch, where)
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
            for first, last in _holes(known.epochs[name])
        ]

    def counts(self, unit: str) -> Counts:
        known = self._units.get(unit)
        if known is None:
            return Counts(0, 0, 0)
        missing = known.given_up
        for epoch in known.epochs.values():
            missing += epoch.given_up
            missing += sum(last - first + 1 for first, last in _holes(epoch))
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
        return fresh

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
            unit.given_up += gone.given_up + sum(b - a + 1 for a, b in _holes(gone))
        return unit.epochs.get(name)


_CLASSES = frozenset(klass.value for klass in Class)


def _holes(epoch: _Epoch) -> Iterator[tuple[int, int]]:
    if epoch.floor is None:
        return iter(())
    return epoch.numbers.holes(epoch.floor, epoch.upto)


def _decode(data: bytes | msgspec.Raw, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        kind_name = getattr(kind, "__name__", "object")
        shown = bytes(data)[:60].decode(errors="replace")
        raise ValueError(f"{where}: expected a {kind_name}, but {error}; read {shown!r}") from error


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
