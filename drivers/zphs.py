"""Winsen ZPHS01B: a board with particles, CO2, VOC, formaldehyde, CO, ozone and NO2 on one line.

It answers `FF 01 86 00 00 00 00 00 79`, the only bytes ever written, with 26 bytes: `FF 86`, eleven
values, two bytes of no meaning, and (-sum) mod 256 over bytes 1 to 24.  (Its successor ZPHS01C
speaks another protocol and is not read here.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.asking import ask, emitting, wait_until
from drivers.checksum import negated_sum8
from drivers.framing import WAIT, Deframer, Drop, Frame, Take, Verdict
from drivers.ninebyte import QUESTION, REPLY

INSTRUMENT = Instrument(
    title="Winsen ZPHS01B multi-sensor board",
    evidence="from datasheet",
    baudrate=9600,
    poll=True,
)

LENGTH = 26
_CH2O_MG_M3_TO_PPM = 24.055 / 30.026
"""Molar volume at 20 C and 1013.25 hPa, L/mol, over the molar mass of CH2O, g/mol."""


class Channel(msgspec.Struct, frozen=True):
    """One value of the reply: (raw - offset) * scale, believed from `low` to `high`."""

    at: int
    quantity: str
    unit: str
    scale: float = 1.0
    full_scale: float | None = None
    low: float = 0.0
    high: float = 65535.0
    length: int = 2


# The reply's layout is the datasheet's; the ends of the ranges are from memory.
CHANNELS = (
    Channel(2, "pm1", "ug/m3", full_scale=1000.0),
    Channel(4, "pm2_5", "ug/m3", full_scale=1000.0),
    Channel(6, "pm10", "ug/m3", full_scale=1000.0),
    Channel(8, "co2", "ppm", full_scale=5000.0),
    Channel(10, "voc_grade", "/", high=3.0, length=1),
    Channel(11, "temperature", "Cel", 0.1, low=-40.0, high=85.0),
    Channel(13, "humidity", "%RH", high=100.0),
    Channel(15, "ch2o", "ppm", 0.001 * _CH2O_MG_M3_TO_PPM),
    Channel(17, "co", "ppm", 0.1, full_scale=500.0),
    Channel(19, "o3", "ppm", 0.01, full_scale=10.0),
    Channel(21, "no2", "ppm", 0.01, full_scale=10.0),
)
QUANTITIES = tuple(channel.quantity for channel in CHANNELS)


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "zphs"`."""

    quantities: tuple[str, ...] = QUANTITIES
    """Which of the board's values are wanted: boards are sold with cells left out, which read 0."""
    temperature_offset: int = 500
    """Counts at 0 C; some firmware has 435: compare with a thermometer once."""
    period_s: float = 1.0
    timeout_s: float = 0.5
    """How long a reply may take."""
    warmup_s: float = 0.0
    """Readings in the first seconds after the line was opened are of quality `warmup`.  The board
    needs 180 s after power-on; 0, as an agent that starts again must not be deaf."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        for name in self.quantities:
            if name not in QUANTITIES:
                yield "quantities", f'expected some of {", ".join(QUANTITIES)}, read "{name}"'
        if not self.quantities:
            yield "quantities", "expected at least one"
        for key in ("period_s", "timeout_s"):
            if not (value := getattr(self, key)) > 0:
                yield key, f"expected more than 0, read {value:g}"
        for key in ("warmup_s", "temperature_offset"):
            if (value := getattr(self, key)) < 0:
                yield key, f"expected 0 or more, read {value:g}"

    def measures(self) -> tuple[str, ...]:
        return self.quantities

    def spans(self) -> tuple[Span, ...]:
        return tuple(
            Span(
                quantity=channel.quantity, unit=channel.unit, resolution=channel.scale,
                full_scale=channel.full_scale,
            )
            for channel in CHANNELS
            if channel.quantity in self.quantities
        )  # fmt: skip


def match(data: bytearray) -> Verdict:
    """A reply, or nothing; the echo of the question is no noise."""
    if data[0] != 0xFF:
        return Drop(1)
    if data.startswith(QUESTION):
        return Drop(len(QUESTION), noise=False)
    if QUESTION.startswith(data):
        return WAIT
    if data[1] != REPLY:
        return Drop(1)
    if len(data) < LENGTH:
        return WAIT
    if data[LENGTH - 1] != negated_sum8(bytes(data[1 : LENGTH - 1])):
        return Drop(1, bad_checksum=True)
    return Take(LENGTH)


class Decoder:
    """Bytes in, samples out; pure."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._config = (config or Config()).check()
        self._first_at: float | None = None
        self._framer = self._fresh()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the replies that `data` completes; `at`: monotonic seconds."""
        return self._read(self._framer.feed(data, at))

    def settle(self) -> list[Sample | Fix]:
        """The line is quiet: a reply that a false header holds back; then all else is dropped."""
        samples = self._read(self._framer.settle())
        self.counters.bytes_dropped += self._framer.waiting
        self._framer = self._fresh()
        return samples

    def _fresh(self) -> Deframer:
        return Deframer(match, limit=LENGTH, counters=self.counters)

    def _read(self, frames: list[Frame]) -> list[Sample | Fix]:
        samples: list[Sample | Fix] = []
        for frame in frames:
            if self._first_at is None:
                self._first_at = frame.at
            samples += [
                self._sample(channel, frame)
                for channel in CHANNELS
                if channel.quantity in self._config.quantities
            ]
        return samples

    def _sample(self, channel: Channel, frame: Frame) -> Sample:
        raw = int.from_bytes(frame.data[channel.at : channel.at + channel.length])
        if channel.quantity == "temperature":
            raw -= self._config.temperature_offset
        value: float | None = round(raw * channel.scale, 6)
        quality = self._quality(channel, value or 0.0, frame.at)
        return Sample(
            quantity=channel.quantity,
            value=None if quality is Quality.FAULT else value,
            unit=channel.unit,
            quality=quality,
            at=frame.at,
            raw=frame.data.hex(),
            full_scale=channel.full_scale,
        )

    def _quality(self, channel: Channel, value: float, at: float) -> Quality:
        if not channel.low <= value <= channel.high:
            return Quality.FAULT
        if self._first_at is not None and at - self._first_at < self._config.warmup_s:
            return Quality.WARMUP
        if channel.full_scale is not None and value >= channel.full_scale:
            return Quality.OVER_RANGE
        return Quality.GOOD


class Driver:
    """One board on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        hear = emitting(decoder.feed, emit)

        while True:
            due = self._now() + self.config.period_s
            self.counters.bytes_dropped += port.discard_input()
            if not await ask(port, QUESTION, hear, self.config.timeout_s, self._now):
                for sample in decoder.settle():
                    emit(sample)
            await wait_until(due, self._now)
