"""Twin of a Lufft WS600-UMB in the binary UMB protocol: 19200 8N1, class 7, asked by F001.

It answers 23 (one channel) and 2F (several channels at once); all others with status 10.
"""

from __future__ import annotations

import argparse
import math
import struct
from collections import deque
from collections.abc import Sequence

from drivers.sim.line import Line

TYPES = {"u8": (16, "<B"), "i8": (17, "<b"), "u16": (18, "<H"), "i16": (19, "<h"),
         "u32": (20, "<L"), "i32": (21, "<l"), "f32": (22, "<f"), "f64": (23, "<d")}  # fmt: skip

# Quantity: channel, type, value at first.
_CHANNELS: dict[str, tuple[int, str, float]] = {
    "temperature": (100, "f32", 23.5),
    "dew_point": (110, "f32", 16.5),
    "humidity": (200, "f32", 65.0),
    "pressure": (300, "f32", 1013.25),
    "wind_speed": (400, "f32", 3.25),
    "wind_speed_max": (440, "f32", 6.5),
    "wind_direction": (500, "f32", 214.5),
    "rain": (620, "f32", 1.25),
    "precipitation_type": (700, "u8", 0.0),
    "rain_intensity": (820, "f32", 0.0),
    "radiation": (900, "f64", 430.5),
}
NO_CHANNEL, BUSY, BROKEN, UNKNOWN_COMMAND = 0x24, 0x28, 0x2B, 0x10
_MASTER = 0xF001


def checksum(data: bytes) -> bytes:
    """CRC-CCITT from FFFF, bits in the order in which they are sent."""
    remainder = 0xFFFF
    for byte in data:
        for bit in range(8):
            differs = (remainder ^ byte >> bit) & 1
            remainder >>= 1
            if differs:
                remainder ^= 0x8408
    return bytes((remainder & 0xFF, remainder >> 8))


def frame(to: int, sender: int, payload: bytes) -> bytes:
    """A frame around a command, its version and its payload."""
    addresses = to.to_bytes(2, "little") + sender.to_bytes(2, "little")
    body = b"\x01\x10" + addresses + bytes((len(payload),)) + b"\x02" + payload + b"\x03"
    return body + checksum(body) + b"\x04"


def telegram(channel: int, kind: str, value: float | None, status: int = 0) -> bytes:
    """Status, channel, and where all is well type and value."""
    head = bytes((status,)) + channel.to_bytes(2, "little")
    if value is None or status:
        return head
    code, form = TYPES[kind]
    return head + bytes((code,)) + struct.pack(form, value if form[1] in "fd" else round(value))


def many(station: int, telegrams: list[bytes]) -> bytes:
    """The answer to 2F."""
    parts = b"".join(bytes((len(part),)) + part for part in telegrams)
    return frame(_MASTER, station, bytes((0x2F, 0x10, 0x00, len(telegrams))) + parts)


class Twin:
    """Stations on `line`, side by side; `set` takes what they feel; None is a failed measurement
    (2B)."""

    def __init__(self, line: Line, *, devices: Sequence[int] = (1,)) -> None:
        for device in devices:
            if not 1 <= device <= 255:
                raise ValueError(f"device is {device}, expected 1 to 255")
        self._line = line
        self.stations = tuple(0x7000 + device for device in devices)
        self._values: dict[str, float | None] = {name: row[2] for name, row in _CHANNELS.items()}
        self.busy = False
        """True: it has just been switched on, and says status 28."""
        self.commands: deque[bytes] = deque(maxlen=64)
        """Command and version of the last questions."""

    def set(self, **values: float | None) -> None:
        """ValueError: a quantity that this station does not measure, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"a WS600 has no {name!r}, only {', '.join(self._values)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def answer(self, station: int, payload: bytes) -> bytes:
        """The frame with which `station` answers a command."""
        if payload[0] == 0x23 and len(payload) == 4:
            told = self._telegram(int.from_bytes(payload[2:4], "little"))
            return frame(_MASTER, station, payload[:2] + told)
        if payload[0] == 0x2F and len(payload) == 3 + 2 * payload[2]:
            asked = struct.unpack(f"<{payload[2]}H", payload[3:])
            return many(station, [self._telegram(channel) for channel in asked])
        return frame(_MASTER, station, payload[:2] + bytes((UNKNOWN_COMMAND,)))

    def _telegram(self, channel: int) -> bytes:
        for name, (number, kind, _) in _CHANNELS.items():
            if number == channel:
                value = self._values[name]
                status = BUSY if self.busy else BROKEN if value is None else 0
                return telegram(channel, kind, value, status)
        return telegram(channel, "f32", None, NO_CHANNEL)

    async def run(self) -> None:
        """Answer until cancelled."""
        held = b""
        while True:
            held += await self._line.read()
            while (start := held.find(b"\x01\x10")) >= 0:
                held = held[start:]
                if len(held) < 8 or len(held) < 12 + held[6]:
                    break
                question, held = held[: 12 + held[6]], held[1:]
                station = int.from_bytes(question[2:4], "little")
                if question != frame(station, _MASTER, question[8:-4]):
                    continue
                held = held[len(question) - 1 :]
                self.commands.append(question[8:10])
                if station in self.stations:
                    await self._line.write(self.answer(station, question[8:-4]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim umb`."""
    parser.add_argument("--device", type=int, nargs="+", default=[1])


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, devices=options.device)
