"""What is drawn over the unit's pictures: the latest values, the standing alarms, the place."""

from __future__ import annotations

import asyncio

from agent.annunciator import DISCREET
from agent.media import wire
from agent.messages import Alarm, Reading
from agent.settings.tables import UnitConfig
from drivers import Quality

PERIOD_S = 0.5
READINGS_MAX = 8
ALARMS_MAX = 4
NOTHING = "--"
_UNITS = {"/100": "%", "Cel": "°C", "%RH": "%RH", "deg": "°"}


class Overlay:
    """Collects; `changed` paces it, so that a fast sensor costs no more than a slow one."""

    def __init__(self, unit: UnitConfig) -> None:
        self._unit = unit
        self._place: tuple[str, str] | None = None
        self._readings: dict[tuple[str, str], str] = {}
        self._alarms: tuple[Alarm, ...] = ()
        self._news = asyncio.Event()

    def reading(self, reading: Reading) -> None:
        key = (reading.source, reading.quantity)
        if reading.fix is not None:
            if reading.fix.lat is not None and reading.fix.lon is not None:
                self._place = (reading.source, f"{reading.fix.lat:.5f} {reading.fix.lon:.5f}")
        elif key in self._readings or len(self._readings) < READINGS_MAX:
            self._readings[key] = _text(reading)
        self._news.set()

    def alarms(self, active: tuple[Alarm, ...]) -> None:
        self._alarms = active
        self._news.set()

    async def changed(self) -> None:
        """Returns when there is something new, and not before `PERIOD_S` has passed."""
        await asyncio.sleep(PERIOD_S)
        await self._news.wait()
        self._news.clear()

    def message(self, time_ms: int) -> wire.Overlay:
        """Old values are never drawn as if they were of now: who is silent shows `--`."""
        silent = {(a.source, a.quantity) for a in self._alarms if a.code == "silent"}
        buses = {a.source for a in self._alarms if a.code == "bus"}
        silent |= {key for key in self._readings if key[0] in buses}
        silent |= {(source, "position") for source in buses}
        readings = [
            f"{quantity.upper()} {NOTHING}" if (source, quantity) in silent else text
            for (source, quantity), text in self._readings.items()
        ]
        place = ""
        if self._place is not None:
            place = NOTHING if (self._place[0], "position") in silent else self._place[1]
        alarms = [f"{alarm.code.upper()} {alarm.quantity.upper()}" for alarm in self._alarms
                  if alarm.code not in DISCREET]  # fmt: skip
        return wire.Overlay(
            unit=self._unit.name.get("zh", self._unit.id), place=place, mark=self._unit.mark,
            time_ms=time_ms, readings=readings, alarms=alarms[:ALARMS_MAX],
        )  # fmt: skip


def _text(reading: Reading) -> str:
    value = NOTHING if reading.value is None else f"{reading.value:g}"
    unit = _UNITS.get(reading.unit, reading.unit)
    good = reading.quality in (Quality.GOOD, Quality.CAL_DUE)
    worth = "" if good else f" {reading.quality.upper()}"
    return f"{reading.quantity.upper()} {value} {unit}{worth}"
