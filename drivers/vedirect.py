"""Victron's VE.Direct in text: battery monitors (BMV, SmartShunt), solar chargers, inverters.

The instrument speaks by itself, about once a second, and nothing is ever written to it.  A block is
fields of CR LF, label, tab, value; the last field is `Checksum` and one byte that makes the sum of
the whole block 0 modulo 256 (VE.Direct Protocol, Victron Energy).  The same wire also carries HEX
messages, from `:` to LF, which are skipped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.framing import WAIT, Deframer, Drop, Take, Verdict

INSTRUMENT = Instrument(
    title="Victron VE.Direct, text: battery monitors, solar chargers, inverters",
    evidence="from datasheet",
    baudrate=19200,
)

BLOCK_MAX = 1024
"""Bytes; 22 fields of at most 9 + 33 characters, as the protocol allows, have fewer."""
_LAST = b"\r\nChecksum\t"
_HEX = re.compile(rb":[0-9A-Fa-f]{0,80}(\n)?")
_NUMBER = re.compile(r"[+-]?\d{1,9}")


class Field(NamedTuple):
    quantity: str
    unit: str
    scale: float
    low: float
    high: float
    """In `unit`; outside of low to high it is no measurement."""


FIELDS = {
    "SOC": Field("battery", "%EL", 0.1, 0, 100),
    "V": Field("voltage", "V", 0.001, -1000, 1000),
    "I": Field("current", "A", 0.001, -10_000, 10_000),
    "P": Field("power", "W", 1.0, -1e6, 1e6),
    "TTG": Field("time_left", "s", 60.0, 0, 1e7),
    "T": Field("cell_temperature", "Cel", 1.0, -60, 120),
    "VPV": Field("solar_voltage", "V", 0.001, 0, 1000),
    "PPV": Field("solar_power", "W", 1.0, 0, 1e6),
    "IL": Field("load_current", "A", 0.001, -1000, 1000),
}
"""Label -> what it is.  Current and power are positive while the battery is charged."""
_NO_END = "-1"
"""TTG of a battery that is not being discharged."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "vedirect"`."""

    period_s: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    """Each quantity is given once in so long, though the instrument sends it every second."""


def match_block(data: bytearray) -> Verdict:
    """A block with its checksum.  What fails goes whole: a sum of one byte is right for one in 256
    of a spoilt block's tails."""
    if data[0] == 0x3A and (message := _HEX.match(data)) is not None:
        if message[1]:
            return Drop(message.end(), noise=False)
        if message.end() == len(data):
            return WAIT
    if data[0] != 0x0D:
        start = data.find(b"\r")
        return Drop(start if start > 0 else len(data))
    if len(data) < 2:
        return WAIT
    if data[1] != 0x0A:
        return Drop(1)
    last = data.find(_LAST, 0, BLOCK_MAX)
    end = last + len(_LAST) + 1
    if last < 0 or end > len(data):
        return WAIT if len(data) < BLOCK_MAX else Drop(len(data))
    if sum(data[:end]) & 0xFF:
        return Drop(end, bad_checksum=True)
    return Take(end, "block")


class Decoder:
    """Bytes of the instrument in, samples out.  Pure; never raises on what it reads."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        config = Config() if config is None else config
        self.counters = Counters() if counters is None else counters
        self._framer = Deframer(match_block, limit=BLOCK_MAX + 1, counters=self.counters)
        self._period_s = config.period_s
        self._given: dict[str, float] = {}

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples that `data`, read at monotonic time `at`, completes."""
        return [
            sample
            for frame in self._framer.feed(data, at)
            for sample in _samples(frame.data, frame.at)
            if self._due(sample)
        ]

    def _due(self, sample: Sample) -> bool:
        given = self._given.get(sample.quantity)
        # A block comes a little early or late.
        if given is not None and sample.at - given < self._period_s - 0.2:
            return False
        self._given[sample.quantity] = sample.at
        return True


def _samples(block: bytes, at: float) -> Iterator[Sample]:
    text = block[: block.rindex(_LAST)].decode("latin-1")
    for line in text.split("\r\n"):
        label, tab, value = line.partition("\t")
        if tab and (field := FIELDS.get(label)) is not None:
            yield _sample(field, value.strip(), at, line)


def _sample(field: Field, text: str, at: float, raw: str) -> Sample:
    quality, value = Quality.FAULT, None
    if field.quantity == "time_left" and text == _NO_END:
        quality = Quality.STALE
    elif _NUMBER.fullmatch(text):
        number = round(int(text) * field.scale, 9)
        if field.low <= number <= field.high:
            quality, value = Quality.GOOD, number
    return Sample(
        quantity=field.quantity, value=value, unit=field.unit, quality=quality, at=at, raw=raw
    )


class Driver:
    """One instrument on one line."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self._config, self.counters)
        while True:
            data = await port.read()
            for sample in decoder.feed(data, time.monotonic()):
                emit(sample)
