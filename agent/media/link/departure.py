"""When one viewer's next packet may leave: at the estimate's pace, and not while the path needs
rest.  Pure: times are arguments, in seconds."""

from __future__ import annotations

from agent.media.link.flight import LOOK_S
from agent.media.link.link import OVERHEAD_BYTES, Link
from agent.media.link.pacing import Pacer
from agent.media.link.repairs import Repairs

PACE_CLEAN, PACE = 2.5, 1.25
"""Times the estimate.  While the path is not clean pictures wait here rather than in a queue that
alarms and readings would have to pass."""
PACE_QUEUE, QUEUE_MS = 0.9, 100.0
"""While a queue stands it must drain."""
BURST_CLEAN_BYTES, BURST_BYTES, BURST_LEAST_BYTES = 24_000, 4_000, 600
BURST_S = 0.1
"""On a thin link a burst is no longer than this."""
HEADER_BYTES = 28
"""RTP's, with its extensions."""
RESEND_SHARE = 0.8
"""Of the estimate, for retransmissions.  Pictures wait for those."""
RESEND_BURST_BYTES = 4_000


class Departure:
    """Of all packets on one link."""

    def __init__(self, link: Link) -> None:
        self.repairs = Repairs()
        self._link = link
        self._pacer = Pacer(1000, BURST_CLEAN_BYTES)
        self._resend_pacer = Pacer(1000, RESEND_BURST_BYTES)

    def wait_s(self, size: int, now: float, pacer: Pacer | None = None) -> float:
        """0 where a payload of `size` bytes may leave now, and then it is counted; else how long to
        wait before asking again.  `pacer`: another rate than that of pictures."""
        return self.hold_s(now) or self.pace_s(size, now, pacer)

    def hold_s(self, now: float) -> float:
        """Nothing leaves while a queue is to drain or reports stay away, nor before what the viewer
        lacks, not even the rest of a picture.  Holds for all that is asked at one moment."""
        return LOOK_S if self.repairs.are_due(now) else self._link.hold_s(now)

    def pace_s(self, size: int, now: float, pacer: Pacer | None = None) -> float:
        """As `wait_s`, where nothing holds it."""
        return (pacer or self._pacer).wait_s(size + OVERHEAD_BYTES + HEADER_BYTES, now)

    def may_repeat(self, size: int, now: float) -> bool:
        """What was lost may go out again.  Where not, it will be asked for again."""
        self.set_pace(now)
        return not self._link.hold_s(now) and not self._resend_pacer.wait_s(size, now)

    def set_pace(self, now: float) -> None:
        """To be called for each picture, and after each wait."""
        estimator = self._link.estimator
        clean = estimator.is_clean(now)
        pace = PACE_QUEUE if estimator.queue_ms > QUEUE_MS else PACE
        self._pacer.kbit_s = estimator.kbit_s * (PACE_CLEAN if clean else pace)
        burst = min(BURST_BYTES, max(BURST_LEAST_BYTES, round(estimator.kbit_s * 125 * BURST_S)))
        self._pacer.burst_bytes = BURST_CLEAN_BYTES if clean else burst
        self._resend_pacer.kbit_s = estimator.kbit_s * RESEND_SHARE
