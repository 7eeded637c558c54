"""Whoever carries a unit, or sits in it: the one place where the rules about a person meet a clock,
a disk, readings and commands.  `at` is CLOCK_BOOTTIME, seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from agent.alarms.engine import PANEL, Engine
from agent.alarms.motion import State
from agent.alarms.person import BATTERY_CODES, Due
from agent.alarms.sos import Call, Stage
from agent.alarms.standing import Cause
from agent.alarms.zones import CODES as ZONE_CODES
from agent.alarms.zones import Zone
from agent.annunciator import CHECK_IN, CODE, CONFIRMED, PREALARM, Prompt
from agent.clock import UnitClock, boottime_s
from agent.messages import Alarm, Reading
from agent.messages.person import PersonStatus
from agent.person.areas import Areas
from agent.person.calls import Calls, OnAlarms, OnEvent
from agent.person.watch import Watch
from agent.settings.person import PersonConfig, rules
from agent.store import Store

log = logging.getLogger(__name__)

KEPT = "person"
KEEP_EACH_S = 10.0
"""A restart costs no more of a stillness that nobody has noticed yet."""
CODES = frozenset({"no_motion", "check_in", "position_lost", *BATTERY_CODES, *ZONE_CODES})
"""Alarms whose condition is judged here, calls for help apart."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What must survive a restart."""

    boot: str
    check_in_due: float
    still: float
    zones: tuple[Zone, ...]
    inside: dict[str, bool]
    call: Call | None


class Responder:
    """Made once per run, on the loop; `begin` after the engine's alarms are restored."""

    def __init__(
        self,
        config: PersonConfig,
        profile: str,
        engine: Engine,
        store: Store,
        clock: UnitClock,
        *,
        on_alarms: OnAlarms,
        on_event: OnEvent,
        on_change: Callable[[], None],
        is_settled: Callable[[tuple[int, int]], bool],
        unprotected: Callable[[], tuple[str, ...]],
    ) -> None:
        """`on_change`: the status is worth telling anew; `unprotected`: agent.alarms.protection's
        answer of this moment."""
        at = boottime_s()
        in_force = rules(config, profile)
        self.tell: Callable[[Stage, bool], None] = lambda stage, silent: None
        """Tells the caller for help, at the unit."""
        self.unprotected: tuple[str, ...] = ()
        self._engine = engine
        self._store = store
        self._clock = clock
        self._on_alarms = on_alarms
        self._on_event = on_event
        self._on_change = on_change
        self._unprotected = unprotected
        self.watch = Watch(config, in_force, at, tell=self._condition, on_event=self._event)
        self.areas = Areas(config.zone, tell=self._condition, on_event=self._event)
        self.calls = Calls(
            config.sos, engine, clock, on_alarms=on_alarms, on_event=self._event,
            is_settled=is_settled, tell=lambda stage, silent: self.tell(stage, silent),
        )  # fmt: skip
        self._kept_at = at
        self._shown: tuple[object, ...] = ()

    # -- a run -----------------------------------------------------------------------------

    def begin(self, stored: Mapping[str, bytes] | None = None) -> None:
        """Go on as before the restart; what stood and is judged here no more has gone.  Once more,
        with what it held, where the store could be opened only later."""
        at, active = boottime_s(), self._engine.active()
        kept = self._read(self._store.kept if stored is None else stored)
        same_boot = kept is not None and kept.boot == self._clock.boot != ""
        self.watch.restore(active, kept.still if kept is not None else 0.0, at)
        if kept is not None:
            if same_boot:
                self.watch.check_in.restore(kept.check_in_due, at)
            self.areas.restore(kept.zones, kept.inside)
        self.calls.restore(kept.call if kept is not None else None, at, same_boot=same_boot)
        self.tick()
        for alarm in active:
            if alarm.code in CODES and not self._holds(alarm):
                cause = Cause(
                    source=alarm.source, quantity=alarm.quantity, code=alarm.code,
                    t=self._clock.now_ms(),
                )  # fmt: skip
                self._condition(cause, False)

    def reading(self, reading: Reading, age_s: float) -> None:
        """In the turn of the sample; its frame began `age_s` ago."""
        at, t = boottime_s() - age_s, self._clock.now_ms()
        self.watch.reading(reading, at, t)
        if self.areas.reading(reading, t):
            self.keep()
            self._on_change()

    def tick(self) -> None:
        """At least twice a second."""
        at = boottime_s()
        self.watch.tick(at, self._clock.now_ms())
        self.calls.tick(at)
        self.unprotected = self._unprotected()
        shown = (
            self.calls.status(), self.watch.motion.state, self.watch.due,
            self.watch.driving.driving, self.unprotected,
        )  # fmt: skip
        if shown != self._shown:
            self._shown = shown
            self._on_change()
        if at - self._kept_at >= KEEP_EACH_S and self.watch.motion.still > 0:
            self.keep()

    def changed(self, changes: list[Alarm]) -> None:
        """What became of alarms: a call for help may have been answered."""
        before = self.calls.call
        self.calls.changed(changes, boottime_s())
        if self.calls.call is not before:
            self.keep(urgent=True)

    # -- what a person does ----------------------------------------------------------------

    def call(self, by: str, *, silent: bool = False) -> None:
        """Help is called for."""
        self.calls.make(boottime_s(), silent=silent, by=by)
        self.keep(urgent=True)

    def begin_code(self) -> bool:
        """SOS was held for long while a call stands: its code may follow."""
        return self.calls.begin_code(boottime_s())

    def pressed(self) -> bool:
        """The wearer's own acknowledge button; True where it is a digit of a code, and no
        acknowledgement."""
        at = boottime_s()
        if self.calls.code.entering:
            self.calls.code.press(at)
            return True
        self.watch.pressed(at, self._clock.now_ms(), PANEL)
        self.keep()
        self._on_change()
        return False

    def check_in(self, by: str) -> None:
        """Somebody says that the wearer is well."""
        self.watch.checked(boottime_s(), self._clock.now_ms(), by)
        self.keep()
        self._on_change()

    def cancel(self, reason: str, by: str) -> None:
        """LookupError: no call for help stands."""
        self.calls.cancel(reason, by)
        self.keep(urgent=True)

    def put_zone(self, zone: Zone, by: str) -> None:
        """ValueError as of Areas.put."""
        self.areas.put(zone, by, self._clock.now_ms(), self._engine.fix)
        self.keep(urgent=True)
        self._on_change()

    def remove_zone(self, name: str, by: str) -> None:
        """LookupError, ValueError as of Areas.remove."""
        self.areas.remove(name, by, self._clock.now_ms())
        self.keep(urgent=True)
        self._on_change()

    # -- what it says ----------------------------------------------------------------------

    @property
    def driving(self) -> bool:
        return self.watch.driving.driving

    def prompts(self) -> list[Prompt]:
        """What the wearer is told that is no alarm."""
        asked = (
            (self.calls.code.entering, CODE),
            (self.calls.confirmed_now(boottime_s()), CONFIRMED),
            (self.watch.motion.state is State.PREALARM, PREALARM),
            (self.watch.due is Due.DUE, CHECK_IN),
        )
        return [prompt for holds, prompt in asked if holds]

    def status(self) -> PersonStatus:
        at, t, watch = boottime_s(), self._clock.now_ms(), self.watch
        alarm_at = watch.motion.alarm_at()
        due = None if watch.due is Due.OFF else t + round((watch.check_in.due_at - at) * 1000)
        return PersonStatus(
            sos=self.calls.status(),
            motion=watch.motion.state.value if watch.watches_motion else "off",
            no_motion_at=None if alarm_at is None else t + round((alarm_at - at) * 1000),
            check_in=watch.due.value, check_in_due=due, driving=self.driving,
            zones=self.areas.status(), protected=not self.unprotected,
            unprotected=self.unprotected,
        )  # fmt: skip

    def keep(self, *, urgent: bool = False) -> None:
        """Hand what must survive to the disk."""
        self._kept_at = boottime_s()
        kept = _Kept(
            boot=self._clock.boot, check_in_due=self.watch.check_in.due_at,
            still=self.watch.motion.still, zones=tuple(self.areas.drawn()),
            inside=self.areas.inside(), call=self.calls.call,
        )  # fmt: skip
        self._store.keep(KEPT, msgspec.json.encode(kept), urgent=urgent)

    # -- within ----------------------------------------------------------------------------

    def _condition(self, cause: Cause, holds: bool) -> None:
        self._on_alarms(self._engine.condition(cause, holds=holds))

    def _event(self, event: str, source: str = "", detail: str = "", **data: object) -> None:
        self._on_event(event, source, detail, **data)
        if event in ("sos_reached", "sos_unconfirmed", "check_in_due", "checked_in"):
            self.keep(urgent=True)

    def _holds(self, alarm: Alarm) -> bool:
        return self.areas.holds(alarm) if alarm.code in ZONE_CODES else self.watch.holds(alarm)

    def _read(self, stored: Mapping[str, bytes]) -> _Kept | None:
        try:
            found = stored.get(KEPT)
            return None if found is None else msgspec.json.decode(found, type=_Kept)
        except msgspec.DecodeError as error:
            log.error("what was kept of the wearer cannot be read: %s", error)
            return None
