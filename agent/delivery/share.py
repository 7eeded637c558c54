"""What is left of a link for pictures: alarms and readings go first.  Pure.

Pictures find out by themselves what a path bears (agent/media/link).  Where they still make a
center's acknowledgements late, they get less until these come in time again.
"""

from __future__ import annotations

LATE_S = 0.8
"""Beyond what is usual: so long an alarm or a reading may wait for its acknowledgement."""
IN_TIME_S = 0.3
USUAL = 0.05
"""Of each look, into what is usual: a way that has become longer is so after some five seconds."""
HALF, GROWTH = 0.5, 2.0
DOWN_S, UP_S = 2.0, 1.0
"""Before a change: the queue must have time to show what the last one did."""
LEAST_KBIT_S = 60
"""A thin picture with its headers; less would be none."""
ENOUGH_KBIT_S = 4000
"""Above this there is no limit any more."""


class Share:
    """One unit's.  Times are of any clock that only rises."""

    def __init__(self) -> None:
        self.limit_kbit_s = 0
        """For all viewers together; 0: none."""
        self._changed_at = float("-inf")
        self._usual_s = 0.0

    def look(self, late_s: float, video_kbit_s: float, now: float) -> int:
        """`late_s`: how much longer than the shortest of late the oldest message has been waiting;
        the limit from now on.  To be called four times a second."""
        beyond_s = late_s - self._usual_s
        self._usual_s += USUAL * (late_s - self._usual_s)
        since_s = now - self._changed_at
        if beyond_s > LATE_S and video_kbit_s > 0 and since_s >= DOWN_S:
            less = min(video_kbit_s, self.limit_kbit_s or video_kbit_s) * HALF
            self._change(max(LEAST_KBIT_S, round(less)), now)
        elif beyond_s < IN_TIME_S and self.limit_kbit_s and since_s >= UP_S:
            more = round(self.limit_kbit_s * GROWTH)
            self._change(more if more < ENOUGH_KBIT_S else 0, now)
        return self.limit_kbit_s

    def _change(self, kbit_s: int, now: float) -> None:
        if kbit_s != self.limit_kbit_s:
            self.limit_kbit_s = kbit_s
            self._changed_at = now
