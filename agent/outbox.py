"""The durable queue: numbers, appends, and who is told of a record.

One record, one number: (epoch, seq).  An epoch is new at each start, and its name is greater than
any stored one's, so a clock set back or a lost database repeats none.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from agent.clock import UnitClock, boottime_ms
from agent.delivery.rows import Epoch, Row
from agent.messages import (
    Class,
    Clock,
    Envelope,
    EpochStatus,
    Event,
    epoch_order,
    in_incident,
    join_record,
)
from agent.store import Store

STALL_S = 0.02
"""A record that the disk has not taken by then goes out from memory."""

LATE_MS = 5000
URGENT = frozenset({Class.ALARMS, Class.ACK})
NEWEST_MAX = 1000
KNOWN = frozenset({Clock.GNSS, Clock.NTP})
CORRECTION_MS = 500
"""A guessed clock that was off by less is not worth an event."""

_encode = msgspec.json.Encoder().encode


class _Guess(msgspec.Struct, frozen=True):
    """Numbers of this epoch whose clock nothing had set."""

    first: int
    last: int
    offset: int
    """UTC minus CLOCK_BOOTTIME, ms, as the last of them had it."""


class Outbox:
    """Made once per run, on the loop."""

    absent = "retention"
    """Why a number that is not held does not come."""

    def __init__(self, store: Store, clock: UnitClock) -> None:
        self.store = store
        self.clock = clock
        self.epoch: Epoch = store.begin_epoch(_new_name(store, clock), clock.boot)
        self.newest: dict[str, Row] = {}
        """The last reading of each (source, quantity): the state that a center wants first."""
        self.listeners: list[Callable[[Row], None]] = []
        """Each is told of a record when it is committed.  When the disk stalls it is told before
        that, and then once more."""
        self.taps: list[Callable[[Row], None]] = []
        """Each is told of a record once, when it is made; it must not wait."""
        self._seq = 0
        self._prev: dict[str, int] = {}
        self.incident = ""
        """The id that every record carries from now on; empty: none."""
        self._waiting: dict[int, Row] = {}
        """Appended and not handed to the listeners yet."""
        self._stall: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._guess: _Guess | None = None
        store.on_trouble = self._tell_trouble

    def append(self, klass: Class, body: Any, *, newest: str = "", ack_of: str = "") -> Row:
        """Number a record and hand it to the disk.  `body`: a message, encoded here, once."""
        self._seq += 1
        row = Row(
            epoch=self.epoch.id, seq=self._seq, klass=str(klass), prev=self._prev.get(klass, 0),
            t=self.clock.now_ms(), clock=str(self.clock.source), mono=boottime_ms(),
            body=in_incident(_encode(body), self.incident),
        )  # fmt: skip
        safe = self.store.append(
            row, urgent=klass in URGENT, done=self._committed, ack_of=ack_of
        )  # fmt: skip
        self._prev[klass] = self._seq
        if newest and (newest in self.newest or len(self.newest) < NEWEST_MAX):
            self.newest[newest] = row
        if not safe:
            self._waiting[row.seq] = row
            if self._stall is None:
                self._stall = self._loop.call_later(STALL_S, self._stalled)
        for tap in self.taps:
            tap(row)
        self._watch_clock(row)
        return row

    def _tell_trouble(self, text: str) -> None:
        name = "store_trouble" if text else "store_well"
        self.append(Class.EVENTS, Event(event=name, source="store", detail=text))

    def _watch_clock(self, row: Row) -> None:
        """Once the time is known, say by how much the guessed ones of this epoch were off: what
        has been sent with them cannot be stamped anew."""
        guess, offset = self._guess, row.t - row.mono
        if row.clock not in KNOWN:
            self._guess = _Guess(guess.first if guess else row.seq, row.seq, offset)
        elif guess is not None:
            self._guess = None
            if abs(offset - guess.offset) > CORRECTION_MS:
                data = {
                    "epoch": self.epoch.name, "first": guess.first, "last": guess.last,
                    "offset_ms": offset - guess.offset,
                }  # fmt: skip
                self.append(Class.EVENTS, Event(event="clock_corrected", data=data))

    def _committed(self, row: Row) -> None:
        self.epoch.last = max(self.epoch.last, row.seq)
        self._waiting.pop(row.seq, None)
        # Also where it went out from memory: whoever had no way out then may have one now.
        self._hand_over(row)
        if not self._waiting and self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stalled(self) -> None:
        self._stall = None
        waiting, self._waiting = self._waiting, {}
        for row in waiting.values():
            self._hand_over(row)
        self.store.all_told()

    def _hand_over(self, row: Row) -> None:
        for listener in self.listeners:
            listener(row)

    def encode(self, row: Row, *, late: bool) -> bytes:
        """The record as it goes out, with its time put right where that is possible now."""
        boot = self.store.epochs[row.epoch].boot
        t, clock = self.clock.restamp(row.t, row.clock, row.mono, boot)
        late = late or self.clock.now_ms() - t > LATE_MS
        envelope = Envelope(seq=row.seq, prev=row.prev, t=t, clock=clock, late=late)
        return join_record(envelope, row.body)

    def committed(self, row: Row) -> bool:
        """It is on disk (of this run: all that is of an earlier one is)."""
        return row.epoch != self.epoch.id or row.seq <= self.epoch.last

    def is_past(self, epoch: str) -> bool:
        """It is an earlier run's.  ValueError: it is no epoch."""
        return epoch_order(epoch) < epoch_order(self.epoch.name)

    def tell(self, event: Event) -> None:
        """An event of the unit."""
        self.append(Class.EVENTS, event)

    def epoch_id(self, name: str) -> int | None:
        """The store's id of an epoch's name; None where it is not held."""
        return next((e.id for e in self.store.epochs.values() if e.name == name), None)

    def epochs(self) -> tuple[EpochStatus, ...]:
        """Each held epoch with its last committed number, for the birth."""
        return tuple(
            EpochStatus(epoch=epoch.name, last=epoch.last) for epoch in self.store.epochs.values()
        )

    @property
    def made(self) -> int:
        """Numbers given in this epoch."""
        return self._seq


def _new_name(store: Store, clock: UnitClock) -> str:
    stored = [epoch.name for epoch in store.epochs.values()]
    stored.append(store.kept.get("last_epoch", b"").decode())
    last = 0
    for name in stored:
        with contextlib.suppress(ValueError):
            last = max(last, epoch_order(name))
    name = f"{max(last + 1, clock.now_ms())}-{secrets.token_hex(2)}"
    store.keep("last_epoch", name.encode())
    return name
