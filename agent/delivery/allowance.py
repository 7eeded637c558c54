"""What one link may carry now, and in how much detail.  Pure: times are arguments.

Alarms and acks always go, and are counted.  Live readings go as far as rate and budget bear,
thinned where they do not; history goes with what is left over.
"""

from __future__ import annotations

from agent.delivery.budget import BURST_BYTES, Bucket, Budget, Spent
from agent.delivery.detail import Demand, Detail
from agent.delivery.status_pace import per_day

LIVE_SHARE = 0.8
"""Of a rate: the rest is for alarms, statuses and the answers to commands."""
CONGESTED_S = 2.0
"""Live records that have waited so long without an end show that the link bears no more."""
CREDIT_S = 60.0
"""History may save up what was left over in so long."""


class Allowance:
    """Of one link, over all its connections."""

    def __init__(self, rate_kbit_s: float, budget_bytes: int, spent: Spent, now: float) -> None:
        self.budget = Budget(budget_bytes, spent)
        self.detail = Detail()
        self._bucket = Bucket(rate_kbit_s * 125, now)
        self._charged = 0
        self._credit = 0.0
        self._looked_at = now

    def limit(self, rate_kbit_s: float, budget_bytes: int, now: float) -> None:
        """Another rate and another budget of the day; what was spent of it stays spent."""
        self._bucket = Bucket(rate_kbit_s * 125, now)
        self.budget.per_day = budget_bytes

    @property
    def per_day(self) -> float:
        """Bytes that the link may carry a day; infinite where nothing limits it."""
        return per_day(self.budget.per_day, self._bucket.rate)

    # -- before it goes -----------------------------------------------------------------------

    def may_live(self, now: float) -> bool:
        return self._bucket.free(now) > 0

    def history_room(self, now: float, *, asked: bool = False) -> float:
        """Bytes; infinite where nothing is limited.  `asked`: the rate alone limits it, for what a
        center asks for has been thought about."""
        room = self._bucket.free(now) - BURST_BYTES / 2
        unlimited = asked or not self.budget.per_day
        return max(0.0, room if unlimited else min(room, self._credit))

    def due_s(self, now: float) -> float:
        """Seconds until it is worth looking again."""
        return min(1.0, max(0.02, self._bucket.full_in(now, BURST_BYTES)))

    def charge(self, size: int, *, history: bool) -> None:
        """So many bytes have been handed over, as far as that can be told beforehand."""
        self._charged += size
        self._bucket.take(size)
        if history:
            self._credit -= size

    # -- after it has gone --------------------------------------------------------------------

    def measured(self, sent: int, received: int, now_ms: int, *, known: bool) -> Spent | None:
        """What has really passed since the last time; a day that is over by this, once."""
        self._bucket.take(sent - self._charged)
        self._charged = 0
        return self.budget.spend(sent + received, now_ms, known=known)

    def look(
        self, demand: Demand, waited_s: float, throughput: float, now: float, now_ms: int
    ) -> bool:
        """Each second: how much detail there may be; True: it has changed.  `waited_s`: so long
        live records have been waiting; `throughput`: bytes of records a second of late."""
        pace = self.budget.pace(now_ms)
        self._save_up(pace - demand.of(self.detail.level), now)
        available = pace
        if self._bucket.rate:
            available = min(available, LIVE_SHARE * self._bucket.rate)
        if waited_s > CONGESTED_S:
            available = min(available, LIVE_SHARE * throughput)
        return self.detail.look(demand, available, now)

    def _save_up(self, spare: float, now: float) -> None:
        seconds, self._looked_at = now - self._looked_at, now
        if self.budget.per_day:
            most = max(float(BURST_BYTES), spare * CREDIT_S)
            self._credit = min(most, self._credit + max(0.0, spare) * seconds)
