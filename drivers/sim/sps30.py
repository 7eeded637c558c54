"""Twin of Sensirion's SPS30 on SHDLC: start, stop, read, and a new result every second.

115200 8N1.  `7E adr cmd len data chk 7E` in, `7E adr cmd state len data chk 7E` out.  Checksum: all
bits of the sum's low byte inverted.  7E, 7D, 11, 13 travel as 7D 5E, 7D 5D, 7D 31, 7D 33.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import struct
from collections import deque

from drivers.sim.line import Line

_TABLE = {0x7E: b"\x7d\x5e", 0x7D: b"\x7d\x5d", 0x11: b"\x7d\x31", 0x13: b"\x7d\x33"}
START, STOP, READ, CLEAN, INFORMATION = 0x00, 0x01, 0x03, 0x56, 0xD0
_WRONG_LENGTH, _UNKNOWN, _NOT_NOW, _ERROR_FLAG = 0x01, 0x02, 0x43, 0x80
_TYPE = b"00080000\0"

_AIR: dict[str, float | None] = {
    "pm1": 5.0, "pm2_5": 10.0, "pm4": 12.0, "pm10": 15.0,
    "pn0_5": 40.0, "pn1": 50.0, "pn2_5": 52.0, "pn4": 53.0, "pn10": 53.5, "particle_size": 0.55,
}  # fmt: skip


def frame(*body: int) -> bytes:
    """Flag, stuffed body and checksum, flag."""
    whole = bytes(body) + bytes((255 - sum(body) % 256,))
    return b"\x7e" + b"".join(_TABLE.get(byte, bytes((byte,))) for byte in whole) + b"\x7e"


class Twin:
    """One sensor on `line`.  `set` takes pm1, pm2_5, pm4, pm10 (ug/m3), pn0_5 ... (1/cm3) and
    particle_size (um).  None for any: the error flag in the state (the fan or the laser)."""

    def __init__(self, line: Line, *, measuring: bool = True, result_s: float = 1.0) -> None:
        self._line = line
        self.measuring = measuring
        self._result_s = result_s
        self._values = dict(_AIR)
        self._read_at = -math.inf
        self.commands: deque[bytes] = deque(maxlen=64)
        """Command and data of the last whole requests."""

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

    def values_frame(self) -> bytes:
        """The answer with ten floats of this moment."""
        data = struct.pack(">10f", *(value or 0.0 for value in self._values.values()))
        state = _ERROR_FLAG if None in self._values.values() else 0
        return frame(0, READ, state, len(data), *data)

    async def run(self) -> None:
        """Answer until cancelled."""
        held = b""
        while True:
            held += await self._line.read()
            *requests, held = held.split(b"\x7e")
            for request in requests:
                for byte, travelling in _TABLE.items():
                    if byte != 0x7D:
                        request = request.replace(travelling, bytes((byte,)))
                request = request.replace(_TABLE[0x7D], b"\x7d")
                if len(request) < 4 or request[-1] != 255 - sum(request[:-1]) % 256:
                    continue
                if request[0] == 0 and request[2] == len(request) - 4:
                    self.commands.append(request[1:2] + request[3:-1])
                    await self._line.write(self._obey(request[1], request[3:-1]))

    def _obey(self, command: int, data: bytes) -> bytes:
        match command:
            case 0x00 if self.measuring:
                return frame(0, START, _NOT_NOW, 0)
            case 0x00 if data == b"\x01\x03":
                self.measuring = True
                return frame(0, START, 0, 0)
            case 0x01:
                self.measuring = False
                return frame(0, STOP, 0, 0)
            case 0x03 if not self.measuring:
                return frame(0, READ, _NOT_NOW, 0)
            case 0x03:
                return self._result()
            case 0x56:
                return frame(0, CLEAN, 0, 0)
            case 0xD0 if data == b"\x00":
                return frame(0, INFORMATION, 0, len(_TYPE), *_TYPE)
            case 0x00 | 0xD0:
                return frame(0, command, _WRONG_LENGTH, 0)
            case _:
                return frame(0, command, _UNKNOWN, 0)

    def _result(self) -> bytes:
        now = asyncio.get_running_loop().time()
        if now - self._read_at < self._result_s:
            return frame(0, READ, 0, 0)
        self._read_at = now
        return self.values_frame()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim sps30`."""
    parser.add_argument("--stopped", action="store_true", help="does not measure before a start")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, measuring=not options.stopped)
