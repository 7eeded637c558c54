"""What is under way and has not been heard of.  Pure: times are arguments, in seconds.

For a round trip nothing tells a sender that a link has become narrow or long.  What it sends
meanwhile at the old rate fills the queue, and then is dropped, together with the readings and
alarms that come by.  So where reports stay away for longer than they ever need to, nothing more
leaves until they come: it is what a congestion window does, counted in time instead of bytes.
"""

from __future__ import annotations

import math
from collections import deque

GIVE_UP_S = 0.75
"""So long nothing leaves; then a little has to, for else nothing would ever be heard again."""
LOOK_S, MOMENT_S = 0.01, 0.05
"""Who is held asks again so soon; and less than a moment is no trouble."""
REST_S = 0.15
"""A gap at least so long, in which nothing could leave, is a rest: what queued has gone on."""


class Flight:
    """Of one path."""

    def __init__(self) -> None:
        self._unheard: deque[tuple[int, float]] = deque()
        self._left_at = math.inf
        self._stood = False
        self.is_held = False
        """Reports have stayed away for more than a moment."""

    def left(self, number: int, now: float) -> bool:
        """A packet has left; numbers only grow.  True where it is the first after a rest."""
        rested = self._stood and now - self._left_at > REST_S
        self._stood, self._left_at = False, now
        self._unheard.append((number, now))
        return rested

    def heard(self, number: int) -> None:
        """A report speaks of all packets up to this one."""
        while self._unheard and self._unheard[0][0] <= number:
            self._unheard.popleft()

    def forget(self) -> None:
        """Another path: what is under way on the one before is no concern of it."""
        self._unheard.clear()

    def oldest_s(self, now: float) -> float | None:
        """For how long the oldest packet has not been heard of; None where none is under way."""
        return now - self._unheard[0][1] if self._unheard else None

    def hold_s(self, patience_s: float, pause_until: float, now: float) -> float:
        """0 where a packet may leave, else how long to wait before asking again.  `patience_s`:
        how long a packet may remain unheard of; nothing leaves before `pause_until` at all."""
        late_s = (self.oldest_s(now) or 0.0) - patience_s
        is_late = 0 < late_s < GIVE_UP_S
        self.is_held = is_late and late_s > MOMENT_S
        wait_s = max(pause_until - now, LOOK_S if is_late else 0.0, 0.0)
        self._stood = self._stood or wait_s > 0
        return wait_s
