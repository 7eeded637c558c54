"""One connection to one center, and how much may be on its way over it.

Whatever sends records over a connection shares one of these (a unit's own lanes, and those of the
kits that it relays): the window, the pace and the right of way hold for all of it together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from agent.delivery import compression
from agent.delivery.pace import Pace
from agent.mqtt import NO_MATCHING_SUBSCRIBERS, Connection

WINDOW_MAX = 100
OVERHEAD_BYTES = 64
"""More than MQTT's own bytes in a PUBLISH, the last level of the topic included."""
FAILURE = 0x80


class Answer:
    """What became of a publish."""

    __slots__ = ("code", "why")

    def __init__(self, done: asyncio.Future[int]) -> None:
        error = done.exception()
        self.code = done.result() if error is None else FAILURE
        self.why: object = error or f"0x{self.code:02x}"

    @property
    def taken(self) -> bool:
        return self.code < FAILURE and self.code != NO_MATCHING_SUBSCRIBERS


class Traffic(Protocol):
    """Who sends over a channel."""

    @property
    def waits(self) -> bool:
        """Something urgent or live is ready to go."""

    def send_urgent(self) -> bool:
        """Send one message of what is urgent, if there is any."""

    def send_live(self) -> bool:
        """Send one message of what is live, if there is any and room for it."""

    def wake(self) -> None:
        """There may be room for history."""


class Channel:
    """One per uplink; `open` and `close` with each connection."""

    def __init__(self, *, compress: bool = False) -> None:
        """`compress`: the center takes zstd."""
        self._compress = compress
        self.connection: Connection | None = None
        self.pace = Pace()
        self.inflight = 0
        """Messages."""
        self.weight = 0
        """Bytes in them, urgent ones not counted."""
        self._window = 0
        self._traffic: list[Traffic] = []

    def join(self, traffic: Traffic) -> None:
        self._traffic.append(traffic)

    def leave(self, traffic: Traffic) -> None:
        self._traffic.remove(traffic)

    def open(self, connection: Connection) -> None:
        self.connection = connection
        self.pace = Pace()
        self.inflight = self.weight = 0
        self._window = max(1, min(WINDOW_MAX, connection.receive_maximum))

    def close(self) -> None:
        self.connection = None

    @property
    def compress(self) -> bool:
        """Whether records go compressed; never in MQTT 3.1.1, which cannot say so."""
        return self._compress and self.connection is not None and self.connection.protocol == 5

    # -- how much -----------------------------------------------------------------------------

    def live_room(self) -> int:
        """Bytes that may be sent live now."""
        return max(0, self.pace.limit - self.weight)

    def history_room(self) -> int:
        """Bytes of history that may be sent now: at most half of what may be on its way, and none
        while anybody has something better to send."""
        if self.inflight >= max(1, self._window // 2) or any(one.waits for one in self._traffic):
            return 0
        return max(0, self.pace.limit // 2 - self.weight)

    # -- to and fro ---------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what may go now: what is urgent of anybody first, then all in turn."""
        while self._has_slot() and any(one.send_urgent() for one in self._traffic):
            pass
        while self._has_slot() and self._send_live_in_turn():
            pass
        for one in self._traffic:
            one.wake()

    def _send_live_in_turn(self) -> bool:
        for place, one in enumerate(self._traffic):
            if self.live_room() and one.send_live():
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
        urgent: bool,
    ) -> None:
        """Send a message of records; `answered` is called unless the connection ends before."""
        connection, loop = self.connection, asyncio.get_running_loop()
        assert connection is not None
        sent_at, size = loop.time(), len(topic) + len(payload) + OVERHEAD_BYTES
        self.inflight += 1
        if not urgent:
            self.weight += size

        def done(future: asyncio.Future[int]) -> None:
            if connection is not self.connection or connection.lost.done():
                # `close` has released it, or will.
                return
            self.inflight -= 1
            if not urgent:
                self.pace.acknowledged(size, self.weight, sent_at, loop.time())
                self.weight -= size
            answered(Answer(future))
            self.pump()

        content_type = compression.CONTENT_TYPE if compression.is_frame(payload) else None
        connection.publish(topic, payload, content_type=content_type).add_done_callback(done)
