"""A driver with mistakes in it, to show that fuzzing finds them: `python -m tests.fuzz.engine ...
planted`.  Its frames are FF, a command, two bytes of value and an XOR of these three."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from drivers import Counters, DriverConfig, Fix, Instrument, Quality, Sample
from drivers.checksum import xor8

INSTRUMENT = Instrument(title="Planted", evidence="made up")
LENGTH = 5

Mistake = Literal["raises", "grows", "hangs", "lies"]


class Config(DriverConfig, frozen=True, kw_only=True):
    mistake: Mistake = "raises"


PROBES = ({"mistake": "raises"},)


class Decoder:
    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self.counters = counters or Counters()
        self._buffer = bytearray()
        self._kept: list[bytes] = []
        self._value: Callable[[int], float] = {
            "raises": lambda number: 1000.0 / ((number >> 8) - 0x55),
            "grows": self._keep,
            "hangs": lambda number: float(sum(range(number * 200))),
            "lies": lambda number: float("nan") if number > 0x8000 else 0.0,
        }[config.mistake]

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        self._buffer += data
        found: list[Sample | Fix] = []
        while len(self._buffer) >= LENGTH:
            frame = bytes(self._buffer[:LENGTH])
            whole = frame[:2] == b"\xff\x86" and xor8(frame[1:4]) == frame[4]
            del self._buffer[: LENGTH if whole else 1]
            if whole:
                value = self._value(int.from_bytes(frame[2:4]))
                found.append(
                    Sample(quantity="co", value=value, unit="ppm", quality=Quality.GOOD, at=at)
                )
        return found

    def _keep(self, number: int) -> float:
        self._kept.append(bytes(2000))
        return float(number)
