"""What a unit must know of itself: that its disk takes what it writes, that its clock goes."""

from __future__ import annotations

from agent.alarms.engine import UNIT, Engine
from agent.alarms.standing import Cause
from agent.alarms.timekeeping import CODES, Timekeeping
from agent.clock import UnitClock, boottime_s
from agent.messages import Alarm, Clock
from agent.store import Store

DISK_AFTER_S = 2.0
"""A disk that refuses for so long is an alarm, not a hiccup."""
QUANTITY = {"disk": "disk", "clock_stopped": "clock", "clock_unset": "clock"}


class Vitals:
    """Looked at each second or so."""

    def __init__(self, engine: Engine, store: Store, clock: UnitClock) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._timekeeping = Timekeeping()
        self._refuses_since: float | None = None

    def check(self) -> list[Alarm]:
        """The transitions of this moment."""
        now_s, t = boottime_s(), self._clock.now_ms()
        held = set(self._timekeeping.holding(now_s, t, unset=self._clock.source is Clock.FREE))
        if not self._store.trouble:
            self._refuses_since = None
        elif self._refuses_since is None:
            self._refuses_since = now_s
        elif now_s - self._refuses_since >= DISK_AFTER_S:
            held.add("disk")
        return [
            change
            for code in ("disk", *CODES)
            for change in self._engine.condition(
                Cause(source=UNIT, quantity=QUANTITY[code], code=code, t=t), holds=code in held
            )
        ]
