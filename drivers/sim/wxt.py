"""Twin of a Vaisala WXT536 in ASCII, polled or automatic, with or without CRC (user's guide).

19200 8N1.  It answers aR0 (composite), aR1 (wind), aR2 (air), aR3 (precipitation), aR5 (supervisor)
and the same with a small r and a CRC, and sends 1, 2, 3 and 5 by itself in automatic mode.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections import deque

from drivers.sim.line import Line

MESSAGES = {
    1: ("Dn", "Dm", "Dx", "Sn", "Sm", "Sx"),
    2: ("Ta", "Ua", "Pa"),
    3: ("Rc", "Rd", "Ri", "Hc", "Hd", "Hi"),
    5: ("Th", "Vh", "Vs", "Vr"),
}

# Key: quantity, digits before and behind the point, unit letter, value at first.
_KEYS: dict[str, tuple[str, str, str, float]] = {
    "Dn": ("wind_direction_min", "03.0f", "D", 95.0),
    "Dm": ("wind_direction", "03.0f", "D", 274.0),
    "Dx": ("wind_direction_max", "03.0f", "D", 352.0),
    "Sn": ("wind_speed_min", ".1f", "M", 0.3),
    "Sm": ("wind_speed", ".1f", "M", 5.8),
    "Sx": ("wind_speed_max", ".1f", "M", 9.6),
    "Ta": ("temperature", ".1f", "C", 17.9),
    "Ua": ("humidity", ".1f", "P", 73.7),
    "Pa": ("pressure", ".1f", "H", 1005.8),
    "Rc": ("rain", ".2f", "M", 13.02),
    "Rd": ("rain_duration", ".0f", "s", 12480.0),
    "Ri": ("rain_intensity", ".1f", "M", 0.0),
    "Hc": ("hail", ".1f", "M", 0.0),
    "Hd": ("hail_duration", ".0f", "s", 0.0),
    "Hi": ("hail_intensity", ".1f", "M", 0.0),
    "Th": ("heater_temperature", ".1f", "C", 18.0),
    "Vh": ("heater_voltage", ".1f", "N", 12.1),
    "Vs": ("supply_voltage", ".1f", "V", 12.1),
    "Vr": ("reference_voltage", ".3f", "V", 3.631),
}

_LINE_MAX = 64


def checksum(text: str) -> str:
    """The guide's CRC: reflected A001 from 0, as 4, 6 and 6 bits above `@`."""
    remainder = 0
    for letter in text.encode("ascii"):
        remainder ^= letter
        for _ in range(8):
            odd = remainder % 2
            remainder //= 2
            if odd:
                remainder ^= 0xA001
    parts = (remainder // 4096, remainder // 64 % 64, remainder % 64)
    return "".join(chr(64 + part) for part in parts)


class Twin:
    """One transmitter on `line`; `set` takes what its sensors feel (None: nothing valid, `#`)."""

    def __init__(
        self,
        line: Line,
        *,
        mode: str = "poll",
        crc: bool = False,
        address: str = "0",
        period_s: float = 1.0,
    ) -> None:
        if mode not in ("poll", "auto"):
            raise ValueError(f"mode is {mode!r}, expected poll or auto")
        if len(address) != 1 or not (address.isascii() and address.isalnum()):
            raise ValueError(f"address is {address!r}, expected one digit or letter")
        self._line = line
        self._mode = mode
        self._crc = crc
        self._address = address
        self._period_s = period_s
        self._values: dict[str, float | None] = {name: at for name, _, _, at in _KEYS.values()}
        self.commands: deque[str] = deque(maxlen=64)
        """The last lines received."""

    def set(self, **values: float | None) -> None:
        """ValueError: a quantity that a WXT does not measure, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"a WXT has no {name!r}, only {', '.join(self._values)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def message(self, number: int, crc: bool) -> bytes:
        """The line of message `number` at this moment; 0 is all of them in one."""
        keys = MESSAGES.get(number) or tuple(key for part in MESSAGES.values() for key in part)
        head = f"{self._address}{'r' if crc else 'R'}{number}"
        return self._ended(",".join((head, *(self._field(key) for key in keys))), crc)

    def _field(self, key: str) -> str:
        name, form, letter, _ = _KEYS[key]
        value = self._values[name]
        return f"{key}=0#" if value is None else f"{key}={value:{form}}{letter}"

    def _ended(self, text: str, crc: bool) -> bytes:
        return (text + (checksum(text) if crc else "") + "\r\n").encode("ascii")

    async def run(self) -> None:
        """Speak and answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(), name="wxt twin: speak")
            tasks.create_task(self._answer(), name="wxt twin: answer")

    async def _speak(self) -> None:
        while True:
            if self._mode == "auto":
                for number in MESSAGES:
                    await self._line.write(self.message(number, self._crc))
            await asyncio.sleep(self._period_s)

    async def _answer(self) -> None:
        held = b""
        while True:
            *lines, held = (held + await self._line.read()).split(b"\n")
            for line in lines:
                await self._obey(line.strip().decode("ascii", "replace"))
            held = held[-_LINE_MAX:]

    async def _obey(self, text: str) -> None:
        self.commands.append(text)
        if text[:1] != self._address:
            return
        order, number = text[1:2], text[2:3]
        known = number in ("0", "1", "2", "3", "5")
        if order == "R" and known and len(text) == 3:
            await self._line.write(self.message(int(number), crc=False))
        elif order == "r" and known and text[3:] == checksum(text[:3]):
            await self._line.write(self.message(int(number), crc=True))
        elif order == "r" and known:
            told = f"{self._address}tX,Use chksum {checksum(text[:3])}"
            await self._line.write(self._ended(told, crc=True))
        else:
            await self._line.write(f"{self._address}TX,Unknown cmd error\r\n".encode("ascii"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim wxt`."""
    parser.add_argument("--mode", choices=["poll", "auto"], default="poll")
    parser.add_argument("--crc", action="store_true", help="automatic messages with a CRC")
    parser.add_argument("--address", default="0")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, mode=options.mode, crc=options.crc, address=options.address)
