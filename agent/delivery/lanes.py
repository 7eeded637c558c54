"""What goes out over one uplink, and in which order.

Three lanes share one window.  Urgent: alarms and acks, new or from the backlog, before all else.
Live: each record as it is committed.  History: what the broker has not acknowledged, read from the
store at a bounded rate, and with half of what may be on its way, so that a catch-up never delays
what happens now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence

import msgspec

from agent.delivery.cursor import Cursor
from agent.delivery.pace import Pace
from agent.delivery.ranges import Ranges
from agent.delivery.rows import Row
from agent.delivery.skips import Filter, Skips
from agent.messages import Class, Event, epoch_order
from agent.mqtt import NO_MATCHING_SUBSCRIBERS, Connection
from agent.outbox import URGENT, Outbox
from agent.settings.tables import UnitConfig, UplinkConfig

log = logging.getLogger(__name__)

WINDOW_MAX = 100
QUEUE_MAX = 2000
BATCH = 100
BATCH_BYTES = 64_000
PIECES_MAX = 5000
"""Marks of one epoch in so many pieces are not broken up further by what a center leaves out."""
LOOK = 20_000
"""Records whose numbers are looked at in one go."""
OVERHEAD_BYTES = 64
"""More than MQTT's own bytes in a PUBLISH, the last level of the topic included."""
NOBODY_RETRY_S = (2.0, 30.0)
FAILURE = 0x80
URGENT_ORDER = (Class.ALARMS, Class.ACK)
ORDER = (Class.EVENTS, Class.MEDIA, Class.READINGS)
"""Of the history lane."""

_encode = msgspec.json.Encoder().encode


class Lanes:
    """One per uplink; `open` and `close` with each connection."""

    def __init__(
        self, outbox: Outbox, cursor: Cursor, unit: UnitConfig, root: str, config: UplinkConfig
    ) -> None:
        self.refused = 0
        """Publishes that the broker refused (not authorised, quota)."""
        self.settled = asyncio.Event()
        """Set when something has been acknowledged."""
        self._outbox = outbox
        self._cursor = cursor
        self._unit = unit
        self._root = root
        self._name = config.name
        self._rate = config.history_records_per_s
        self._filter = Filter(config.classes, config.quantities)
        self._order = [klass for klass in ORDER if klass in config.classes]
        self._skips = Skips(unit, root)
        self._connection: Connection | None = None
        self._window = 0
        self._pace = Pace()
        self._inflight = 0
        """Messages."""
        self._weight = 0
        """Records in them, urgent ones not counted."""
        self._urgent: deque[Row] = deque()
        self._live: deque[Row] = deque()
        self._wake = asyncio.Event()
        self._wanted: set[Class] = set()
        """Classes of which the store may hold something that nobody has claimed."""
        self._absent_due = False
        self._newest_due = False
        self._paused: dict[Class, float] = {}
        """Classes that nobody wants now, and until when."""
        self._pause_s: dict[Class, float] = {}
        outbox.listeners.append(self._handed)

    def open(self, connection: Connection) -> None:
        self._connection = connection
        self._window = max(1, min(WINDOW_MAX, connection.receive_maximum))
        self._pace = Pace()
        self._inflight = self._weight = 0
        self._paused.clear()
        self._pause_s.clear()
        self._want_all()
        self._newest_due = True
        self._skips.open(connection)

    def close(self) -> None:
        """What was on its way is unsettled again."""
        self._connection = None
        self._urgent.clear()
        self._live.clear()
        self._skips.close()
        self._cursor.release_all()

    def resend(self, epoch: int, first: int, last: int) -> int:
        """Send again what is held of these numbers, and tell what is not; how many are held."""
        count = self._cursor.again(epoch, first, last)
        self._want_all()
        return count

    def not_held(self, epoch: str, first: int, last: int) -> None:
        """Asked for numbers of an epoch that is not in the store: one of the past is gone."""
        with contextlib.suppress(ValueError):
            if epoch_order(epoch) < epoch_order(self._outbox.epoch.name):
                self._skips.add(epoch, first, last, "retention")

    def look_for_absent(self) -> None:
        """Retention has deleted: what it took before this center got it is told."""
        self._absent_due = True
        self._wake.set()

    def _want_all(self) -> None:
        self._wanted = set(self._filter.classes)
        self.look_for_absent()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # -- urgent and live ---------------------------------------------------------------------

    def _handed(self, row: Row) -> None:
        """A record is committed (or the disk stalls): send it now, if there is a way."""
        if self._cursor.is_claimed(row):
            return
        if reason := self._filter.reason(row):
            self._leave_out(row, reason)
            return
        if self._connection is None:
            return
        klass = Class(row.klass)
        if klass in self._paused and klass not in URGENT:
            return
        self._enqueue(row)
        self._pump()

    def _leave_out(self, row: Row, reason: str) -> None:
        """Told at once where the marks stay in few pieces; else history will come by."""
        if self._connection is not None and self._cursor.pieces(row.epoch) < PIECES_MAX:
            self._skip(row.epoch, row.seq, row.seq, reason)
            self.settled.set()
        elif row.seq <= self._outbox.epoch.last:
            self._cursor.count_unwanted(row.epoch, 1)
            self.settled.set()
            if reason == "quantity":
                self._wanted.add(Class.READINGS)
            self._absent_due = True

    def _skip(self, epoch: int, first: int, last: int, reason: str) -> None:
        self._cursor.skip(epoch, first, last)
        if held := self._outbox.store.epochs.get(epoch):
            self._skips.add(held.name, first, last, reason)

    def _enqueue(self, row: Row) -> None:
        lane = self._urgent if row.klass in URGENT else self._live
        if len(lane) >= QUEUE_MAX:
            # A slow link: it is on disk, and the history lane will bring it.
            old = lane.popleft()
            self._cursor.release(old.epoch, [old.seq])
            self._wanted.add(Class(old.klass))
        lane.append(row)
        self._cursor.claim([row])

    def _pump(self) -> None:
        while self._connection is not None and self._inflight < self._window:
            if self._urgent:
                lane, most = self._urgent, BATCH
            elif self._live and self._weight < self._pace.limit:
                lane, most = self._live, min(BATCH, self._pace.limit - self._weight)
            else:
                break
            rows = [lane.popleft()]
            while lane and len(rows) < most and _goes_with(lane[0], rows[0]):
                rows.append(lane.popleft())
            self._send(rows, late=False)
        self._wake.set()

    def _send(self, rows: list[Row], *, late: bool) -> None:
        """Rows of one class and one epoch, claimed already: in one message, or in several where
        they are large."""
        epoch = self._outbox.store.epochs.get(rows[0].epoch)
        if self._connection is None or epoch is None:
            # No epoch: retention was faster.
            return
        head = {"unit": self._unit.id, "epoch": epoch.name, "mark": self._unit.mark}
        start = _encode(head)[:-1] + b',"records":['
        room = self._connection.maximum_packet - len(start) - len(self._root) - OVERHEAD_BYTES
        batch: list[Row] = []
        records: list[bytes] = []
        size = 0
        for row in rows:
            record = self._outbox.encode(row, late=late)
            if len(record) > room:
                self._give_up(row, epoch.name, len(record), room)
                continue
            if records and size + len(record) > min(BATCH_BYTES, room):
                self._publish(batch, start + b",".join(records) + b"]}")
                batch, records, size = [], [], 0
            batch.append(row)
            records.append(record)
            size += len(record) + 1
        if batch:
            self._publish(batch, start + b",".join(records) + b"]}")

    def _give_up(self, row: Row, epoch: str, size: int, room: int) -> None:
        """This broker takes it neither now nor later: do not try for ever."""
        detail = f"seq {row.seq} has {size} bytes, and the broker takes at most {room}"
        log.error("uplink %s: %s: %s", self._name, row.klass, detail)
        self._skip(row.epoch, row.seq, row.seq, "size")
        event = Event(
            event="not_sent", source=self._name, detail=detail,
            data={"epoch": epoch, "seq": row.seq, "class": row.klass},
        )  # fmt: skip
        self._outbox.append(Class.EVENTS, event)

    def _publish(self, rows: list[Row], payload: bytes) -> None:
        connection, klass, epoch = self._connection, Class(rows[0].klass), rows[0].epoch
        assert connection is not None
        sent_at, seqs = self._now(), [row.seq for row in rows]
        self._inflight += 1
        if klass not in URGENT:
            self._weight += len(rows)
        connection.publish(f"{self._root}/{klass}", payload).add_done_callback(
            lambda done: self._acknowledged(connection, klass, epoch, seqs, sent_at, done)
        )

    # -- what comes back ---------------------------------------------------------------------

    def _acknowledged(
        self, connection: Connection, klass: Class, epoch: int, seqs: list[int], sent_at: float,
        done: asyncio.Future[int],
    ) -> None:  # fmt: skip
        if connection is not self._connection or connection.lost.done():
            # `close` has released it, or will.
            return
        now = self._now()
        self._inflight -= 1
        if klass not in URGENT:
            self._pace.acknowledged(len(seqs), self._weight, sent_at, now)
            self._weight -= len(seqs)
        error = done.exception()
        code = done.result() if error is None else FAILURE
        if code == NO_MATCHING_SUBSCRIBERS or code >= FAILURE:
            self._not_taken(klass, epoch, seqs, error or f"0x{code:02x}", code)
        else:
            self._pause_s.pop(klass, None)
            self._cursor.settle(epoch, seqs)
            self.settled.set()
        self._pump()

    def _not_taken(self, klass: Class, epoch: int, seqs: list[int], why: object, code: int) -> None:
        """Nobody was there to hear it, or the broker refused: it stays, and is tried later.  Only
        its class waits, for a center may take some classes and not others."""
        if code >= FAILURE:
            self.refused += 1
            if klass not in self._pause_s:
                log.error("uplink %s: the broker refused %s: %s", self._name, klass, why)
        self._cursor.release(epoch, seqs)
        for lane in (self._urgent, self._live):
            rows = list(lane)
            lane.clear()
            lane.extend(row for row in rows if row.klass != klass)
            for row in rows:
                if row.klass == klass:
                    self._cursor.release(row.epoch, [row.seq])
        self._wanted.add(klass)
        if klass not in self._paused:
            pause_s = self._pause_s.get(klass, NOBODY_RETRY_S[0])
            self._paused[klass] = self._now() + pause_s
            self._pause_s[klass] = min(NOBODY_RETRY_S[1], pause_s * 2)

    # -- history -----------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Until cancelled: bring what the store holds and the broker has not acknowledged."""
        not_before = 0.0
        while True:
            self._wake.clear()
            self._end_pauses()
            if await self._fetch_urgent():
                continue
            if self._newest_due:
                # The newest state under its own numbers; history fills in what lies between.
                self._newest_due = False
                self._hand_newest()
            if self._now() >= not_before and (room := self._room()):
                if classes := [klass for klass in self._order if self._is_due(klass)]:
                    count = await self._fetch(classes, min(BATCH, room))
                    not_before = max(not_before, self._now() - 1.0) + count / self._rate
                    continue
                if self._absent_due and not self._paused:
                    await self._skip_absent()
                    continue
            await self._wait(not_before)

    def _is_due(self, klass: Class) -> bool:
        return klass in self._wanted and klass not in self._paused

    def _room(self) -> int:
        """Records that the history lane may send now."""
        if self._inflight >= max(1, self._window // 2) or self._urgent or self._live:
            return 0
        return max(0, self._pace.limit // 2 - self._weight)

    async def _wait(self, not_before: float) -> None:
        times = [*self._paused.values()]
        if not_before > self._now():
            times.append(not_before)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(times, default=None)):
                await self._wake.wait()

    def _end_pauses(self) -> None:
        now = self._now()
        for klass in [klass for klass, until in self._paused.items() if until <= now]:
            del self._paused[klass]
            self._newest_due = self._newest_due or klass is Class.READINGS

    def _hand_newest(self) -> None:
        committed = self._outbox.epoch.last
        for row in sorted(self._outbox.newest.values(), key=lambda row: row.seq):
            if row.seq <= committed and not self._filter.reason(row):
                self._handed(row)

    async def _fetch_urgent(self) -> bool:
        """Alarms and acks of the backlog join the urgent lane."""
        classes = [klass for klass in URGENT_ORDER if self._is_due(klass)]
        if not classes or len(self._urgent) >= BATCH:
            return False
        for row in await self._unclaimed(classes, BATCH):
            self._enqueue(row)
        self._pump()
        return True

    async def _fetch(self, classes: list[Class], most: int) -> int:
        wanted = []
        for row in await self._unclaimed(classes, most):
            if reason := self._filter.reason(row):
                self._skip(row.epoch, row.seq, row.seq, reason)
                self._cursor.count_unwanted(row.epoch, -1)
                self.settled.set()
            else:
                wanted.append(row)
        if wanted:
            self._cursor.claim(wanted)
            self._send(wanted, late=True)
        return len(wanted)

    async def _unclaimed(self, classes: Sequence[Class], most: int) -> list[Row]:
        """Rows of one class and epoch that wait; none: these classes are not wanted any more."""
        store = self._outbox.store
        self._wanted -= set(classes)
        for epoch, holes in self._cursor.unclaimed():
            if rows := await store.read(epoch, holes, classes, most):
                self._wanted |= set(classes)
                # While the store was asked, the live lane may have taken some.
                return [row for row in rows if not self._cursor.is_claimed(row)]
        return []

    async def _skip_absent(self) -> None:
        """What this center does not want, and what the store does not hold, does not wait."""
        self._absent_due = False
        for epoch, holes in self._cursor.unclaimed():
            if rows := await self._outbox.store.read(epoch, holes, self._filter.classes, 1):
                self._wanted.add(Class(rows[0].klass))
                self._absent_due = True
                return
            for first, last in holes:
                await self._skip_range(epoch, first, last)
        for epoch, first, last in self._cursor.deleted():
            self._skip(epoch, first, last, "retention")
        self._cursor.forget_unwanted()
        self.settled.set()

    async def _skip_range(self, epoch: int, first: int, last: int) -> None:
        """Of first..last nothing is wanted: say of each number why."""
        while first <= last:
            upto, held = last, Ranges()
            if not self._filter.all_classes:
                held, upto = await self._outbox.store.numbers(epoch, first, last, LOOK)
            for a, b in held:
                self._skip(epoch, a, b, "class")
            for a, b in held.holes(first, upto):
                self._skip(epoch, a, b, "retention")
            first = upto + 1


def _goes_with(row: Row, first: Row) -> bool:
    return row.klass == first.klass and row.epoch == first.epoch
