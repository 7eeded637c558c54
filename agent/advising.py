"""The hints of agent/advice.py, in a unit: its wind, its place, where a limit was exceeded."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from agent.advice import EXCEEDS, Exceeded, Heard, Place, advice
from agent.alarms.validity import TRUSTED
from agent.messages import Advice, Alarm, AlarmState, Reading

if TYPE_CHECKING:
    from agent.app import App

MOVES_M_S = 1.0
"""Above it a mast on board feels the vehicle's own wind."""
PRESENT = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED})


TELL_EACH_S = 5.0
"""A wind that veers makes no storm of statuses."""


class Advisor:
    """One per unit; `tick` at least twice a second."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._heard: dict[tuple[str, str], Heard] = {}
        self._here: Place | None = None
        self._speed = 0.0
        self._exceeded: Exceeded | None = None
        self._told: tuple[object, ...] = ()
        self._told_at = -TELL_EACH_S
        self._mast = app.config.person.mast
        # What makes a true wind of an apparent one by itself is true also on the move.
        self._standing_only = frozenset(
            source.name
            for source in app.config.sources
            if getattr(source.options, "mount", "fixed") != "vehicle"
        )
        app.hub.judges.append(self._reading)

    def changed(self, changes: Iterable[Alarm]) -> None:
        """Also one that was over before anybody looked."""
        self._exceeds_here(changes)

    def tick(self) -> None:
        self._exceeds_here(self._app.engine.active())
        self._tell()

    def _exceeds_here(self, alarms: Iterable[Alarm]) -> None:
        """An alarm of gas that is present now exceeds its limit here."""
        for alarm in alarms:
            if alarm.code in EXCEEDS and alarm.state in PRESENT:
                self._exceeded = Exceeded(
                    alarm.alarm, self._app.clock.now_ms(), time.monotonic(), self._app.engine.fix
                )

    def _tell(self) -> None:
        now, shown = time.monotonic(), _shown(self.status())
        if shown != self._told and now - self._told_at >= TELL_EACH_S:
            self._told, self._told_at = shown, now
            self._app.soon()

    def status(self) -> Advice | None:
        moves = self._mast is None and self._speed > MOVES_M_S
        mast = self._mast
        made = advice(
            self._heard, self._here, self._exceeded, time.monotonic(),
            apparent=self._standing_only if moves else (),
            mast=None if mast is None else (mast[0], mast[1]),
        )  # fmt: skip
        return None if (made.no_upwind, made.no_exceedance) == ("no_wind", "none") else made

    def _reading(self, reading: Reading, age_s: float) -> None:
        at = time.monotonic() - age_s
        if reading.quantity.startswith("wind_"):
            self._heard[(reading.source, reading.quantity)] = Heard(reading, at)
        fix = reading.fix
        if fix is None or reading.quality not in TRUSTED or fix.lat is None or fix.lon is None:
            return
        self._here = Place(fix.lat, fix.lon, at)
        self._speed = fix.speed or 0.0


def _shown(advice: Advice | None) -> tuple[object, ...]:
    """What must differ to be worth telling: 10 degrees, 50 metres."""
    if advice is None:
        return ()
    up, far = advice.upwind, advice.exceedance
    return (
        advice.no_upwind, None if up is None else round(up.bearing_deg / 10),
        advice.no_exceedance, None if far is None else round(far.distance_m / 50),
    )  # fmt: skip
