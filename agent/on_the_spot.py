"""What people at the unit hear and see of its alarms, and what they do with its buttons."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from agent.alarms.engine import PANEL, Engine
from agent.annunciator import Annunciator
from agent.clock import UnitClock
from agent.messages import Alarm
from drivers.panel import Panel


class OnTheSpot:
    """`on_alarms` takes the transitions that a button makes, `on_event` what a person did."""

    def __init__(
        self,
        engine: Engine,
        clock: UnitClock,
        on_alarms: Callable[[list[Alarm]], None],
        on_event: Callable[..., Any],
    ) -> None:
        self.panel: Panel | None = None
        self._engine = engine
        self._clock = clock
        self._annunciator = Annunciator()
        self._on_alarms = on_alarms
        self._on_event = on_event

    def changed(self, changes: list[Alarm], active: tuple[Alarm, ...]) -> None:
        self._annunciator.changed(changes)
        self.show(active)

    def show(self, active: tuple[Alarm, ...]) -> None:
        if self.panel is not None:
            self.panel.show(self._annunciator.pattern(active, time.monotonic()))

    # -- buttons -----------------------------------------------------------------------------

    def sos(self) -> None:
        self._on_alarms(self._engine.sos(self._clock.now_ms()))

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
        for alarm in self._engine.active():
            if alarm.code != "sos":
                self._on_alarms(self._engine.acknowledge(alarm.alarm, PANEL))
        active = self._engine.active()
        if active:
            self._on_event("silenced", PANEL, alarms=[alarm.alarm for alarm in active])
        self._annunciator.silence(active, time.monotonic())
        self.show(active)
