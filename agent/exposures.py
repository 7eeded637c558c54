"""The dose of who carries this unit, kept through restarts and handed to nobody.

Sums are agent/alarms/exposure.py's; here they get a clock, a place on disk, a wearer and a voice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from agent.alarms import exposure
from agent.alarms.engine import Engine
from agent.alarms.exposure import Saved, Shift, Wearer
from agent.alarms.standing import Cause
from agent.clock import UnitClock, boottime_s
from agent.messages import Alarm, Clock, Exposure, Reading
from agent.store import Store

log = logging.getLogger(__name__)

KEPT = "exposure"
SHIFT_MAX_S = 24 * 3600.0
"""A shift that nobody ended is closed: a dose of days over 8 hours would mean nothing."""
PAUSE_MAX_S = 8 * 3600.0
"""A unit that was off for so long comes back to a new shift."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    boot: str
    utc_ms: int
    clock: Clock
    configured: Wearer
    """Who the configuration named then."""
    shift: Saved


class Exposures:
    """Begun once per run, on the loop; all times are CLOCK_BOOTTIME's, which goes on through a
    restart of the agent and through suspend."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        clock: UnitClock,
        *,
        hold_s: Mapping[str, float],
        configured: Wearer,
        on_alarms: Callable[[list[Alarm]], object],
        on_event: Callable[..., None],
        on_change: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._hold_s = hold_s
        self._configured = configured
        self._on_alarms = on_alarms
        self._on_event = on_event
        self._on_change = on_change
        self._shift = self._new(configured)

    # -- a run -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Go on with the shift that was kept, or close it."""
        kept = self._read()
        if kept is not None:
            gap_s = self._gap_s(kept)
            self._shift = Shift.restore(
                kept.shift, self._engine.point, self._hold_s, boottime_s() - gap_s - kept.shift.at
            )
            if kept.configured != self._configured and self._configured != self._shift.wearer:
                self._close("configuration", self._configured, "")
            elif gap_s >= PAUSE_MAX_S:
                self._close("pause", self._shift.wearer, "")
            else:
                log.info("exposure goes on after %.0f s that are not covered", gap_s)
        holding = self._shift.holding()
        gone = [
            _cause_of(alarm, self._clock.now_ms())
            for alarm in self._engine.active()
            if alarm.code in exposure.CODES and alarm.alarm not in holding
        ]
        self._tell([(cause, False) for cause in gone])
        self.keep()

    def reading(self, reading: Reading, age_s: float) -> None:
        """In the turn of the sample; its frame began `age_s` ago."""
        self._tell(self._shift.reading(reading, boottime_s() - age_s, self._clock.now_ms()))

    def tick(self) -> None:
        """At least each few seconds: a minute may have ended."""
        now = boottime_s()
        if now < self._shift.next_tick():
            return
        self._tell(self._shift.tick(now, self._clock.now_ms()))
        if now - self._shift.start >= SHIFT_MAX_S:
            self._close("longest shift", self._shift.wearer, "")
        if (report := self.report()).doses:
            self._event("exposure", "", report)
        self.keep()

    def keep(self, *, urgent: bool = False) -> None:
        """Each minute, and at a stop: a power cut costs no more than that."""
        kept = _Kept(
            boot=self._clock.boot, utc_ms=self._clock.now_ms(), clock=self._clock.source,
            configured=self._configured, shift=self._shift.save(boottime_s()),
        )  # fmt: skip
        self._store.keep(KEPT, msgspec.msgpack.encode(kept), urgent=urgent)

    def report(self) -> Exposure:
        now = boottime_s()
        self._tell(self._shift.tick(now, self._clock.now_ms()))
        return self._shift.report(now, self._clock.now_ms())

    def assign(self, wearer: Wearer, by: str, *, new_shift: bool = False) -> Exposure | None:
        """From now on it is worn by this person.  Returns the dose that was closed; None where the
        same person goes on."""
        if wearer == self._shift.wearer and not new_shift:
            return None
        return self._close("new shift" if wearer == self._shift.wearer else "handover", wearer, by)

    # -- within ------------------------------------------------------------------------------

    def _close(self, reason: str, wearer: Wearer, by: str) -> Exposure:
        """The dose of the former wearer is told and ends; the next one begins with none."""
        report = self.report()
        self._event("exposure_closed", reason, report, by=by, next=wearer.name or wearer.id)
        ended = [
            (_cause_of(alarm, self._clock.now_ms()), False)
            for alarm in self._engine.active()
            if alarm.code in exposure.CODES
        ]
        self._shift = self._new(wearer)
        self._tell(ended)
        self.keep(urgent=True)
        self._on_change()
        return report

    def _new(self, wearer: Wearer) -> Shift:
        return Shift(wearer, boottime_s(), self._clock.now_ms(), self._engine.point, self._hold_s)

    def _tell(self, changes: list[tuple[Cause, bool]]) -> None:
        for cause, holds in changes:
            self._on_alarms(self._engine.condition(cause, holds=holds))
        if changes:
            # What an alarm stands on must be as safe as the alarm.
            self.keep(urgent=True)

    def _event(self, event: str, detail: str, report: Exposure, **more: str) -> None:
        data = {**msgspec.to_builtins(report), **more}
        self._on_event(event, KEPT, detail, **data)

    def _read(self) -> _Kept | None:
        try:
            found = self._store.kept.get(KEPT)
            return None if found is None else msgspec.msgpack.decode(found, type=_Kept)
        except msgspec.DecodeError as error:
            log.error("the stored exposure cannot be read: %s", error)
            return None

    def _gap_s(self, kept: _Kept) -> float:
        """Seconds since it was kept.  After a power cut only a clock that goes on without power
        knows; where none does, nothing passes: a dose is then never too small for a gap."""
        if kept.boot and kept.boot == self._clock.boot:
            return max(0.0, boottime_s() - kept.shift.at)
        if Clock.FREE in (kept.clock, self._clock.source):
            return 0.0
        return max(0.0, (self._clock.now_ms() - kept.utc_ms) / 1000)


def _cause_of(alarm: Alarm, t: int) -> Cause:
    return Cause(source=alarm.source, quantity=alarm.quantity, code=alarm.code, t=t)
