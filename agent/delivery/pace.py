"""How much may be on its way at once, so that an alarm never waits long behind a catch-up.  Pure.

What has been handed to TCP cannot be overtaken.  So what is unacknowledged is kept to what the link
delivers in about a second, learnt from the time until PUBACK: more while that stays near the best
of late, half when it does not.  It doubles with each answer until the first halving, and grows by
an eighth after it.  Where half as much takes as long as before it is no queue of ours: the way has
become longer; that is the best from then on, and what was learnt of less is void.  It counts bytes,
for compressed and plain records differ tenfold.
"""

from __future__ import annotations

import math

FEWEST = 2_000
MOST = 2_000_000
FIRST = 8_000
"""A second of the slowest link that carries all a unit says."""
SLACK_S = 0.5
FACTOR = 1.5
"""With SLACK_S, halving and growth by an eighth it keeps a standing queue, which hides the link's
own time, below about 2 s."""
HELPED = 0.9
"""Of a queue of ours a halving leaves less than this."""
MEMORY_S = 30.0


class Pace:
    """One per connection.  Times are of any clock that only rises."""

    def __init__(self) -> None:
        self.limit = FIRST
        """Bytes that may be unacknowledged (alarms and acks do not count)."""
        self._best_s = math.inf
        self._best_lately_s = math.inf
        self._since = -math.inf
        self._halved_at = -math.inf
        self._halved_for_s = 0.0
        """The delay that was too long; 0: it is no longer."""

    def acknowledged(self, size: int, unacknowledged: int, sent_at: float, now: float) -> None:
        """A message of `size` bytes came back; `unacknowledged`: bytes under way, these
        included."""
        delay_s = now - sent_at
        self._remember(delay_s, now)
        if delay_s <= FACTOR * self._best_s + SLACK_S:
            self._halved_for_s = 0.0
            # A limit that nobody has come near says nothing of the link.
            # (The history lane alone never goes beyond half of it.)
            if 3 * unacknowledged >= self.limit:
                step = size if self._halved_at < 0 else math.ceil(size / 8)
                self.limit = min(MOST, self.limit + step)
        elif sent_at > self._halved_at:
            if self._halved_for_s and delay_s > HELPED * self._halved_for_s:
                self._best_s = self._best_lately_s = delay_s
                self._halved_for_s = 0.0
                self.limit = max(self.limit, FIRST)
            else:
                self.limit = max(FEWEST, self.limit // 2)
                self._halved_for_s = delay_s
            self._halved_at = now

    @property
    def best_s(self) -> float:
        """The shortest time until an acknowledgement, of late; 0 before the first."""
        return self._best_s if self._best_s < math.inf else 0.0

    def _remember(self, delay_s: float, now: float) -> None:
        if now - self._since > MEMORY_S:
            self._since = now
            self._best_s, self._best_lately_s = self._best_lately_s, math.inf
        self._best_lately_s = min(self._best_lately_s, delay_s)
        self._best_s = min(self._best_s, self._best_lately_s)
