"""What a center does not get, told to it, so that a filter never looks like a loss.

Told once, in batches, on `skipped`; where that is lost too, the center sees a gap, asks for it by
`resend`, and is told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from agent.delivery.cursor import Cursor
from agent.delivery.ranges import Ranges
from agent.delivery.records import Shelf
from agent.delivery.rows import Row
from agent.messages import Class, Rolled, Rollup, Skipped
from agent.mqtt import NO_MATCHING_SUBSCRIBERS, Connection
from agent.settings.tables import UnitConfig

TELL_S = 1.0
"""Ranges are gathered for so long; a receiver waits longer before it asks."""
RETRY_S = (2.0, 60.0)
RANGES_MAX = 10_000
"""Of one epoch and reason that wait; what comes then is told when it is asked for."""
PIECE = 500
"""Ranges in one message."""

_encode = msgspec.json.Encoder().encode


class _Body(msgspec.Struct):
    quantity: str


class Filter:
    """What one center wants."""

    def __init__(self, classes: Sequence[Class], quantities: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.all_classes = set(classes) == set(Class)
        self._quantities = frozenset(quantities)
        self._decode = msgspec.json.Decoder(_Body).decode

    def reason(self, row: Row) -> str:
        """Why it is left out: `class`, `quantity`; empty: it goes out."""
        if row.klass not in self.classes:
            return "class"
        if row.klass != Class.READINGS or not self._quantities:
            return ""
        try:
            return "" if self._decode(row.body).quantity in self._quantities else "quantity"
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Damaged on the disk: let the center see it.
            return ""

    def rolled(self, rollup: Rollup) -> tuple[Rolled, ...]:
        """What of a roll-up this center wants."""
        if Class.READINGS not in self.classes:
            return ()
        wanted = self._quantities
        return tuple(one for one in rollup.rolled if not wanted or one.quantity in wanted)


class Skips:
    """What one center has yet to be told; `open` and `close` with each connection."""

    def __init__(self, unit: UnitConfig, root: str, cursor: Cursor, shelf: Shelf) -> None:
        self._unit = unit
        self._cursor = cursor
        self._shelf = shelf
        self._topic = f"{root}/skipped"
        self._waiting: dict[tuple[str, str], Ranges] = {}
        """By the epoch's name and the reason."""
        self._said: dict[int, Ranges] = {}
        """By epoch's id: what will come later, and has been said to."""
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._retry_s = RETRY_S[0]

    def open(self, connection: Connection) -> None:
        self._connection = connection
        self._retry_s = RETRY_S[0]
        self._tell_in(0.0)

    def close(self) -> None:
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave_out(self, epoch: int, first: int, last: int, reason: str) -> None:
        """These numbers, of an epoch by its id, wait no more."""
        self._cursor.skip(epoch, first, last)
        self.say(epoch, first, last, reason)

    def say(self, epoch: int, first: int, last: int, reason: str) -> None:
        """As `add`, of an epoch by its id, if that is held."""
        if held := self._shelf.epochs.get(epoch):
            self.add(held.name, first, last, reason)

    def say_once(self, epoch: int, first: int, last: int, reason: str) -> None:
        """These numbers do not come now; what has been said of them already is not repeated."""
        said = self._said.setdefault(epoch, Ranges())
        for a, b in list(said.holes(first, last)):
            said.add(a, b)
            self.say(epoch, a, b, reason)

    def unsay(self, epoch: int, first: int, last: int) -> None:
        """The center has asked for them: it may have to be told anew."""
        if epoch in self._said:
            self._said[epoch].remove(first, last)

    def add(self, epoch: str, first: int, last: int, reason: str) -> None:
        """These numbers do not go to this center."""
        ranges = self._waiting.setdefault((epoch, reason), Ranges())
        if len(ranges) < RANGES_MAX or first - 1 in ranges:
            ranges.add(first, last)
        self._tell_in(TELL_S)

    def _tell_in(self, delay_s: float) -> None:
        if self._connection is not None and self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tell)

    def _tell(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for (epoch, reason), ranges in waiting.items():
            pairs = list(ranges)
            for start in range(0, len(pairs), PIECE):
                self._publish(epoch, reason, pairs[start : start + PIECE])

    def _publish(self, epoch: str, reason: str, pairs: list[tuple[int, int]]) -> None:
        connection = self._connection
        assert connection is not None
        message = Skipped(
            unit=self._unit.id, mark=self._unit.mark, epoch=epoch, reason=reason,
            ranges=tuple(pairs),
        )  # fmt: skip

        def answered(done: asyncio.Future[int]) -> None:
            taken = done.exception() is None and done.result() < NO_MATCHING_SUBSCRIBERS
            if not taken:
                self._again(epoch, reason, pairs)
            elif connection is self._connection:
                self._retry_s = RETRY_S[0]

        connection.publish(self._topic, _encode(message)).add_done_callback(answered)

    def _again(self, epoch: str, reason: str, pairs: list[tuple[int, int]]) -> None:
        """The link broke, or nobody has subscribed to it."""
        ranges = self._waiting.setdefault((epoch, reason), Ranges())
        for first, last in pairs:
            if len(ranges) < RANGES_MAX:
                ranges.add(first, last)
        if self._timer is None:
            self._tell_in(self._retry_s)
            self._retry_s = min(RETRY_S[1], self._retry_s * 2)
