"""When the next packet may leave: a bucket that fills at a rate.  Pure."""

from __future__ import annotations

SLACK_S = 0.002
"""Sleeps are no finer than this."""


class Pacer:
    """`burst_bytes` may leave at once; the rest follow at `kbit_s`."""

    def __init__(self, kbit_s: float, burst_bytes: int) -> None:
        self.kbit_s = kbit_s
        self.burst_bytes = burst_bytes
        self._level = float(burst_bytes)
        self._at_s = 0.0

    def wait_s(self, size: int, now_s: float) -> float:
        """0 where `size` bytes may leave now, and then they are counted; else how long to wait
        before asking again."""
        rate = self.kbit_s * 125
        self._level = min(self._level + (now_s - self._at_s) * rate, float(self.burst_bytes))
        self._at_s = now_s
        if self._level > 0:
            self._level -= size
            return 0.0
        return max(-self._level / rate, SLACK_S)
