"""What people at the unit see, hear and do: lamp, buzzer, heartbeat, voice, buttons."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agent.alarms.engine import PANEL, Engine
from agent.alarms.person import QUIET_RANK
from agent.alarms.sos import CODES as SOS_CODES
from agent.alarms.sos import Stage
from agent.annunciator import DISCREET, Annunciator, Prompt
from agent.clock import UnitClock
from agent.messages import Alarm
from agent.neighbours.part import NeighbourPart
from agent.orders import book as orders
from agent.orders.book import Orders
from agent.person.responder import Responder
from agent.speech import Speech

if TYPE_CHECKING:
    from drivers.panel import Panel

WINKS = {Stage.QUEUED: 1, Stage.REACHED: 2, Stage.CONFIRMED: 3, Stage.CANCELLED: 4}
"""Of a silent call: its discreet confirmations."""


class OnTheSpot:
    """`on_alarms` takes the transitions that a button makes, `on_event` what a person did."""

    def __init__(
        self,
        engine: Engine,
        clock: UnitClock,
        responder: Responder,
        speech: Speech,
        on_alarms: Callable[[list[Alarm]], Any],
        on_event: Callable[..., Any],
    ) -> None:
        self.panel: Panel | None = None
        self.near: NeighbourPart | None = None
        self.orders: Orders | None = None
        self.speech = speech
        self._engine = engine
        self._clock = clock
        self._responder = responder
        self._annunciator = Annunciator()
        self._on_alarms = on_alarms
        self._on_event = on_event
        self._pattern = ""
        """What the panel shows."""
        self._prompted: set[Prompt] = set()
        self._held_down_new = False
        responder.tell = self._tell_caller

    # -- what is seen and heard --------------------------------------------------------------

    def changed(self, changes: list[Alarm], active: tuple[Alarm, ...]) -> None:
        self._annunciator.changed(changes)
        self._responder.changed(changes)
        self.show(active)
        for change in changes:
            if change.change in ("raised", "worsened") and self._is_spoken(change):
                self.speech.alarm(change)

    def show(self, active: tuple[Alarm, ...]) -> None:
        responder = self._responder
        near = self.near.prompts() if self.near is not None else ()
        told = self.orders.prompts() if self.orders is not None else ()
        prompts = (*responder.prompts(), *near, *told)
        for prompt in set(prompts) - self._prompted:
            if prompt.key and (prompt.rank < QUIET_RANK or not responder.driving):
                self.speech.say(prompt.key, prompt.rank)
        self._prompted = set(prompts)
        if self.panel is None:
            return
        shown = self._annunciator.shown(
            active, time.monotonic(), stage=responder.calls.stage, prompts=prompts,
            driving=responder.driving,
        )  # fmt: skip
        self._pattern = shown.pattern
        self.panel.show(shown.pattern, lamp_only=shown.lamp_only)
        self.panel.lights.heartbeat(not responder.unprotected)

    def _is_spoken(self, alarm: Alarm) -> bool:
        """A call for help is spoken of by its stages, a silent one never."""
        if alarm.code in SOS_CODES or alarm.code in DISCREET:
            return False
        return alarm.rank < QUIET_RANK or not self._responder.driving

    def _tell_caller(self, stage: Stage, silent: bool) -> None:
        """How far a call for help has come."""
        if silent:
            if self.panel is not None and stage in WINKS:
                self.panel.lights.wink(WINKS[stage])
            return
        if stage is not Stage.CONFIRMED:  # its prompt says it
            self.speech.say(f"sos_{stage.value}", 2.0)
        self.show(self._engine.active())

    # -- buttons -----------------------------------------------------------------------------

    def sos(self, silent: bool = False) -> None:
        self._held_down_new = self._responder.calls.call is None
        self._responder.call(PANEL, silent=silent)

    def cancel_sos(self) -> None:
        """SOS is still held: a code may follow, unless it is this very hold that has called."""
        if not self._held_down_new and self._responder.begin_code():
            self.show(self._engine.active())

    def clean_air(self) -> None:
        """The unit's own button was held: the air is clean, says who stands in it."""
        for alarm in self._engine.active():
            if alarm.code == "over_range":
                try:
                    changes = self._engine.clean_air(alarm.alarm, PANEL, self._clock.now_ms())
                    self._on_alarms(changes)
                except ValueError as error:
                    self._on_event("clean_air_refused", alarm.source, str(error))

    def acknowledge(self) -> None:
        """The unit's own button: everything that stands has been seen, and is silent.  A call for
        help is not: who called has not been answered."""
        if self._responder.pressed():
            return
        if self.orders is not None and self._pattern == orders.PATTERN:
            # The button answers what is shown; a message is shown behind every alarm.
            self.orders.pressed(PANEL)
            self.show(self._engine.active())
            return
        for alarm in self._engine.active():
            if alarm.code not in SOS_CODES:
                self._on_alarms(self._engine.acknowledge(alarm.alarm, PANEL))
        self._silence(self._engine.active(), PANEL)
        if self.near is not None:
            self.near.silence()
        self.show(self._engine.active())

    def silence(self, name: str, by: str) -> None:
        """A person at a page on board has acknowledged this alarm."""
        active = self._engine.active()
        self._silence([alarm for alarm in active if alarm.alarm == name], by)
        self.show(active)

    def _silence(self, alarms: Sequence[Alarm], by: str) -> None:
        if alarms:
            self._on_event("silenced", by, alarms=[alarm.alarm for alarm in alarms])
        self._annunciator.silence(alarms, time.monotonic())
