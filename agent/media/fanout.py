"""Packets of one encoder to any number of viewers, none of whom can hold up another.

The encoder's thread publishes, viewers wait on the loop.  Each viewer has a bounded queue; when it
is full the viewer is slow: what it had is thrown away and it goes on at the next keyframe, because
a picture whose predecessor is missing cannot be decoded.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from agent.media.encoder import VideoPacket

QUEUE_PACKETS = 25
"""About a second: later than that nobody wants to see it."""


class Subscription:
    """One viewer's end."""

    def __init__(self, fanout: Fanout) -> None:
        self.skipped = 0
        """Packets not delivered because the viewer was slow."""
        self._fanout = fanout
        self._packets: deque[VideoPacket] = deque()
        self._ready = asyncio.Event()
        self._waits_for_keyframe = True

    async def get(self) -> VideoPacket:
        """The next packet; the first is a keyframe."""
        while True:
            with self._fanout.lock:
                if self._packets:
                    return self._packets.popleft()
                self._ready.clear()
            await self._ready.wait()

    def close(self) -> None:
        """Get no more.  May be called twice."""
        self._fanout.leave(self)

    def wake(self) -> None:
        """In the loop's thread."""
        self._ready.set()

    def offer(self, packet: VideoPacket) -> bool:
        """With the fan-out's lock held.  False where a keyframe is now needed."""
        if self._waits_for_keyframe and not packet.is_keyframe:
            self.skipped += 1
            return True
        if len(self._packets) >= QUEUE_PACKETS:
            self.skipped += len(self._packets) + 1
            self._packets.clear()
            self._waits_for_keyframe = True
            return False
        self._waits_for_keyframe = False
        self._packets.append(packet)
        return True


class Fanout:
    """`request_keyframe` is called for each new viewer and each one that fell behind."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, request_keyframe: Callable[[], None]
    ) -> None:
        self.lock = threading.Lock()
        self._loop = loop
        self._request_keyframe = request_keyframe
        self._subscriptions: set[Subscription] = set()
        self._wake_is_due = False

    @property
    def viewers(self) -> int:
        return len(self._subscriptions)

    def join(self) -> Subscription:
        """A new viewer (loop's thread)."""
        subscription = Subscription(self)
        with self.lock:
            self._subscriptions.add(subscription)
        self._request_keyframe()
        return subscription

    def leave(self, subscription: Subscription) -> None:
        with self.lock:
            self._subscriptions.discard(subscription)

    def publish(self, packet: VideoPacket) -> None:
        """From any thread; never waits for a viewer."""
        with self.lock:
            kept_up = [subscription.offer(packet) for subscription in self._subscriptions]
            wake, self._wake_is_due = not self._wake_is_due, True
        if not all(kept_up):
            self._request_keyframe()
        if wake:
            # One call at a time: a stalled loop finds one wake-up, not a thousand.
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self.lock:
            self._wake_is_due = False
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.wake()
