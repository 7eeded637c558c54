"""One relayed unit: its records as the lanes want them, and the shelf in the store that is its own.

A record keeps the numbers, the time and the body that the kit gave it.  What is held is known by
its numbers: the vehicle begins somewhere in an epoch, what a kit sent straight to its center is not
here, and what is not here is no loss of the vehicle's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from agent.clock import UnitClock, boottime_ms
from agent.delivery.cursor import Cursor
from agent.delivery.ranges import Ranges
from agent.delivery.rows import Epoch, Row
from agent.messages import Class, Clock, Envelope, Event, epoch_order, join_record
from agent.outbox import LATE_MS, NEWEST_MAX, URGENT
from agent.relay.intake import Kept
from agent.relay.refusals import RefusedError
from agent.store import Store

EPOCHS_MAX = 500
"""Of one unit: runs of it whose records are held."""
LOOK = 20_000
"""Records whose numbers are looked at in one go."""


class FullError(Exception):
    """The disk does not keep up: the message must be sent again."""


class Kit:
    """Both `Records` and `Shelf` of agent/delivery/records.py."""

    absent = "relay"
    """Why a number that is not here any more does not come: the unit itself may hold it."""

    def __init__(
        self, name: str, store: Store, clock: UnitClock, tell: Callable[[Event], None]
    ) -> None:
        self.name = name
        self.epochs: dict[int, Epoch] = {}
        """By the id in the vehicle's store; under the names that the kit gave them."""
        self.held: dict[int, Ranges] = {}
        """By the same: which numbers are on the disk."""
        self.newest: dict[str, Row] = {}
        self.listeners: list[Callable[[Row], None]] = []
        self.late_listeners: list[Callable[[], None]] = []
        """Each is told that something came which the kit itself calls late: it is history here too,
        and overtakes nothing that happens now."""
        self.tell = tell
        self.heard_ms = 0
        """UTC ms at which the last record came; 0: none in this run."""
        self.skipped: dict[tuple[str, str], Ranges] = {}
        """By epoch and reason: what the kit says that it leaves out."""
        self._store = store
        self._clock = clock
        self.coming: dict[int, Ranges] = {}
        """On their way to it."""
        self._late: dict[int, Ranges] = {}
        """Of those: what is late."""
        self._appended = self._committed = 0
        self._after: deque[tuple[int, Callable[[], None]]] = deque()
        """What is to be called when so many are committed."""
        self._prefix = f"{name} "
        for number, epoch in store.epochs.items():
            if epoch.name.startswith(self._prefix):
                self._know(number, epoch)

    def _know(self, number: int, stored: Epoch) -> None:
        name = stored.name.removeprefix(self._prefix)
        self.epochs[number] = Epoch(
            id=number, name=name, boot=stored.boot, first=stored.first, last=stored.last
        )
        self.held[number] = Ranges()
        self.coming[number] = Ranges()
        self._late[number] = Ranges()

    async def load(self) -> None:
        """Look which numbers are on the disk."""
        for number, epoch in list(self.epochs.items()):
            await self.recount(number, epoch.first, epoch.last)

    async def recount(self, number: int, first: int, last: int) -> Ranges:
        """The same for a range of one epoch; what was held of it and is not any more."""
        before = self.held[number].copy()
        gone = Ranges()
        while first <= last:
            found, upto = await self._store.numbers(number, first, last, LOOK)
            for a, b in found.holes(first, upto):
                # What came while the store was asked is not in `before`.
                for c, d in _inside(before, a, b):
                    gone.add(c, d)
                    self.held[number].remove(c, d)
            for a, b in found:
                self.held[number].add(a, b)
            first = upto + 1
        return gone

    # -- in ------------------------------------------------------------------------------------

    def take(self, epoch_name: str, kept: list[Kept], done: Callable[[], None]) -> int:
        """Keep what is new of a message; `done` when all of it is on the disk.  How many are new.
        RefusedError: this unit has had too many runs.  FullError: the disk does not keep up."""
        number = self._epoch(epoch_name)
        held, coming = self.held[number], self.coming[number]
        fresh = [one for one in kept if not (one.record.seq in held or one.record.seq in coming)]
        for one in fresh:
            self._append(number, one)
        self.heard_ms = self._clock.now_ms()
        # A repeat may be one that waits for the disk itself.
        self._after.append((self._appended, done))
        self._call_after()
        return len(fresh)

    def _epoch(self, name: str) -> int:
        if (number := self.epoch_id(name)) is not None:
            return number
        if len(self.epochs) >= EPOCHS_MAX:
            raise RefusedError(
                "too_many", f"{self.name}: records of {EPOCHS_MAX} runs are held already"
            )
        stored = self._store.begin_epoch(f"{self._prefix}{name}", self._clock.boot)
        self._know(stored.id, stored)
        return stored.id

    def _append(self, number: int, kept: Kept) -> None:
        record = kept.record
        row = Row(
            epoch=number, seq=record.seq, klass=record.klass.value, prev=record.prev, t=record.t,
            clock=record.clock.value, mono=boottime_ms(), body=kept.body,
        )  # fmt: skip
        not_kept = self._store.not_kept
        self._store.append(row, urgent=record.klass in URGENT, done=self._is_committed)
        if self._store.not_kept > not_kept:
            raise FullError(f"{self.name}: too many records wait for the disk")
        self._appended += 1
        self.coming[number].add(row.seq, row.seq)
        if record.late and record.klass not in URGENT:
            self._late[number].add(row.seq, row.seq)
        if record.klass is Class.READINGS:
            self._remember(record.body, row)

    def _remember(self, body: dict[str, Any], row: Row) -> None:
        key = f"{body.get('source')}/{body.get('quantity')}"
        before = self.newest.get(key)
        if before is None and len(self.newest) >= NEWEST_MAX:
            return
        if before is None or (before.t, before.seq) <= (row.t, row.seq):
            self.newest[key] = row

    def _is_committed(self, row: Row) -> None:
        held = self.held[row.epoch]
        for epoch in (self.epochs[row.epoch], self._store.epochs[row.epoch]):
            epoch.first = min(epoch.first, row.seq) if held else row.seq
            epoch.last = max(epoch.last, row.seq)
        held.add(row.seq, row.seq)
        self.coming[row.epoch].remove(row.seq, row.seq)
        self._committed += 1
        if row.seq in (late := self._late[row.epoch]):
            late.remove(row.seq, row.seq)
            for later in list(self.late_listeners):
                later()
        else:
            for listener in list(self.listeners):
                listener(row)
        self._call_after()

    def _call_after(self) -> None:
        while self._after and self._after[0][0] <= self._committed:
            self._after.popleft()[1]()

    def told_skipped(self, epoch: str, reason: str, ranges: Sequence[tuple[int, int]]) -> Ranges:
        """What the kit says that it leaves out: as far as it was not known."""
        known = self.skipped.setdefault((epoch, reason), Ranges())
        fresh = Ranges()
        for first, last in ranges:
            for a, b in known.holes(first, last):
                fresh.add(a, b)
        for a, b in fresh:
            known.add(a, b)
        while len(self.skipped) > EPOCHS_MAX:
            del self.skipped[next(iter(self.skipped))]
        return fresh

    def forget_skipped(self, epoch: str, first: int, last: int) -> None:
        """Somebody asks for these again: what the kit says of them is news."""
        for (name, _), ranges in self.skipped.items():
            if name == epoch:
                ranges.remove(first, last)

    # -- Records -------------------------------------------------------------------------------

    @property
    def store(self) -> Kit:
        return self

    def committed(self, row: Row) -> bool:
        """Only what is committed is handed on."""
        return row.seq in self.held.get(row.epoch, Ranges())

    def is_past(self, epoch: str) -> bool:
        """Never told: what is not here the kit may have."""
        epoch_order(epoch)
        return False

    def encode(self, row: Row, *, late: bool) -> bytes:
        late = late or self._clock.now_ms() - row.t > LATE_MS
        envelope = Envelope(seq=row.seq, prev=row.prev, t=row.t, clock=Clock(row.clock), late=late)
        return join_record(envelope, row.body)

    def epoch_id(self, name: str) -> int | None:
        return next((number for number, epoch in self.epochs.items() if epoch.name == name), None)

    # -- Shelf ---------------------------------------------------------------------------------

    @property
    def told(self) -> list[Callable[[], None]]:
        return self._store.told

    @property
    def marks(self) -> dict[str, dict[int, Ranges]]:
        return {
            uplink: {number: marks[number] for number in self.epochs if number in marks}
            for uplink, marks in self._store.marks.items()
        }

    @property
    def kept(self) -> dict[str, bytes]:
        return {
            name.removeprefix(self._prefix): value
            for name, value in self._store.kept.items() if name.startswith(self._prefix)
        }  # fmt: skip

    def keep(self, name: str, value: bytes) -> None:
        self._store.keep(f"{self._prefix}{name}", value)

    def save_mark(self, uplink: str, epoch: int, settled: Ranges) -> None:
        self._store.save_mark(uplink, epoch, settled)

    async def read(
        self, epoch: int, holes: list[tuple[int, int]], classes: Sequence[Class], limit: int,
        newest: bool = False,
    ) -> list[Row]:  # fmt: skip
        return await self._store.read(epoch, holes, classes, limit, newest)

    async def numbers(self, epoch: int, first: int, last: int, look: int) -> tuple[Ranges, int]:
        return await self._store.numbers(epoch, first, last, look)


class KitCursor(Cursor):
    """Only what is held waits: a number that never came here is nobody's debt."""

    def __init__(self, kit: Kit, uplink: str) -> None:
        self._kit = kit
        super().__init__(kit, uplink)

    def unclaimed(self, *, newest: bool = False) -> list[tuple[int, list[tuple[int, int]]]]:
        waiting = []
        for epoch, held in sorted(self._kit.held.items(), reverse=newest):
            claimed = self._claimed.get(epoch) or Ranges()
            holes = [hole for first, last in held for hole in claimed.holes(first, last)]
            if holes:
                waiting.append((epoch, holes[::-1] if newest else holes))
        return waiting

    def deleted(self) -> list[tuple[int, int, int]]:
        """Retention tells it when it deletes (agent/relay/keeping.py)."""
        return []

    def unsettled(self, epoch: int, ranges: Ranges) -> list[tuple[int, int]]:
        """What of these this uplink's broker has not acknowledged."""
        settled = self.settled.get(epoch) or Ranges()
        return [hole for first, last in ranges for hole in settled.holes(first, last)]

    def pending(self) -> int:
        count = 0
        for epoch, held in self._kit.held.items():
            waiting = sum(last - first + 1 for first, last in self.unsettled(epoch, held))
            count += max(0, waiting - self._unwanted.get(epoch, 0))
        return count


def _inside(ranges: Ranges, first: int, last: int) -> list[tuple[int, int]]:
    """What of first..last is in them."""
    absent = Ranges(ranges.holes(first, last))
    return list(absent.holes(first, last))
