"""Lufft compact weather stations (WS200-UMB to WS800-UMB) in the binary UMB protocol 1.0.

    01 10  to 2  from 2  len  02  cmd verc payload  03  crc 2  04        little-endian

`len` counts cmd to payload; the CRC (reflected 1021, from FFFF) covers all before it.  The station
speaks only when asked; 2F asks for several channels at once, and answers, for each of them,

    len  status  channel 2  type  value

or without type and value where its status is not 0.  Answers to 23 (one channel) are read as well.
2F is the only command that is ever sent: others of this protocol reset and reconfigure.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from . import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from .asking import ask, emitting, wait_until
from .bus import turn
from .framing import WAIT, Deframer, Drop, Take, Verdict
from .weather import Mount, mounted, sample

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Lufft WS-UMB weather stations, UMB binary protocol",
    evidence="from datasheet",
    baudrate=19200,
    poll=True,
    bus=True,
)

PROBES = ({"mount": "fixed"},)

SOH, STX, ETX, EOT, VERSION = 0x01, 0x02, 0x03, 0x04, 0x10
ONE_CHANNEL, MANY_CHANNELS = 0x23, 0x2F
MASTER: Final = 0xF001
CLASS_WEATHER = 7
HEAD, TAIL = 8, 4
PAYLOAD_MAX = 210
FRAME_MAX = HEAD + 2 + PAYLOAD_MAX + TAIL
CHANNELS_MAX = 20
"""In one question, so that the answer of doubles fits into a frame with room to spare."""

TYPES = {
    0x10: "<B", 0x11: "<b", 0x12: "<H", 0x13: "<h", 0x14: "<I", 0x15: "<i", 0x16: "<f", 0x17: "<d"
}  # fmt: skip
"""Type of a value -> how struct reads it."""

_STATES = {
    0x00: Quality.GOOD,
    0x28: Quality.WARMUP,
    0x50: Quality.OVER_RANGE,
    0x51: Quality.UNDER_RANGE,
    0x52: Quality.OVER_RANGE,
    0x53: Quality.UNDER_RANGE,
}
"""Status -> quality; all others are faults."""
_WORDS = {
    0x10: "the command is not known to it",
    0x11: "a parameter is wrong",
    0x24: "it has no such channel",
    0x29: "its supply voltage is low",
    0x2A: "hardware error",
    0x2B: "measurement error",
    0x2C: "it could not start up",
    0x2D: "operating system error",
    0x30: "its configuration was lost, and is the factory's",
    0x31: "its calibration is not valid",
    0x33: "its calibration was lost",
    0x36: "the channel is switched off",
    0x54: "no valid data",
    0x55: "it cannot measure in these conditions",
}


class Channel(NamedTuple):
    quantity: str
    unit: str


CHANNELS: dict[int, Channel] = {
    100: Channel("temperature", "Cel"),
    110: Channel("dew_point", "Cel"),
    114: Channel("wet_bulb", "Cel"),
    120: Channel("temperature_min", "Cel"),
    140: Channel("temperature_max", "Cel"),
    160: Channel("temperature_mean", "Cel"),
    200: Channel("humidity", "%RH"),
    205: Channel("absolute_humidity", "g/m3"),
    300: Channel("pressure", "hPa"),
    305: Channel("pressure_sea_level", "hPa"),
    310: Channel("air_density", "kg/m3"),
    400: Channel("wind_speed", "m/s"),
    420: Channel("wind_speed_min", "m/s"),
    440: Channel("wind_speed_max", "m/s"),
    460: Channel("wind_speed_mean", "m/s"),
    500: Channel("wind_direction", "deg"),
    510: Channel("heading", "deg"),
    580: Channel("wind_direction_mean", "deg"),
    620: Channel("rain", "mm"),
    # 0 none, 40 unspecified, 60 rain, 70 snow: a code, without unit.
    700: Channel("precipitation_type", ""),
    820: Channel("rain_intensity", "mm/h"),
    900: Channel("radiation", "W/m2"),
    10000: Channel("supply_voltage", "V"),
}
"""Metric channels of the WS family's list.  510, 700 and 900 are from memory."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "umb"`."""

    mount: Mount
    """`fixed` (its arrow points north) or `vehicle` (it points ahead: the wind is published as
    `wind_speed_apparent` and `wind_direction_apparent`, and no other)."""
    device: int = 1
    """The station's id, 1 to 255."""
    channels: tuple[int, ...] = (100, 200, 300, 400, 500, 620)
    """UMB channels that are asked for; a WS200 has no air, a WS300 no wind."""
    full_scale: float = 75.0
    """Of the wind, m/s: from there on it is `over_range`."""
    period_s: float = 2.0
    timeout_s: float = 0.5
    """How long a reply may take."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        if not 1 <= self.device <= 255:
            yield "device", f"expected 1 to 255, read {self.device}"
        if not 1 <= len(self.channels) <= CHANNELS_MAX:
            yield "channels", f"expected 1 to {CHANNELS_MAX} of them, read {len(self.channels)}"
        for channel in self.channels:
            if channel not in CHANNELS:
                known = ", ".join(str(number) for number in CHANNELS)
                yield "channels", f"{channel} is not known; known are {known}"
        if len(set(self.channels)) < len(self.channels):
            yield "channels", "one of them stands there twice"
        for key in ("full_scale", "period_s", "timeout_s"):
            if not getattr(self, key) > 0:
                yield key, f"expected more than 0, read {getattr(self, key):g}"

    @property
    def station(self) -> int:
        """Its address on the wire."""
        return CLASS_WEATHER << 12 | self.device

    def question(self) -> bytes:
        """Asks for all channels at once."""
        listed = struct.pack(f"<{len(self.channels)}H", *self.channels)
        payload = bytes((MANY_CHANNELS, VERSION, len(self.channels))) + listed
        return frame(self.station, MASTER, payload)


def crc16_umb(data: bytes) -> int:
    """CRC-CCITT, least significant bit first (0x8408), initial 0xFFFF; sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def frame(to: int, sender: int, payload: bytes) -> bytes:
    """Header, command with its payload, and what closes them."""
    head = struct.pack("<BBHHBB", SOH, VERSION, to, sender, len(payload), STX)
    body = head + payload + bytes((ETX,))
    return body + struct.pack("<HB", crc16_umb(body), EOT)


def match_umb(data: bytearray) -> Verdict:
    """One whole frame; header and length are judged as soon as they are there."""
    start = data.find(SOH)
    if start:
        return Drop(start if start > 0 else len(data))
    if len(data) > 1 and data[1] != VERSION:
        return Drop(1)
    if len(data) < HEAD:
        return WAIT
    length = data[6]
    if data[7] != STX or not 2 <= length <= PAYLOAD_MAX + 2:
        return Drop(1)
    total = HEAD + length + TAIL
    if len(data) < total:
        return WAIT
    closed = data[total - 4] == ETX and data[total - 1] == EOT
    crc = int.from_bytes(data[total - 3 : total - 1], "little")
    if not closed or crc != crc16_umb(bytes(data[: total - 3])):
        return Drop(1, bad_checksum=True)
    return Take(total, "umb")


class Decoder:
    """Bytes in, samples out."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self._config = config.check()
        self.counters = Counters() if counters is None else counters
        self._framer = self._fresh()
        self._said: set[tuple[int, int]] = set()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the answers that `data` completes; `at`: monotonic seconds."""
        samples: list[Sample | Fix] = []
        for found in self._framer.feed(data, at):
            to, sender = struct.unpack_from("<HH", found.data, 2)
            # A two-wire adapter hears its own question as well.
            if (to, sender) == (MASTER, self._config.station):
                samples += self._answer(found.data, found.at)
        return samples

    def expect_reply(self) -> None:
        """A question is about to be sent: what has not become a frame by now never will."""
        self.counters.bytes_dropped += self._framer.waiting
        self._framer = self._fresh()

    def _fresh(self) -> Deframer:
        return Deframer(match_umb, limit=FRAME_MAX, counters=self.counters)

    def _answer(self, data: bytes, at: float) -> list[Sample]:
        command, payload = data[HEAD], data[HEAD + 2 : -TAIL]
        status = payload[0] if payload else 0xFF
        if command == ONE_CHANNEL and len(payload) >= 3:
            parts = [payload]
        elif command == MANY_CHANNELS and status == 0x00:
            parts = split(payload)
        elif command == MANY_CHANNELS:
            parts = [struct.pack("<BH", status, channel) for channel in self._config.channels]
        else:
            return []
        samples = (self._sample(part, at, data.hex()) for part in parts)
        return [one for one in samples if one is not None]

    def _sample(self, part: bytes, at: float, raw: str) -> Sample | None:
        status, number = struct.unpack_from("<BH", part)
        channel = CHANNELS.get(number)
        if channel is None:
            return None
        value = number_of(part[3], part[4:]) if len(part) > 3 else None
        quality = _STATES.get(status, Quality.FAULT)
        if quality is Quality.FAULT or (value is None and quality is Quality.GOOD):
            self._say(status, number, raw)
        value = None if quality is Quality.FAULT else value
        quantity = mounted(channel.quantity, self._config.mount)
        top = self._config.full_scale if channel.unit == "m/s" else None
        return sample(quantity, value, channel.unit, at, raw, quality, top)

    def _say(self, status: int, number: int, raw: str) -> None:
        if (status, number) not in self._said and len(self._said) < 256:
            self._said.add((status, number))
            why = _WORDS.get(status, "what it says is not known")
            log.warning(
                "umb %d: channel %d (%s): status %02X, %s: %s",
                self._config.device, number, CHANNELS[number].quantity, status, why, raw,
            )  # fmt: skip


def split(payload: bytes) -> list[bytes]:
    """The parts of an answer to 2F, each from its status on; those that are whole."""
    parts: list[bytes] = []
    at = 2
    for _ in range(payload[1] if len(payload) > 1 else 0):
        if at >= len(payload):
            break
        part = payload[at + 1 : at + 1 + payload[at]]
        if len(part) < max(payload[at], 3):
            break
        parts.append(part)
        at += 1 + payload[at]
    return parts


def number_of(kind: int, data: bytes) -> float | None:
    """A value of type `kind`; None: the type is not known, or has another length."""
    form = TYPES.get(kind)
    if form is None or struct.calcsize(form) != len(data):
        return None
    return float(struct.unpack(form, data)[0])


class Driver:
    """One station on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        question = self.config.question()
        hear = emitting(decoder.feed, emit)

        while True:
            due = self._now() + self.config.period_s
            async with turn(port):
                self.counters.bytes_dropped += port.discard_input()
                decoder.expect_reply()
                await ask(port, question, hear, self.config.timeout_s, self._now)
                # Others on the line may ask only when this answer is over.
                await wait_until(0.0, self._now)
            await wait_until(due, self._now)
