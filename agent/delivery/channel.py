"""One connection to one center, and how much may be on its way over it.

Whatever sends records over a connection shares one of these (a unit's own lanes, and those of the
kits that it relays): the window, the pace, the ration and the right of way hold for all of it
together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from agent.broker import why_refused
from agent.delivery import compression
from agent.delivery.detail import PERIODS_S, Demand
from agent.delivery.pace import Pace
from agent.delivery.ration import LOOK_S, Ration
from agent.mqtt import NO_MATCHING_SUBSCRIBERS, Connection

WINDOW_MAX = 100
OVERHEAD_BYTES = 64
"""More than MQTT's own bytes in a PUBLISH, the last level of the topic included."""
SEGMENTS_BYTES = 120
"""Headers of the segments that carry a small message and its PUBACK."""
SMALL_BYTES = 1_500
"""A message of so many is large enough on any link."""
FAILURE = 0x80
MEMORY = 0.2
"""Of what is learnt each second about records and bytes: the weight of the newest."""
RECORD_BYTES = 350.0
"""A live record on the wire, before any has been sent."""


class Lane(Enum):
    URGENT = "urgent"
    LIVE = "live"
    HISTORY = "history"


class Answer:
    """What became of a publish."""

    __slots__ = ("code", "why")

    def __init__(self, done: asyncio.Future[int]) -> None:
        error = done.exception()
        self.code = done.result() if error is None else FAILURE
        self.why: object = error or why_refused(self.code)

    @property
    def taken(self) -> bool:
        return self.code < FAILURE and self.code != NO_MATCHING_SUBSCRIBERS


class Traffic(Protocol):
    """Who sends over a channel."""

    @property
    def waits(self) -> bool:
        """Something urgent or live is ready to go."""

    @property
    def series(self) -> int:
        """Sources and quantities that report."""

    def detail_changed(self) -> None:
        """Readings go out in more or less detail from now on."""

    def send_urgent(self) -> bool:
        """Send one message of what is urgent, if there is any."""

    def send_live(self, room: int) -> bool:
        """Send one message of what is live, of about `room` bytes, if there is any."""

    def wake(self) -> None:
        """There may be room for history."""


class Channel:
    """One per uplink; `open` and `close` with each connection."""

    def __init__(self, ration: Ration, *, compress: bool = False) -> None:
        """`compress`: the center takes zstd."""
        self.ration = ration
        self.connection: Connection | None = None
        self.pace = Pace()
        self.inflight = 0
        """Messages."""
        self.weight = 0
        """Bytes in them, urgent ones not counted."""
        self._compress = compress
        self._window = 0
        self._traffic: list[Traffic] = []
        self._waiting_since: float | None = None
        """Something live has been waiting ever since."""
        self._seen = self._taken_bytes = 0
        """Live readings, and bytes of records that were acknowledged, since the last look."""
        self._seen_s = self._taken_s = 0.0
        self._record_bytes = RECORD_BYTES
        self._since: dict[int, float] = {}
        """When each urgent or live message that is under way was sent."""
        self._sent = 0

    def join(self, traffic: Traffic) -> None:
        self._traffic.append(traffic)

    def leave(self, traffic: Traffic) -> None:
        self._traffic.remove(traffic)

    def open(self, connection: Connection) -> None:
        self.connection = connection
        self.pace = Pace()
        self.inflight = self.weight = 0
        self._since.clear()
        self._window = max(1, min(WINDOW_MAX, connection.receive_maximum))
        self._waiting_since = None
        self.ration.open(connection)

    def close(self) -> None:
        self._since.clear()
        self.connection = None
        self.ration.close()

    def late_s(self, now: float) -> float:
        """How much longer than the best of late an alarm or a reading has been under way."""
        oldest = min(self._since.values(), default=now)
        return max(0.0, now - oldest - self.pace.best_s)

    @property
    def compress(self) -> bool:
        """Whether records go compressed; never in MQTT 3.1.1, which cannot say so."""
        return self._compress and self.connection is not None and self.connection.protocol == 5

    @property
    def period_s(self) -> int:
        """Of the roll-ups in place of live readings; 0: the readings themselves go."""
        return PERIODS_S[self.ration.level]

    # -- how much -----------------------------------------------------------------------------

    def live_room(self) -> int:
        """Bytes that may be sent live now."""
        if not self.ration.allowance.may_live(_now()):
            return 0
        return max(0, self.pace.limit - self.weight)

    def history_room(self, *, asked: bool = False) -> int:
        """Bytes of history that may be sent now: at most half of what may be on its way, and none
        while anybody has something better to send.  `asked`: the center wants it, whatever the
        budget says."""
        if self.inflight >= max(1, self._window // 2) or any(one.waits for one in self._traffic):
            return 0
        room = max(0, self.pace.limit // 2 - self.weight)
        return round(min(room, self.ration.allowance.history_room(_now(), asked=asked)))

    def holds_history_back(self) -> bool:
        """For want of budget or rate, and not because the link is busy."""
        return self.ration.allowance.history_room(_now()) < SMALL_BYTES

    def saw_reading(self) -> None:
        """A live one: what the link would have to carry in full."""
        self._seen += 1

    async def watch(self) -> None:
        """Until cancelled: look each second at what has passed and what waits."""
        looked_at = _now()
        while True:
            await asyncio.sleep(self.ration.allowance.due_s(_now()) if self._waits() else LOOK_S)
            if (seconds := _now() - looked_at) >= LOOK_S:
                looked_at = _now()
                self._look(seconds)
            self.pump()

    def _look(self, seconds: float) -> None:
        self._seen_s += MEMORY * (self._seen / seconds - self._seen_s)
        self._taken_s += MEMORY * (self._taken_bytes / seconds - self._taken_s)
        self._seen = self._taken_bytes = 0
        series = sum(one.series for one in self._traffic)
        demand = Demand(full=self._seen_s * self._record_bytes, series=series)
        waited_s = 0.0 if self._waiting_since is None else _now() - self._waiting_since
        if self.ration.look(demand, waited_s, self._taken_s):
            for one in self._traffic:
                one.detail_changed()

    # -- to and fro ---------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what may go now: what is urgent of anybody first, then all in turn."""
        while (waits := self._waits()) and self._has_slot():
            if not any(one.send_urgent() for one in self._traffic) and not self._send_live():
                break
        if not waits:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = _now()
        for one in self._traffic:
            one.wake()

    def _waits(self) -> bool:
        return any(one.waits for one in self._traffic)

    def _send_live(self) -> bool:
        room = self.live_room()
        for place, one in enumerate(self._traffic if room else ()):
            if one.send_live(room):
                # Next time it is another's turn.
                self._traffic.append(self._traffic.pop(place))
                return True
        return False

    def _has_slot(self) -> bool:
        return self.connection is not None and self.inflight < self._window

    def publish(
        self,
        topic: str,
        payload: bytes,
        answered: Callable[[Answer], None],
        *,
        lane: Lane,
        records: int = 0,
    ) -> None:
        """Send a message of so many records; `answered` is called unless the connection ends
        before."""
        connection, sent_at = self.connection, _now()
        assert connection is not None
        self._sent += 1
        number = self._sent
        if lane is not Lane.HISTORY:
            self._since[number] = sent_at
        size = len(topic) + len(payload) + OVERHEAD_BYTES
        self.inflight += 1
        if lane is not Lane.URGENT:
            self.weight += size
        if lane is Lane.LIVE and records:
            each = (size + SEGMENTS_BYTES) / records
            self._record_bytes += MEMORY * (each - self._record_bytes)
        self.ration.allowance.charge(size + SEGMENTS_BYTES, history=lane is Lane.HISTORY)

        def done(future: asyncio.Future[int]) -> None:
            if connection is not self.connection or connection.lost.done():
                # `close` has released it, or will.
                return
            self.inflight -= 1
            self._since.pop(number, None)
            self._taken_bytes += size
            if lane is not Lane.URGENT:
                self.pace.acknowledged(size, self.weight, sent_at, _now())
                self.weight -= size
            answered(Answer(future))
            self.pump()

        content_type = compression.CONTENT_TYPE if compression.is_frame(payload) else None
        connection.publish(topic, payload, content_type=content_type).add_done_callback(done)


def _now() -> float:
    return asyncio.get_running_loop().time()
