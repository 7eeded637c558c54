"""What the broker has not acknowledged, read from the store and brought behind all that is live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from agent.delivery.channel import SMALL_BYTES, Channel
from agent.delivery.cursor import Cursor
from agent.delivery.pauses import Pauses
from agent.delivery.ranges import Ranges
from agent.delivery.records import Records
from agent.delivery.rows import Row
from agent.delivery.skips import Filter, Skips
from agent.messages import Class
from agent.settings.tables import UplinkConfig

BATCH = 400
"""Records in one message; BATCH_BYTES may allow fewer."""
FEW = 4
"""History goes in messages of at least a part so small of what it may have on its way: many small
ones would compress badly, one large one would hold up what is live."""
NEAR_S = 0.01
"""Where answers come so soon, messages as large as may be hold up nothing, and cost the least."""
LOOK = 20_000
"""Records whose numbers are looked at in one go."""
HELD_BACK_S = 2.0
RECORD_BYTES = 200
"""Of the first record, before any has been seen."""
URGENT_ORDER = (Class.ALARMS, Class.ACK)
ORDER = (Class.EVENTS, Class.MEDIA, Class.READINGS)


class History:
    """One stream of records to one center."""

    def __init__(
        self,
        records: Records,
        cursor: Cursor,
        channel: Channel,
        skips: Skips,
        wanted: Filter,
        pauses: Pauses,
        config: UplinkConfig,
        *,
        send: Callable[[list[Row]], int],
        rush: Callable[[list[Row]], bool],
        hand_newest: Callable[[], None],
        gathered: Callable[[int], Ranges],
    ) -> None:
        """`send` gives how many bytes the rows have become; `rush` takes urgent ones, False: it has
        enough of them; `hand_newest`: the newest state goes out before all history; `gathered`:
        what of an epoch will be in a roll-up."""
        self.changed = asyncio.Event()
        """Set when something waits no more."""
        self._records = records
        self._cursor = cursor
        self._channel = channel
        self._skips = skips
        self._filter = wanted
        self._pauses = pauses
        self._rate = config.history_records_per_s
        self._newest_first = config.history == "newest"
        self._order = [klass for klass in ORDER if klass in config.classes]
        self._send, self._rush, self._hand_newest = send, rush, hand_newest
        self._gathered = gathered
        self._record_bytes = float(RECORD_BYTES)
        self._wake = asyncio.Event()
        self._wanted: set[Class] = set()
        """Classes of which the store may hold something that nobody has claimed."""
        self._absent_due = False
        self._newest_due = False
        self._asked: dict[int, Ranges] = {}
        """By epoch: what the center wants again, whatever the budget says."""
        self._held_back_at: float | None = None

    # -- what others tell --------------------------------------------------------------------

    def open(self) -> None:
        self.want_all()
        self._newest_due = True

    def want(self, klass: Class) -> None:
        """Something of it waits in the store."""
        self._wanted.add(klass)

    def want_all(self) -> None:
        self._wanted = set(self._filter.classes)
        self.look_for_absent()

    def asked(self, epoch: int, first: int, last: int) -> None:
        """The center wants these numbers again."""
        self._asked.setdefault(epoch, Ranges()).add(first, last)
        self._skips.unsay(epoch, first, last)
        self.want_all()

    def look_for_absent(self) -> None:
        """Something may wait that is not wanted, or not held any more."""
        self._absent_due = True
        self.wake()

    def wake(self) -> None:
        """There may be room for what waits, if anything does."""
        if self._wanted or self._newest_due or self._absent_due:
            self._wake.set()

    # -- the lane ----------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Until cancelled: bring what the store holds and the broker has not acknowledged."""
        not_before = 0.0
        while True:
            self._wake.clear()
            if Class.READINGS in self._pauses.end(self._now()):
                self._newest_due = True
            if await self._fetch_urgent():
                continue
            if self._newest_due:
                # The newest state under its own numbers; history fills in what lies between.
                self._newest_due = False
                self._hand_newest()
            asked = bool(self._asked)
            if self._now() >= not_before and (most := self._most(asked=asked)):
                if classes := [klass for klass in self._order if self._is_due(klass)]:
                    count = await self._fetch(classes, most, asked=asked)
                    not_before = max(not_before, self._now() - 1.0) + count / self._rate
                    continue
                if self._absent_due and not self._pauses:
                    await self._skip_absent()
                    continue
            self._tell_later()
            await self._wait(not_before)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_due(self, klass: Class) -> bool:
        return klass in self._wanted and klass not in self._pauses

    def _tell_later(self) -> None:
        """Budget or rate hold history back: what waits in it is no gap.  A catch-up that goes on is
        not told of, nor one that is held back for a moment."""
        if not self._wanted or not self._channel.holds_history_back():
            self._held_back_at = None
        elif self._held_back_at is None:
            self._held_back_at = self._now()
        elif self._now() - self._held_back_at >= HELD_BACK_S:
            for epoch, holes in self._cursor.unclaimed():
                # What is in a roll-up to come is told of with it.
                gathered = self._gathered(epoch)
                for first, last in holes:
                    for a, b in gathered.holes(first, last):
                        self._skips.say_once(epoch, a, b, "later")

    def _most(self, *, asked: bool) -> int:
        """Records that may be sent now; 0: rather wait until it is worth a message."""
        room = self._channel.history_room(asked=asked)
        pace = self._channel.pace
        piece = pace.limit // 2 // (1 if 0 < pace.best_s < NEAR_S else FEW)
        if room < min(SMALL_BYTES, pace.limit // 2 // FEW):
            return 0
        size = min(room, max(SMALL_BYTES, piece))
        return max(1, min(BATCH, round(size / self._record_bytes)))

    async def _wait(self, not_before: float) -> None:
        times = [not_before] if not_before > self._now() else []
        if (end := self._pauses.next_end()) is not None:
            times.append(end)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(times, default=None)):
                await self._wake.wait()

    async def _fetch_urgent(self) -> bool:
        """Alarms and acks of the backlog join the urgent lane."""
        classes = [klass for klass in URGENT_ORDER if self._is_due(klass)]
        if not classes or not self._rush([]):
            return False
        self._rush(await self._unclaimed(classes, BATCH // FEW))
        return True

    async def _fetch(self, classes: list[Class], most: int, *, asked: bool) -> int:
        wanted = []
        for row in await self._unclaimed(classes, most, asked=asked):
            if reason := self._filter.reason(row):
                self._skips.leave_out(row.epoch, row.seq, row.seq, reason)
                self._cursor.count_unwanted(row.epoch, -1)
                self.changed.set()
            else:
                wanted.append(row)
        if wanted:
            self._cursor.claim(wanted)
            each = self._send(wanted) / len(wanted)
            self._record_bytes += (max(1.0, each) - self._record_bytes) / 4
        return len(wanted)

    async def _unclaimed(
        self, classes: Sequence[Class], most: int, *, asked: bool = False
    ) -> list[Row]:
        """Rows of one class and epoch that wait, in order of their numbers; none: these classes
        are not wanted any more, or nothing waits of what was `asked` for."""
        newest = self._newest_first and classes[0] not in URGENT_ORDER and not asked
        if asked:
            waiting = self._cursor.unclaimed_of(self._asked)
        else:
            waiting = self._cursor.unclaimed(newest=newest)
            self._wanted -= set(classes)
        for epoch, holes in waiting:
            if rows := await self._records.store.read(epoch, holes, classes, most, newest):
                self._wanted |= set(classes)
                # While the store was asked, the live lane may have taken some.
                free = (row for row in rows if not self._cursor.is_claimed(row))
                return sorted(free, key=lambda row: row.seq)
        if asked:
            self._asked.clear()
        return []

    # -- what never goes out -------------------------------------------------------------------

    async def _skip_absent(self) -> None:
        """What this center does not want, and what the store does not hold, does not wait."""
        self._absent_due = False
        for epoch, holes in self._cursor.unclaimed():
            if rows := await self._records.store.read(epoch, holes, self._filter.classes, 1):
                self._wanted.add(Class(rows[0].klass))
                self._absent_due = True
                return
            for first, last in holes:
                await self._skip_range(epoch, first, last)
        for epoch, first, last in self._cursor.deleted():
            self._skips.leave_out(epoch, first, last, self._records.absent)
        self._cursor.forget_unwanted()
        self.changed.set()

    async def _skip_range(self, epoch: int, first: int, last: int) -> None:
        """Of first..last nothing is wanted: say of each number why."""
        while first <= last:
            upto, held = last, Ranges()
            if not self._filter.all_classes:
                held, upto = await self._records.store.numbers(epoch, first, last, LOOK)
            for a, b in held:
                self._skips.leave_out(epoch, a, b, "class")
            for a, b in held.holes(first, upto):
                self._skips.leave_out(epoch, a, b, self._records.absent)
            first = upto + 1
