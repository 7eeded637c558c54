"""Twins of Modbus RTU instruments with one kind of value each, on the bus of drivers/sim/modbus.py.

`scd30`      Sensirion's CO2 sensor: floats (high word first) in 0x28, 0x2A, 0x2C; data ready in
             0x27.  19200 8N1, address 97.
`head_6000`  a gas head: state in 0x6000, counts in 0x6001, run state in 0x6006.
`noise`      tenths of a dB in register 12.
`level`      unit (9: cm), decimals and value in registers 2, 3 and 4.
`gas_485`    whole counts in register 6.      `gas_rht`   humidity, temperature, gas in 0, 1, 2.
"""

from __future__ import annotations

import argparse
import struct
from collections import deque
from collections.abc import Sequence

from drivers.sim import modbus
from drivers.sim.line import Line

_AIR: dict[str, float | None] = {"temperature": 20.0, "humidity": 50.0}


class Probe:
    """The registers of one address; `values` are felt, `state` is what a head says of itself."""

    first = 0

    def __init__(self, values: dict[str, float | None]) -> None:
        self.values = values

    def registers(self) -> list[int | None]:
        raise ValueError("a probe without registers")

    def felt(self, name: str, per_unit: float) -> int | None:
        """Counts of 16 bits, two's complement; None of a broken sensor."""
        value = self.values[name]
        if value is None:
            return None
        return (
            min(max(int(value * per_unit + (0.5 if value >= 0 else -0.5)), -32768), 65535) & 0xFFFF
        )


class Scd30(Probe):
    """Registers 0x27 to 0x2D."""

    first = 0x27

    def registers(self) -> list[int | None]:
        words: list[int | None] = [1]
        for name in ("co2", "temperature", "humidity"):
            value = self.values[name]
            words += (
                [None, None] if value is None else struct.unpack(">HH", struct.pack(">f", value))
            )
        return words


class Head6000(Probe):
    """Registers 0x6000 to 0x6006."""

    first = 0x6000
    decimals = 1
    warmup_s: float | None = None
    """Seconds left, while it warms up."""
    flags = 0
    """Bits 0 to 6: low, high, STEL, TWA, over range, broken, protection."""
    run_state = 1

    def registers(self) -> list[int | None]:
        (name,) = self.values
        counts = self.felt(name, 10**self.decimals)
        state = 0x8000 | self.flags | (0x20 if counts is None else 0)
        if self.warmup_s is not None:
            state = int(self.warmup_s * 10) & 0x7FFF
        return [state, counts or 0, 0, 0, 0, 0, self.run_state]


class Noise(Probe):
    """Registers 0 to 12."""

    def registers(self) -> list[int | None]:
        return [*[0] * 12, self.felt("noise", 10)]


class Level(Probe):
    """Registers 0 to 4."""

    unit = 9
    decimals = 1

    def registers(self) -> list[int | None]:
        return [1, 3, self.unit, self.decimals, self.felt("level", 100 * 10**self.decimals)]


class Gas485(Probe):
    """Registers 0 to 6."""

    def registers(self) -> list[int | None]:
        (name,) = self.values
        return [*[0] * 6, self.felt(name, 1)]


class GasRht(Probe):
    """Registers 0 to 2."""

    def registers(self) -> list[int | None]:
        gas = next(name for name in self.values if name not in _AIR)
        return [self.felt("humidity", 10), self.felt("temperature", 10), self.felt(gas, 1)]


MODELS: dict[str, tuple[type[Probe], dict[str, float | None]]] = {
    "scd30": (Scd30, {"co2": 600.0, **_AIR}),
    "head_6000": (Head6000, {"h2s": 0.0}),
    "noise": (Noise, {"noise": 40.0}),
    "level": (Level, {"level": 1.0}),
    "gas_485": (Gas485, {"nh3": 0.0}),
    "gas_rht": (GasRht, {"co2": 600.0, **_AIR}),
}


class Twin(modbus.Twin):
    """A bus with one probe at each of `addresses`, all in the same surroundings.

    `set` takes the model's quantities: co2, h2s, nh3 in ppm, temperature in Cel, humidity in %RH,
    noise in dB, level in m.  None is a broken sensor: exception 04, or bit 5 of the head's state.
    """

    def __init__(
        self,
        line: Line,
        *,
        model: str,
        addresses: Sequence[int] = (1,),
        response_s: float = 0.02,
        echo: bool = False,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"no model {model!r}, expected one of {', '.join(MODELS)}")
        super().__init__(line, addresses=addresses, gases=_some_gases(len(addresses)),
                         response_s=response_s, echo=echo)  # fmt: skip
        kind, values = MODELS[model]
        self._values = dict(values)
        self.probes = {address: kind(self._values) for address in addresses}
        self.slaves = dict(self.probes)
        self.requests: deque[bytes] = deque(maxlen=64)


def _some_gases(count: int) -> list[str]:
    return list(modbus.CELLS)[:count]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim probes`."""
    parser.add_argument("--model", choices=list(MODELS), default="noise")
    parser.add_argument("--address", type=int, nargs="+", default=[1])


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, model=options.model, addresses=options.address)
