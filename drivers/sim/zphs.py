"""Twin of Winsen's ZPHS01B: answers the read command with 26 bytes.

9600 8N1.  FF 86, PM1, PM2.5, PM10 (ug/m3), CO2 (ppm), VOC grade (one byte), temperature ((raw -
500) / 10 C), humidity (%), CH2O (0.001 mg/m3), CO (0.1 ppm), O3, NO2 (0.01 ppm), two bytes,
checksum.
"""

from __future__ import annotations

import argparse
import math
from collections import deque

from drivers.sim.line import Line

_READ = bytes((0xFF, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79))
_PPM_OF_CH2O_IN_MG_M3 = 30.026 / 24.055

_START: dict[str, float | None] = {
    "pm1": 5.0, "pm2_5": 10.0, "pm10": 15.0, "co2": 600.0, "voc_grade": 0.0, "temperature": 20.0,
    "humidity": 50.0, "ch2o": 0.0, "co": 0.0, "o3": 0.0, "no2": 0.0,
}  # fmt: skip


class Twin:
    """One board on `line`.  `set` takes pm1, pm2_5, pm10 in ug/m3; co2, ch2o, co, o3, no2 in ppm;
    voc_grade 0 to 3; temperature in Cel; humidity in %RH.  None: all bits of that value are set."""

    def __init__(self, line: Line, *, temperature_offset: int = 500, echo: bool = False) -> None:
        self._line = line
        self._offset = temperature_offset
        self._echo = echo
        self._values = dict(_START)
        self.commands: deque[bytes] = deque(maxlen=64)
        """The last commands received."""

    def set(self, **values: float | None) -> None:
        """What the board feels from now on.  ValueError: a quantity that it does not measure."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"this board does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def reply(self) -> bytes:
        """The answer of this moment."""
        body = bytearray((0x86,))
        for name, per_unit in (("pm1", 1), ("pm2_5", 1), ("pm10", 1), ("co2", 1)):
            body += self._word(name, per_unit)
        grade = self._values["voc_grade"]
        body.append(0xFF if grade is None else int(grade))
        body += self._word("temperature", 10, self._offset)
        body += self._word("humidity", 1)
        body += self._word("ch2o", 1000 * _PPM_OF_CH2O_IN_MG_M3)
        body += self._word("co", 10)
        body += self._word("o3", 100) + self._word("no2", 100) + bytes(2)
        return bytes((0xFF, *body, (0x100 - sum(body) % 0x100) % 0x100))

    def _word(self, name: str, per_unit: float, offset: int = 0) -> bytes:
        value = self._values[name]
        raw = 0xFFFF if value is None else math.floor(value * per_unit + offset + 0.5)
        return min(max(raw, 0), 0xFFFF).to_bytes(2, "big")

    async def run(self) -> None:
        """Answer until cancelled."""
        held = b""
        while True:
            held += await self._line.read()
            while len(held) >= 9:
                if held[:2] != b"\xff\x01":
                    held = held[1:]
                    continue
                command, held = held[:9], held[9:]
                self.commands.append(command)
                if self._echo:
                    await self._line.write(command)
                if command == _READ:
                    await self._line.write(self.reply())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim zphs`."""
    parser.add_argument("--temperature-offset", type=int, default=500)


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, temperature_offset=options.temperature_offset)
