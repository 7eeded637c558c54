"""Twin of the particle sensors of Plantower (PMSx003) and Winsen (ZH03B, ZH06) in active mode.

9600 8N1, a frame a second.  `BM`, length, words (high byte first), and the sum of all bytes before
in 16 bits.  Plantower: 13 words, the last one version and error code.  Winsen: 9 words, of which
the fourth to sixth are PM1, PM2.5 and PM10.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import struct

from drivers.sim.line import Line

MODELS = ("pms", "zh03b")
_VERSION = 0x97
_CF1_OF_ATMOSPHERE = 1.4


def frame(words: list[int]) -> bytes:
    """`BM`, the length of what follows, the words, their sum."""
    body = b"BM" + struct.pack(f">H{len(words)}H", 2 * len(words) + 2, *words)
    return body + struct.pack(">H", sum(body) & 0xFFFF)


class Twin:
    """One sensor on `line`.  `set` takes pm1, pm2_5 and pm10 in ug/m3; None for any: error 01 of a
    Plantower; a Winsen has no word for it and keeps silent."""

    def __init__(self, line: Line, *, model: str = "pms", period_s: float = 1.0) -> None:
        if model not in MODELS:
            raise ValueError(f"no model {model!r}, expected one of {', '.join(MODELS)}")
        self._line = line
        self._model = model
        self._period_s = period_s
        self._values: dict[str, float | None] = {"pm1": 5.0, "pm2_5": 10.0, "pm10": 15.0}

    def set(self, **values: float | None) -> None:
        """What the air holds from now on.  ValueError: a quantity that is not measured."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"this sensor does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def active_frame(self) -> bytes | None:
        """The frame of this moment."""
        felt = [value for value in self._values.values() if value is not None]
        broken = len(felt) < 3
        air = [0, 0, 0] if broken else [min(max(round(value), 0), 0xFFFF) for value in felt]
        if self._model == "zh03b":
            return None if broken else frame([0, 0, 0, *air, 0, 0, 0])
        factory = [min(round(value * _CF1_OF_ATMOSPHERE), 0xFFFF) for value in air]
        counts = [min(air[1] * factor, 0xFFFF) for factor in (90, 27, 5, 1, 0, 0)]
        return frame([*factory, *air, *counts, _VERSION << 8 | broken])

    async def run(self) -> None:
        """Speak until cancelled."""
        while True:
            data = self.active_frame()
            if data is not None:
                await self._line.write(data)
            await asyncio.sleep(self._period_s)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim particles`."""
    parser.add_argument("--model", choices=MODELS, default="pms")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, model=options.model)
