"""Particle sensors that send `42 4D` frames: Plantower PMSx003, Winsen ZH03B and ZH06.

Each frame is `42 4D`, the length of what follows, big-endian words, and the 16-bit sum of all
bytes before it.  28 bytes follow from a Plantower: PM1, PM2.5, PM10 for factory dust (CF=1), the
same for the atmosphere, six counts per 0.1 L, version and error.  20 follow from a ZH03B, a ZH06 or
a PMS3003: no counts, no error.  The sensor speaks by itself; nothing is ever written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Literal

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.framing import WAIT, Deframer, Drop, Frame, Take, Verdict

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Particle sensors: Plantower PMS3003, 5003, 7003, A003; Winsen ZH03B, ZH06",
    evidence="from datasheet",
    baudrate=9600,
)

HEADER = b"BM"
_LENGTHS = {28: "plantower", 20: "short"}
LIMIT = 32
_MASSES = ("pm1", "pm2_5", "pm10")
_FIRST_WORD = {"factory": 0, "atmospheric": 3}
_COUNTS = ("pn0_3", "pn0_5", "pn1", "pn2_5", "pn5", "pn10")
"""Particles larger than so many micrometres."""
_CM3_OF_COUNT = 100
"""Counts are of 0.1 L."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "particles"`."""

    scale: Literal["atmospheric", "factory"] = "atmospheric"
    """Which of the two sets of masses: for the open air, or CF=1, for the maker's own dust."""
    counts: bool = False
    """Also the numbers of particles larger than 0.3, 0.5, 1, 2.5, 5 and 10 um, per cm3: `pn0_3` ...
    (Plantower; a PMS5003T has temperature and humidity in place of the last two)."""
    full_scale: float = 1000.0
    """Upper end of the range, ug/m3."""
    warmup_s: float = 30.0
    """Readings in the first seconds after the line was opened are of quality `warmup`: the fan is
    starting."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        if not self.full_scale > 0:
            yield "full_scale", f"expected more than 0, read {self.full_scale:g}"
        if self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"


def match(data: bytearray) -> Verdict:
    """A frame of one of the two lengths."""
    if not HEADER.startswith(data[:2]):
        return Drop(1)
    if len(data) < 4:
        return WAIT
    length = data[2] << 8 | data[3]
    if length not in _LENGTHS:
        return Drop(1)
    total = 4 + length
    if len(data) < total:
        return WAIT
    if sum(data[: total - 2]) != data[total - 2] << 8 | data[total - 1]:
        return Drop(1, bad_checksum=True)
    return Take(total, _LENGTHS[length])


class Decoder:
    """Bytes in, samples out; pure."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._config = (config or Config()).check()
        self._framer = Deframer(match, limit=LIMIT, counters=self.counters)
        self._first_at: float | None = None
        self._error = 0

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the frames that `data` completes; `at`: monotonic seconds."""
        return [s for frame in self._framer.feed(data, at) for s in self._read(frame)]

    def _read(self, frame: Frame) -> list[Sample]:
        if self._first_at is None:
            self._first_at = frame.at
        words = [
            int.from_bytes(frame.data[i : i + 2])
            for i in range(len(HEADER) + 2, len(frame.data), 2)
        ]
        plantower = frame.kind == "plantower"
        faulty = plantower and self._faulty(words[12] & 0xFF)
        first = _FIRST_WORD[self._config.scale]
        samples = [
            self._sample(frame, name, float(words[first + i]), "ug/m3", faulty)
            for i, name in enumerate(_MASSES)
        ]
        if self._config.counts and plantower:
            samples += [
                self._sample(frame, name, words[6 + i] / _CM3_OF_COUNT, "1/cm3", faulty)
                for i, name in enumerate(_COUNTS)
            ]
        return samples

    def _faulty(self, error: int) -> bool:
        if error and error != self._error:
            log.warning("particles: the sensor reports error %02X", error)
        self._error = error
        return error != 0

    def _sample(self, frame: Frame, quantity: str, value: float, unit: str, faulty: bool) -> Sample:
        full_scale = self._config.full_scale if unit == "ug/m3" else None
        quality = Quality.GOOD
        if faulty:
            quality = Quality.FAULT
        elif self._first_at is not None and frame.at - self._first_at < self._config.warmup_s:
            quality = Quality.WARMUP
        elif full_scale is not None and value >= full_scale:
            quality = Quality.OVER_RANGE
        return Sample(
            quantity=quantity,
            value=None if faulty else value,
            unit=unit,
            quality=quality,
            at=frame.at,
            raw=frame.data.hex(),
            full_scale=full_scale,
        )


class Driver:
    """One sensor on one line."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.counters = Counters()

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        while True:
            data = await port.read()
            for sample in decoder.feed(data, time.monotonic()):
                emit(sample)
