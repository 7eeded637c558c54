"""Pictures of one layer to any number of takers, none of whom can hold up another.

The camera's thread publishes, takers wait on the loop.  Each has a bounded queue; when it is full,
or what is in it is old, the taker is slow: what it had is thrown away and it goes on at the next
keyframe, because a picture whose predecessor is missing cannot be decoded.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

from agent.media.encoded import Encoded

QUEUE_PICTURES = 25
QUEUE_S = 1.0
"""Later than that nobody wants to see it."""
BEHIND_S, STUCK_S = 0.15, 1.5
"""A picture that has waited so long for its link has no need of another behind it; one that has
waited longer than a link is held for waits for something else, and a new one may move it."""
ASK_AGAIN_S = 1.0
"""One taker's requests for a keyframe are no closer: who cannot keep up makes no storm."""
STILL_S = 2.0
"""A taker of stills gets a keyframe so often."""
REMEMBERED = 400
"""Pictures since the last keyframe kept for who joins, where no keyframe can be asked for."""


class ClosedError(RuntimeError):
    """The subscription was closed while somebody waited on it."""


class Subscription:
    """One taker's end."""

    def __init__(self, fanout: Fanout) -> None:
        self.skipped = 0
        """Pictures not delivered because the taker was slow."""
        self.fanout = fanout
        self.watches = True
        """False: it goes to no link."""
        self.stills = False
        """Keyframes only, one each `STILL_S`."""
        self._next: Fanout | None = None
        self._lock = fanout.lock
        self._queue: deque[Encoded] = deque()
        self._ready = asyncio.Event()
        self._waits = True
        self._asked_at = float("-inf")
        self._closed = False

    async def get(self) -> Encoded:
        """The next picture; the first is a keyframe.  ClosedError once it is closed."""
        while True:
            with self._lock:
                if self._closed:
                    raise ClosedError
                if self._queue:
                    return self._queue.popleft()
                self._ready.clear()
            await self._ready.wait()

    def move(self, fanout: Fanout) -> None:
        """Go on with that layer from its next keyframe; until then with this one (loop's
        thread)."""
        with self._lock:
            left, self._next = self._next, None
            if left is not None and left is not self.fanout:
                left.drop(self)
            if fanout is self.fanout:
                return
            self._next = fanout
            fanout.add(self)
        fanout.request_keyframe()

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be taken."""
        return not self._queue

    def is_behind(self, now: float) -> bool:
        """With the lock held: a picture has been waiting for its link (now: of
        `time.monotonic()`)."""
        return bool(self._queue) and BEHIND_S < now - self._queue[0].at < STUCK_S

    @property
    def heads_for(self) -> Fanout:
        """The layer that it is on, or moving to."""
        return self._next or self.fanout

    def close(self) -> None:
        """Get no more.  May be called twice."""
        with self._lock:
            self._closed = True
            self.fanout.drop(self)
            if self._next is not None:
                self._next.drop(self)
        self._ready.set()

    def restart(self) -> None:
        """Go on with a keyframe, and nothing before it: what there is cannot be decoded any more
        (loop's thread)."""
        with self._lock:
            self.skipped += len(self._queue)
            self._queue.clear()
            self._waits = True
        self.request_keyframe()

    def request_keyframe(self) -> None:
        """The taker's decoder has lost its way."""
        self.heads_for.request_keyframe()

    def wake(self) -> None:
        """In the loop's thread."""
        self._ready.set()

    def preload(self, pictures: list[Encoded]) -> None:
        """With the lock held: what came since the last keyframe."""
        self._queue.extend(pictures)
        self._waits = self._waits and not pictures
        self._ready.set()

    def offer(self, picture: Encoded, fanout: Fanout) -> bool:
        """With the lock held.  False where a keyframe is now needed."""
        if fanout is self._next and picture.keyframe:
            self.fanout.drop(self)
            self.fanout, self._next = fanout, None
            self._queue.clear()
        elif fanout is not self.fanout:
            return True
        if not picture.keyframe and (self._waits or self.stills):
            self._waits = True
            self.skipped += 1
            return not self._asks(STILL_S if self.stills else ASK_AGAIN_S)
        if picture.keyframe and self._queue:
            # Nothing before a keyframe is needed to go on.
            late = picture.at - self._queue[0].at > QUEUE_S / 4
            if late:
                self.skipped += len(self._queue)
                self._queue.clear()
        elif self._is_full(picture):
            self.skipped += len(self._queue) + 1
            self._queue.clear()
            self._waits = True
            return not self._asks(ASK_AGAIN_S)
        if picture.keyframe:
            self._asked_at = time.monotonic()
        self._waits = False
        self._queue.append(picture)
        return True

    def _is_full(self, picture: Encoded) -> bool:
        if not self._queue:
            return False
        if self.fanout.remembers:
            return len(self._queue) > REMEMBERED
        return len(self._queue) >= QUEUE_PICTURES or picture.at - self._queue[0].at > QUEUE_S

    def _asks(self, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._asked_at < every_s:
            return False
        self._asked_at = now
        return True


class Fanout:
    """`request_keyframe` is called for each new taker and each one that fell behind.  Layers
    between which takers move share `lock`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        request_keyframe: Callable[[], None],
        lock: threading.Lock | None = None,
    ) -> None:
        self.lock = lock or threading.Lock()
        self.request_keyframe = request_keyframe
        self.remembers = False
        """Keyframes come when they come: who joins gets what came since the last one."""
        self._memory: list[Encoded] = []
        self._loop = loop
        self._subscriptions: set[Subscription] = set()
        self._wake_is_due = False

    @property
    def viewers(self) -> int:
        """How many take it, those included who wait for its keyframe to move to it."""
        return len(self._subscriptions)

    @property
    def watchers(self) -> int:
        """How many of them watch over a link."""
        with self.lock:
            return sum(taker.watches for taker in self._subscriptions)

    def is_behind(self, now: float) -> bool:
        """No taker could send a further picture now."""
        with self.lock:
            takers = self._subscriptions
            return bool(takers) and all(taker.is_behind(now) for taker in takers)

    def join(self, *, watches: bool = True) -> Subscription:
        """A new taker (loop's thread)."""
        subscription = Subscription(self)
        subscription.watches = watches
        with self.lock:
            self._subscriptions.add(subscription)
            subscription.preload(self._memory)
        self.request_keyframe()
        return subscription

    def add(self, subscription: Subscription) -> None:
        """With the lock held."""
        self._subscriptions.add(subscription)

    def drop(self, subscription: Subscription) -> None:
        """With the lock held."""
        self._subscriptions.discard(subscription)

    def publish(self, picture: Encoded) -> None:
        """From any thread; never waits for a taker."""
        with self.lock:
            if self.remembers:
                if picture.keyframe or len(self._memory) >= REMEMBERED:
                    self._memory.clear()
                if picture.keyframe or self._memory:
                    self._memory.append(picture)
            kept_up = [taker.offer(picture, self) for taker in tuple(self._subscriptions)]
            wake, self._wake_is_due = not self._wake_is_due, True
        if not all(kept_up):
            self.request_keyframe()
        if wake:
            # One call at a time: a stalled loop finds one wake-up, not a thousand.
            self._loop.call_soon_threadsafe(self._wake)

    def forget(self) -> None:
        """The source has ended: what is remembered leads nowhere."""
        with self.lock:
            self._memory.clear()

    def _wake(self) -> None:
        with self.lock:
            self._wake_is_due = False
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.wake()
