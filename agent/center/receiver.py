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
from agent.center.incoming import CLASSES, Record, check_epoch, check_sender, decode, read_batch
from agent.delivery.ranges import Ranges
from agent.messages import Batch, Class, Skipped, Status, epoch_order

__all__ = ["Counts", "Gap", "Receiver", "Record"]

RELAY = "relay"
"""The reason of what only the vehicle does not hold any more."""
MAX_UNITS = 10_000
MAX_EPOCHS = 64
"""Of one unit; the oldest is let go when there are more."""
MAX_RANGES = 4096
"""Of one epoch; the lowest hole is given up (it stays counted as missing) when there are more."""


class Gap(msgspec.Struct, frozen=True, order=True):
    """Numbers of one epoch that have not arrived, both ends included."""

    epoch: str
    first: int
    last: int

    @property
    def args(self) -> dict[str, object]:
        """Of the verb `resend`, which asks for them."""
        return {"epoch": self.epoch, "from": self.first, "to": self.last}


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
            self._hear(topic, decode(payload, Status, where), where)
            return []
        if topic.path == ("skipped",):
            self._void(topic, decode(payload, Skipped, where), where)
            return []
        if len(topic.path) != 1 or topic.path[0] not in CLASSES:
            return []
        return self._take(*read_batch(topic, payload))

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
        check_sender(topic, skipped.unit, skipped.mark, where)
        check_epoch(skipped.epoch, where)
        for first, last in skipped.ranges:
            if not 1 <= first <= last:
                raise ValueError(f"{where}: expected 1 <= first <= last, read {first} and {last}")
        epoch = self._epoch(self._unit(skipped.unit), skipped.epoch)
        for first, last in skipped.ranges:
            if epoch is not None and skipped.reason == RELAY:
                # The vehicle has let go of them: the unit itself is to be asked.
                epoch.hear_of(last, closed=False)
            elif epoch is not None:
                epoch.void(first, last)

    def _hear(self, topic: topics.Topic, status: Status, where: str) -> None:
        check_sender(topic, status.unit, status.mark, where)
        for known in status.epochs:
            check_epoch(known.epoch, where)
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
