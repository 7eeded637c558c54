"""Packets of one talker put in order, held as long as the path's jitter asks and no longer.  Pure.

aiortc's own buffer holds four packets whatever the path is like, fills up for good at the first
loss, and hands what it has to a queue without an end.
"""

from __future__ import annotations

import msgspec

HOLD_MAX = 50
"""Packets: a second of 20 ms each."""
DEPTH = (2, 10)
"""Packets held before the first is played: 40 to 200 ms."""
SLACK = 4
"""So many more than that are held for a while before one is dropped to catch up."""
PATIENCE = 25
"""Packets in a row with too many held."""
MISORDER_MAX = 500
"""A number so far away is a new beginning."""


class Lost(msgspec.Struct, frozen=True):
    """A packet that did not come in time."""


LOST = Lost()


class Jitter:
    """`put` what comes, `take` one packet each 20 ms."""

    def __init__(self, packet_s: float = 0.02) -> None:
        self.dropped = 0
        """Packets that found no room, or were too many to be heard in time."""
        self.late = 0
        self.lost = 0
        self._packet_s = packet_s
        self._held: dict[int, bytes] = {}
        self._next: int | None = None
        """Unwrapped sequence number of what is played next; None: waiting to begin."""
        self._highest: int | None = None
        self._jitter_s = 0.0
        self._transit: float | None = None
        self._excess = 0

    @property
    def depth(self) -> int:
        """Packets to hold now."""
        low, high = DEPTH
        return max(low, min(high, 1 + round(3 * self._jitter_s / self._packet_s)))

    @property
    def held(self) -> int:
        return len(self._held)

    def put(self, sequence: int, timestamp: int, payload: bytes, now_s: float) -> None:
        """`sequence` 16 bits, `timestamp` in 1/48000 s, 32 bits."""
        number = self._unwrap(sequence)
        self._measure(timestamp, now_s)
        if self._next is not None and number < self._next:
            self.late += 1
            return
        self._held[number] = payload
        while len(self._held) > HOLD_MAX:
            first = min(self._held)
            del self._held[first]
            self.dropped += 1
            if self._next is not None:
                self._next = min(self._held)

    def take(self) -> bytes | Lost | None:
        """None: nothing to play (yet)."""
        if self._next is None:
            if len(self._held) < self.depth:
                return None
            self._next = min(self._held)
        if not self._held:
            self._next = None  # begin anew: hold `depth` again
            return None
        self._catch_up()
        payload = self._held.pop(self._next, None)
        self._next += 1
        if payload is None:
            self.lost += 1
            return LOST
        return payload

    def clear(self) -> None:
        """The talker has stopped; what is left is stale."""
        self._held.clear()
        self._next = None

    def _catch_up(self) -> None:
        self._excess = self._excess + 1 if len(self._held) > self.depth + SLACK else 0
        if self._excess > PATIENCE and self._next is not None:
            self._excess = 0
            self._held.pop(self._next, None)
            self._next += 1
            self.dropped += 1

    def _unwrap(self, sequence: int) -> int:
        if self._highest is None:
            self._highest = sequence
            return sequence
        delta = ((sequence - self._highest + 0x8000) & 0xFFFF) - 0x8000
        number = self._highest + delta
        if abs(delta) > MISORDER_MAX:
            self.clear()
            self._highest = number
        self._highest = max(self._highest, number)
        return number

    def _measure(self, timestamp: int, now_s: float) -> None:
        """RFC 3550, appendix A.8."""
        transit = now_s - timestamp / 48_000
        if self._transit is not None and (difference := abs(transit - self._transit)) < 1.0:
            self._jitter_s += (difference - self._jitter_s) / 16
        self._transit = transit
