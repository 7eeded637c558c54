"""What goes out of one unit's records to one center, and in which order.

Three lanes share a channel.  Urgent: alarms and acks, new or from the backlog, before all else.
Live: each record as it is committed.  History (`history.py`): what the broker has not acknowledged,
at a bounded rate, and with half of what may be on its way, so that a catch-up never delays what
happens now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque

import msgspec

from agent.delivery.batches import Batch, Batches
from agent.delivery.channel import FAILURE, OVERHEAD_BYTES, Answer, Channel, Lane
from agent.delivery.cursor import Cursor
from agent.delivery.history import History
from agent.delivery.pauses import Pauses
from agent.delivery.records import Records
from agent.delivery.rows import Row
from agent.delivery.skips import Filter, Skips
from agent.delivery.thinning import Thinning
from agent.messages import Class, Event, Rollup
from agent.outbox import URGENT
from agent.settings.tables import UnitConfig, UplinkConfig

log = logging.getLogger(__name__)

QUEUE_MAX = 2000
BATCH = 100
RECORD_BYTES = 100
"""About what a record has beside its body."""
PIECES_MAX = 5000
"""Marks of one epoch in so many pieces are not broken up further by what a center leaves out."""


class Lanes:
    """One per unit and uplink; `open` and `close` with each connection, after the channel's."""

    def __init__(
        self,
        records: Records,
        cursor: Cursor,
        unit: UnitConfig,
        root: str,
        config: UplinkConfig,
        channel: Channel,
    ) -> None:
        """`unit` and `root`: in whose name, and under which topic; another unit's where its records
        are relayed.  `channel`: shared by all that goes over the same connection."""
        self.refused = 0
        """Publishes that the broker refused (not authorised, quota)."""
        self._records = records
        self._cursor = cursor
        self._channel = channel
        self._root = root
        self._name = config.name
        self._filter = Filter(config.classes, config.quantities)
        self._batches = Batches(records, unit)
        self._skips = Skips(unit, root, cursor, records.store)
        self._pauses = Pauses()
        self._thinning = Thinning(records, unit, root, channel, self._skips)
        self._urgent: deque[Row] = deque()
        self._live: deque[Row] = deque()
        self._history = History(
            records, cursor, channel, self._skips, self._filter, self._pauses, config,
            send=lambda rows: self._send(rows, late=True), rush=self._rush,
            hand_newest=self._hand_newest, gathered=self._thinning.gathered,
        )  # fmt: skip
        self.settled = self._history.changed
        """Set when something has been acknowledged."""
        self._fresh = False
        """Something is in a lane that the channel has not been told of."""
        records.listeners.append(self._handed)
        records.store.told.append(self._all_handed)
        channel.join(self)

    def open(self) -> None:
        """The channel has a connection."""
        assert self._channel.connection is not None
        self._pauses.clear()
        self._history.open()
        self._skips.open(self._channel.connection)

    def close(self) -> None:
        """What was on its way is unsettled again."""
        self._urgent.clear()
        self._live.clear()
        self._thinning.close()
        self._skips.close()
        self._cursor.release_all()

    def end(self) -> None:
        """Nothing of these records goes this way any more."""
        self.close()
        self._records.listeners.remove(self._handed)
        self._records.store.told.remove(self._all_handed)
        self._channel.leave(self)

    async def catch_up(self) -> None:
        """Until cancelled: the history lane."""
        await self._history.catch_up()

    def resend(self, epoch: int, first: int, last: int) -> int:
        """Send again what is held of these numbers, and tell what is not; how many are held."""
        count = self._cursor.again(epoch, first, last)
        self._history.asked(epoch, first, last)
        return count

    def not_held(self, epoch: str, first: int, last: int) -> None:
        """Asked for numbers of an epoch that is not in the store: one of the past is gone."""
        with contextlib.suppress(ValueError):
            if self._records.is_past(epoch):
                self._skips.add(epoch, first, last, "retention")

    def say_skipped(self, epoch: str, first: int, last: int, reason: str) -> None:
        """Tell that these numbers do not come this way."""
        self._skips.add(epoch, first, last, reason)

    def pass_rollup(self, rollup: Rollup) -> None:
        """The unit's own: it thinned its readings on their way here.  Lost where nobody is
        connected, as any roll-up; its readings come later."""
        rolled = self._filter.rolled(rollup)
        if rolled and self._channel.connection is not None:
            self._thinning.publish(msgspec.structs.replace(rollup, rolled=rolled))

    def look_for_absent(self) -> None:
        """Retention has deleted: what it took before this center got it is told."""
        self._history.look_for_absent()

    def look_again(self) -> None:
        """The store could be opened only now, and may hold what waits."""
        self._cursor.learn()
        self._history.want_all()

    # -- urgent and live ---------------------------------------------------------------------

    def _handed(self, row: Row) -> None:
        """A record is safe (or the disk stalls): it goes with the others of this moment, if there
        is a way."""
        if self._cursor.is_claimed(row):
            return
        if reason := self._filter.reason(row):
            self._leave_out(row, reason)
            return
        if self._channel.connection is None:
            return
        if row.klass in self._pauses and row.klass not in URGENT:
            return
        if row.klass == Class.READINGS and self._is_thinned(row):
            return
        self._enqueue(row)
        self._fresh = True

    def _all_handed(self) -> None:
        if self._fresh:
            self._fresh = False
            self._channel.pump()

    def _is_thinned(self, row: Row) -> bool:
        """Goes into a roll-up; the row itself waits, and history brings it when there is room."""
        self._channel.saw_reading()
        period_s = self._channel.period_s
        if period_s and (row in self._thinning or self._thinning.take(row, period_s)):
            self._history.want(Class.READINGS)
            return True
        return False

    def detail_changed(self) -> None:
        """What waits of the readings goes the new way, in the order of its numbers."""
        self._thinning.end()
        if not self._channel.period_s:
            return
        rows = list(self._live)
        self._live.clear()
        for row in rows:
            if row.klass != Class.READINGS or not self._is_thinned(row):
                self._live.append(row)
            else:
                self._cursor.release(row.epoch, [row.seq])

    def end_periods(self) -> None:
        """Roll-ups that are not complete go out as they are."""
        self._thinning.end()

    def tell_thinned(self) -> None:
        """The center is about to hear of a greater number: roll-ups that are not over yet stand
        for what lies before it."""
        self._thinning.tell()

    def _leave_out(self, row: Row, reason: str) -> None:
        """Told at once where the marks stay in few pieces; else history will come by."""
        if (
            self._channel.connection is not None
            and self._cursor.pieces(row.epoch) < PIECES_MAX
        ):  # fmt: skip
            self._skips.leave_out(row.epoch, row.seq, row.seq, reason)
            self.settled.set()
        elif self._records.committed(row):
            self._cursor.count_unwanted(row.epoch, 1)
            self.settled.set()
            if reason == "quantity":
                self._history.want(Class.READINGS)
            self._history.look_for_absent()

    def _enqueue(self, row: Row) -> None:
        lane = self._urgent if row.klass in URGENT else self._live
        if len(lane) >= QUEUE_MAX:
            # A slow link: it is on disk, and the history lane will bring it.
            old = lane.popleft()
            self._cursor.release(old.epoch, [old.seq])
            self._history.want(Class(old.klass))
        lane.append(row)
        self._cursor.claim([row])

    def _rush(self, rows: list[Row]) -> bool:
        for row in rows:
            self._enqueue(row)
        if rows:
            self._channel.pump()
        return len(self._urgent) < BATCH

    def _hand_newest(self) -> None:
        for row in sorted(self._records.newest.values(), key=lambda row: row.seq):
            if self._records.committed(row) and not self._filter.reason(row):
                self._handed(row)
        self._all_handed()

    # -- what the channel asks for -----------------------------------------------------------

    @property
    def waits(self) -> bool:
        return bool(self._urgent or self._live or self._thinning.waits)

    @property
    def series(self) -> int:
        return len(self._records.newest)

    def wake(self) -> None:
        self._history.wake()

    def send_urgent(self) -> bool:
        return bool(self._urgent) and self._send_lane(self._urgent, self._most_bytes())

    def send_live(self, room: int) -> bool:
        return self._thinning.send() or (bool(self._live) and self._send_lane(self._live, room))

    def _send_lane(self, lane: deque[Row], room: int) -> bool:
        """One message of the first rows of a lane, of about `room` bytes; at least one row."""
        self._thinning.tell()
        rows = [lane.popleft()]
        size = len(rows[0].body) + RECORD_BYTES
        while lane and len(rows) < BATCH and _goes_with(lane[0], rows[0]):
            size += len(lane[0].body) + RECORD_BYTES
            if size > room:
                break
            rows.append(lane.popleft())
        self._send(rows, late=False)
        return True

    # -- out and back ------------------------------------------------------------------------

    def _most_bytes(self) -> int:
        assert self._channel.connection is not None
        return self._channel.connection.maximum_packet - len(self._root) - OVERHEAD_BYTES

    def _send(self, rows: list[Row], *, late: bool) -> int:
        """Rows of one class and one epoch, claimed already: in one message, or in several where
        they are large; how many bytes they have become."""
        if self._channel.connection is None:
            return 0
        size, how = 0, {"late": late, "compress": self._channel.compress}
        for batch in self._batches.make(rows, most=self._most_bytes(), **how):
            if batch.payload:
                self._publish(batch, Lane.HISTORY if late else Lane.LIVE)
                size += len(batch.payload)
            else:
                self._give_up(batch)
        return size

    def _give_up(self, batch: Batch) -> None:
        """This broker takes it neither now nor later: do not try for ever."""
        (row,) = batch.rows
        detail = f"seq {row.seq} has {batch.size} bytes, and the broker takes at most {batch.room}"
        log.error("uplink %s: %s: %s", self._name, row.klass, detail)
        self._skips.leave_out(row.epoch, row.seq, row.seq, "size")
        data = {
            "epoch": self._records.store.epochs[row.epoch].name,
            "seq": row.seq,
            "class": row.klass,
        }
        self._records.tell(Event(event="not_sent", source=self._name, detail=detail, data=data))

    def _publish(self, batch: Batch, lane: Lane) -> None:
        klass, epoch = batch.rows[0].klass, batch.rows[0].epoch
        seqs = [row.seq for row in batch.rows]
        self._channel.publish(
            f"{self._root}/{klass}", batch.payload,
            lambda answer: self._answered(klass, epoch, seqs, answer),
            lane=Lane.URGENT if klass in URGENT else lane, records=len(seqs),
        )  # fmt: skip

    def _answered(self, klass: str, epoch: int, seqs: list[int], answer: Answer) -> None:
        if answer.taken:
            self._pauses.taken(klass)
            self._cursor.settle(epoch, seqs)
            self.settled.set()
        else:
            self._not_taken(Class(klass), epoch, seqs, answer)

    def _not_taken(self, klass: Class, epoch: int, seqs: list[int], answer: Answer) -> None:
        """Nobody was there to hear it, or the broker refused: it stays, and is tried later.  Only
        its class waits, for a center may take some classes and not others."""
        first = self._pauses.begin(klass, asyncio.get_running_loop().time())
        if answer.code >= FAILURE:
            self.refused += 1
            if first:
                log.error("uplink %s: the broker refused %s: %s", self._name, klass, answer.why)
        self._cursor.release(epoch, seqs)
        for lane in (self._urgent, self._live):
            rows = list(lane)
            lane.clear()
            lane.extend(row for row in rows if row.klass != klass)
            for row in rows:
                if row.klass == klass:
                    self._cursor.release(row.epoch, [row.seq])
        self._history.want(klass)


def _goes_with(row: Row, first: Row) -> bool:
    return row.klass == first.klass and row.epoch == first.epoch
