"""What is drawn over the unit's pictures: the latest values, the standing alarms, the place."""

from __future__ import annotations

import asyncio

from agent.config import UnitConfig
from agent.media import wire
from agent.messages import Alarm, Reading

PERIOD_S = 0.5
READINGS_MAX = 8
ALARMS_MAX = 4
_UNITS = {"/100": "%", "Cel": "°C", "%RH": "%RH", "deg": "°"}


class Overlay:
    """Collects; `changed` paces it, so that a fast sensor costs no more than a slow one."""

    def __init__(self, unit: UnitConfig) -> None:
        self._unit = unit
        self._place = ""
        self._readings: dict[str, str] = {}
        self._alarms: list[str] = []
        self._news = asyncio.Event()

    def reading(self, reading: Reading) -> None:
        if reading.fix is not None:
            if reading.fix.lat is not None and reading.fix.lon is not None:
                self._place = f"{reading.fix.lat:.5f} {reading.fix.lon:.5f}"
        elif reading.quantity in self._readings or len(self._readings) < READINGS_MAX:
            value = "--" if reading.value is None else f"{reading.value:g}"
            unit = _UNITS.get(reading.unit, reading.unit)
            self._readings[reading.quantity] = f"{reading.quantity.upper()} {value} {unit}"
        self._news.set()

    def alarms(self, active: tuple[Alarm, ...]) -> None:
        self._alarms = [
            f"{alarm.code.upper()} {alarm.quantity.upper()}" for alarm in active[:ALARMS_MAX]
        ]
        self._news.set()

    async def changed(self) -> None:
        """Returns when there is something new, and not before `PERIOD_S` has passed."""
        await asyncio.sleep(PERIOD_S)
        await self._news.wait()
        self._news.clear()

    def message(self, time_ms: int) -> wire.Overlay:
        return wire.Overlay(
            unit=self._unit.name.get("zh", self._unit.id), place=self._place, mark=self._unit.mark,
            time_ms=time_ms, readings=list(self._readings.values()), alarms=self._alarms,
        )  # fmt: skip
