"""Twins of a Gill WindSonic (polar, continuous) and of a MaxiMet GMX500, in Gill's framing.

STX, fields with a comma behind each, ETX, XOR of what stands between as two hexadecimal digits,
CR LF.  A WindSonic speaks at 9600 8N1, a MaxiMet at 19200; a pty has no speed.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections import deque

from drivers.sim.line import Line

MODELS = ("windsonic", "maximet")

REPORT = "NODE DIR SPEED CDIR PRESS RH TEMP DEWPOINT TIME VOLT STATUS CHECK"
"""What the MaxiMet of this twin is set to send."""

_CALM_M_S = 0.05
_FIRST: dict[str, float] = {
    "wind_speed": 2.74,
    "wind_direction": 229.0,
    "pressure": 1013.2,
    "humidity": 65.0,
    "temperature": 23.5,
    "dew_point": 16.6,
    "supply_voltage": 12.1,
}
_WIND = ("wind_speed", "wind_direction")
_FAULT_BITS = {"wind_speed": 0x0001, "temperature": 0x0010, "humidity": 0x0040, "pressure": 0x0080}
_RATIO = {"M": 1.0, "N": 1852 / 3600, "P": 1609.344 / 3600, "K": 1000 / 3600, "F": 0.3048 / 60}


def frame(text: str) -> bytes:
    """STX, text, ETX, checksum, CR LF."""
    total = 0
    for letter in text.encode("ascii"):
        total ^= letter
    return f"\x02{text}\x03{total:02X}\r\n".encode("ascii")


class Twin:
    """One instrument on `line`; `set` takes what it feels; None is a failed sensor."""

    def __init__(
        self,
        line: Line,
        *,
        model: str = "windsonic",
        node: str = "Q",
        unit: str = "M",
        period_s: float = 1.0,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model is {model!r}, expected one of {', '.join(MODELS)}")
        if unit not in _RATIO:
            raise ValueError(f"unit is {unit!r}, expected one of {', '.join(_RATIO)}")
        self._line = line
        self._model = model
        self._node = node
        self._unit = unit
        self._period_s = period_s
        names = _WIND if model == "windsonic" else tuple(_FIRST)
        self._values: dict[str, float | None] = {name: _FIRST[name] for name in names}
        self.status: str | None = None
        """A status to send in place of the one that follows from the values."""
        self.heard: deque[bytes] = deque(maxlen=64)
        """What a client has written: never anything."""

    def set(self, **values: float | None) -> None:
        """ValueError: a quantity that this model does not measure, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"a {self._model} has no {name!r}, only {', '.join(self._values)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def reading(self) -> bytes:
        """The frame of this moment."""
        return frame(self._polar() if self._model == "windsonic" else self._report())

    def _polar(self) -> str:
        speed = self._values["wind_speed"]
        status = self.status or ("04" if speed is None else "00")
        value = "" if speed is None else f"{speed / _RATIO[self._unit]:06.2f}"
        return f"{self._node},{self._direction()},{value},{self._unit},{status},"

    def _direction(self) -> str:
        speed, direction = self._values["wind_speed"], self._values["wind_direction"]
        if speed is None or speed < _CALM_M_S or direction is None:
            return ""
        return f"{round(direction) % 360:03d}"

    def _report(self) -> str:
        bits = sum(bit for name, bit in _FAULT_BITS.items() if self._values[name] is None)
        cells = (
            self._node,
            self._direction(),
            self._cell("wind_speed", "06.2f"),
            self._direction(),
            self._cell("pressure", "06.1f"),
            self._cell("humidity", "03.0f"),
            self._cell("temperature", "+06.1f"),
            self._cell("dew_point", "+06.1f"),
            "2018-01-16T10:55:38.5",
            self._cell("supply_voltage", "+05.1f"),
            self.status or f"{bits:04X}",
        )
        return ",".join((*cells, ""))

    def _cell(self, name: str, form: str) -> str:
        value = self._values[name]
        return "" if value is None else f"{value:{form}}"

    async def run(self) -> None:
        """Speak until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(), name="gill twin: speak")
            tasks.create_task(self._listen(), name="gill twin: listen")

    async def _speak(self) -> None:
        while True:
            await self._line.write(self.reading())
            await asyncio.sleep(self._period_s)

    async def _listen(self) -> None:
        while True:
            self.heard.append(await self._line.read())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim gill`."""
    parser.add_argument("--model", choices=MODELS, default="windsonic")
    parser.add_argument("--node", default="Q")
    parser.add_argument("--unit", choices=sorted(_RATIO), default="M", help="of a WindSonic")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, model=options.model, node=options.node, unit=options.unit)
