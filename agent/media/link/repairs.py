"""What a viewer lacks, and whether sending it again is worth it.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.media.link.copies import Kept

FORGET_S = 0.5
"""What a viewer lacks it asks for again and again; so long after the last time it has it, or lacks
it no more."""


class Repairs:
    """Of one viewer.  Times are of any clock that only rises."""

    def __init__(self) -> None:
        self.keyframe_bytes = 20_000
        """Of the last one."""
        self._resent: dict[int, float] = {}
        self._lacking: dict[int, tuple[float, int]] = {}
        """When it was asked for, and how large it is."""

    def asked(self, packets: Iterable[Kept], now: float) -> bool:
        """The viewer says that it lacks these.  False where all that is lacking is more than a
        keyframe, which would make it good."""
        for kept in packets:
            if kept.seq not in self._resent:
                self._lacking[kept.seq] = (now, len(kept.payload))
        self._resent = {seq: at for seq, at in self._resent.items() if now - at < 4 * FORGET_S}
        self._lacking = {
            seq: (at, size) for seq, (at, size) in self._lacking.items() if now - at < FORGET_S
        }
        return sum(size for _, size in self._lacking.values()) <= self.keyframe_bytes

    def are_due(self, now: float) -> bool:
        """Something that is lacking waits for its turn: what comes after it is of no use yet."""
        lacking = self._lacking
        return bool(lacking) and any(now - at < FORGET_S for at, _ in lacking.values())

    def is_due(self, seq: int, rtt_s: float, now: float) -> bool:
        """It has not been sent again within a round trip."""
        return now - self._resent.get(seq, float("-inf")) >= rtt_s

    def sent(self, seq: int, now: float) -> None:
        """Again, or as a copy."""
        self._resent[seq] = now
        self._lacking.pop(seq, None)

    def give_up(self) -> None:
        """A keyframe comes."""
        self._lacking.clear()
