"""Twin of NevadaNano's MPS: answers questions, and has a new result every two seconds.

38400 8N1, little-endian.  Request: command 2, length 2, reserved 2, CRC 2, payload.  Reply: command
1, status 1, length 2, CRC 2, payload.  CRC-16/CCITT-FALSE over the whole frame with a CRC of 0.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import struct
from collections import deque

from drivers.sim.line import Line

ANSWER, MEASURE = 0x01, 0x61
_UNKNOWN_COMMAND, _BAD_PARAMETER, _EXECUTION_FAILED, _BAD_CRC = 5, 2, 3, 1
_START_ISO, _START_IEC, _STOP = 0x02, 0x22, 0x03
UNDER_RANGE, OVER_RANGE = 254, 255

_START: dict[str, float | None] = {
    "combustible": 0.0, "gas_class": 0.0, "temperature": 20.0, "pressure": 1013.0,
    "humidity": 50.0, "absolute_humidity": 8.6,
}  # fmt: skip


def crc(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit."""
    value = 0xFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            high = value >> 15 ^ byte >> bit & 1
            value = value << 1 & 0xFFFF
            if high:
                value ^= 0x1021
    return value


def frame(command: int, status: int, payload: bytes = b"") -> bytes:
    """One reply."""
    head = struct.pack("<BBH", command, status, len(payload))
    return head + struct.pack("<H", crc(head + b"\0\0" + payload)) + payload


class Twin:
    """One sensor on `line`.

    `set` takes combustible in %LEL, gas_class (0 none, 3 methane, 255 over range ...), temperature
    in Cel, pressure in hPa, humidity in %RH, absolute_humidity in g/m3.  A combustible of None is a
    hardware error: status 20 and still a payload.
    """

    def __init__(self, line: Line, *, cycle_s: float = 2.0, measuring: bool = True) -> None:
        self._line = line
        self._cycle_s = cycle_s
        self._values = dict(_START)
        self.cycle = 0
        self.frozen = False
        """The sensor answers, but has no new result."""
        self.measuring = measuring
        self.commands: deque[tuple[int, bytes]] = deque(maxlen=64)
        """(command, payload) of the last whole requests."""

    def set(self, **values: float | None) -> None:
        """What the sensor feels from now on.  ValueError: a quantity that it does not measure."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"this sensor does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def answer(self) -> bytes:
        """The reply to ANSWER at this moment."""
        felt = {name: value or 0.0 for name, value in self._values.items()}
        status = 0x20 if self._values["combustible"] is None else 0
        payload = struct.pack(
            "<ifIffff",
            self.cycle,
            felt["combustible"],
            int(felt["gas_class"]),
            felt["temperature"],
            felt["pressure"] / 10,
            felt["humidity"],
            felt["absolute_humidity"],
        )
        return frame(ANSWER, status, payload)

    async def run(self) -> None:
        """Measure and answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure(), name="mps twin: measure")
            tasks.create_task(self._serve(), name="mps twin: answer")

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(self._cycle_s)
            if self.measuring and not self.frozen:
                self.cycle += 1

    async def _serve(self) -> None:
        held = b""
        while True:
            held += await self._line.read()
            while len(held) >= 8:
                command, length, reserved, check = struct.unpack("<HHHH", held[:8])
                if reserved or length > 16:
                    held = held[1:]
                    continue
                if len(held) < 8 + length:
                    break
                payload = held[8 : 8 + length]
                right = crc(held[:6] + b"\0\0" + payload) == check
                held = held[8 + length :]
                await self._line.write(self._obey(command, payload, right))

    def _obey(self, command: int, payload: bytes, right: bool) -> bytes:
        if not right:
            return frame(command & 0xFF, _BAD_CRC)
        self.commands.append((command, payload))
        if command == ANSWER:
            return self.answer()
        if command != MEASURE:
            return frame(command & 0xFF, _UNKNOWN_COMMAND)
        if payload in (bytes((_START_ISO,)), bytes((_START_IEC,))):
            if self.measuring:
                return frame(MEASURE, _EXECUTION_FAILED)
            self.measuring = True
        elif payload == bytes((_STOP,)):
            self.measuring = False
        else:
            return frame(MEASURE, _BAD_PARAMETER)
        return frame(MEASURE, 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim mps`."""
    parser.add_argument("--stopped", action="store_true", help="does not measure before a start")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, measuring=not options.stopped)
