"""Twin of EC Sense's TB600B and TB600C: streams a reading a second, or answers the question 86.

9600 8N1.  Nine bytes: FF 86, mass concentration, full range, value (each high byte first), checksum
(-sum) mod 256 over bytes 1 to 7.  The value carries `decimals` digits after the point, the range
none.  78 40 and 78 41 switch between streaming and answering (which is which differs between the
maker's own pages; 40 streams here); 87 reads gas, temperature and humidity.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections import deque

from drivers.sim.line import Line

_MOL_L = 24.45
"""Litres of one mole at 25 C, which the maker's example uses: 1000 ppm of CO are 1140 mg/m3."""
_MOLAR_G = {"co": 28.01, "h2s": 34.08, "cl2": 70.9, "nh3": 17.03, "so2": 64.07, "no2": 46.01}


def frame(*body: int) -> bytes:
    """FF, seven bytes, checksum."""
    return bytes((0xFF, *body, (0x100 - sum(body) % 0x100) % 0x100))


class Twin:
    """One module on `line`; `set` takes its gas in ppm."""

    def __init__(
        self,
        line: Line,
        *,
        gas: str = "co",
        decimals: int = 1,
        full_scale: int = 1000,
        mode: str = "active",
        period_s: float = 1.0,
    ) -> None:
        if mode not in ("active", "query"):
            raise ValueError(f"mode is {mode!r}, expected active or query")
        if not 0 <= decimals <= 3:
            raise ValueError(f"decimals is {decimals}, expected 0 to 3")
        self.gas = gas
        self.mode = mode
        self._line = line
        self._decimals = decimals
        self._full_scale = full_scale
        self._period_s = period_s
        self._value: float | None = 0.0
        self.commands: deque[bytes] = deque(maxlen=64)
        """The last commands received."""

    def set(self, **values: float | None) -> None:
        """What the cell feels from now on; None: it keeps silent.  ValueError: another gas."""
        for name, value in values.items():
            if name != self.gas:
                raise ValueError(f"this module does not measure {name!r}, only {self.gas}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
            self._value = value

    def reading(self) -> bytes | None:
        """The frame of this moment."""
        if self._value is None:
            return None
        felt = min(max(self._value, 0.0), self._full_scale)
        mass = felt * _MOLAR_G.get(self.gas, 28.01) / _MOL_L
        return frame(
            0x86,
            *min(int(mass * 10**self._decimals + 0.5), 0xFEFF).to_bytes(2, "big"),
            *self._full_scale.to_bytes(2, "big"),
            *min(int(felt * 10**self._decimals + 0.5), 0xFEFF).to_bytes(2, "big"),
        )

    async def run(self) -> None:
        """Speak and answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(), name="tb600 twin: speak")
            tasks.create_task(self._answer(), name="tb600 twin: answer")

    async def _speak(self) -> None:
        while True:
            if self.mode == "active":
                await self._send(self.reading())
            await asyncio.sleep(self._period_s)

    async def _answer(self) -> None:
        held = b""
        while True:
            held += await self._line.read()
            while len(held) >= 9:
                command = held[:9]
                if command[:2] == b"\xff\x01" and command == frame(*command[1:8]):
                    held = held[9:]
                    self.commands.append(command)
                    if command[2] == 0x86:
                        await self._send(self.reading())
                    elif command[2:4] in (b"\x78\x40", b"\x78\x41"):
                        self.mode = "active" if command[3] == 0x40 else "query"
                else:
                    held = held[1:]

    async def _send(self, data: bytes | None) -> None:
        if data is not None:
            await self._line.write(data)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim tb600`."""
    parser.add_argument("--gas", default="co")
    parser.add_argument("--decimals", type=int, default=1)
    parser.add_argument("--full-scale", type=int, default=1000)
    parser.add_argument("--mode", choices=["active", "query"], default="active")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(
        line,
        gas=options.gas,
        decimals=options.decimals,
        full_scale=options.full_scale,
        mode=options.mode,
    )
