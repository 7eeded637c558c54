"""NevadaNano MPS: flammable gas in per cent LEL, and which class of gas it is.

38400 8N1, little-endian.  A question is `cmd 2, length 2, reserved 2, crc 2`; an answer is
`cmd, status, length 2, crc 2, payload`, its CRC-16/CCITT-FALSE over the header with a crc of 0 and
the payload.  Only ANSWER is asked.  Starting a measurement changes what the sensor does, so START
is sent only where the configuration says `start`; nothing here stops, shuts down or sets anything.

The sensor has a new result about every two seconds and numbers them (`cycle`).  A number that
stands still is a sensor that has stopped measuring, though it answers: that is a fault.
"""

from __future__ import annotations

import logging
import math
import struct
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.asking import ask, wait_until
from drivers.checksum import crc16_ccitt
from drivers.framing import WAIT, Deframer, Drop, Frame, Take, Verdict

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="NevadaNano MPS flammable gas sensor",
    evidence="from datasheet",
    baudrate=38400,
    poll=True,
)

ANSWER = 0x01
MEASURE = 0x61
QUESTION = bytes.fromhex("01 00 00 00 00 00 ED 76")
START = {
    "iso": bytes.fromhex("61 00 01 00 00 00 57 93 02"),
    "iec": bytes.fromhex("61 00 01 00 00 00 35 B7 22"),
}
"""Starts the measurement with the LELs of ISO 10156 or IEC 60079-20-1."""

HEADER = 6
_PAYLOAD = struct.Struct("<ifIffff")
_LENGTHS = {ANSWER: (0, _PAYLOAD.size), MEASURE: (0, 1)}
_HARDWARE_ERROR = 0x20
_STATUS = {
    1: "the question's CRC was wrong",
    2: "bad parameter",
    3: "execution failed",
    4: "out of memory",
    5: "unknown command",
}
GASES = {
    0: "none",
    1: "hydrogen",
    2: "hydrogen mixture",
    3: "methane",
    4: "light gas",
    5: "medium gas",
    6: "heavy gas",
    253: "unknown gas",
    254: "under range",
    255: "over range",
}
"""What `gas_class` means; 253 to 255 are from memory."""
_BY_GAS = {254: Quality.UNDER_RANGE, 255: Quality.OVER_RANGE}
FULL_SCALE_LEL = 100.0


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "mps"`."""

    start: Literal["", "iso", "iec"] = ""
    """Start the measurement when the line is opened, with the LELs of ISO 10156 or of IEC
    60079-20-1 (methane: 5.0 or 4.4 % of volume).  Empty: something else starts it."""
    period_s: float = 2.0
    timeout_s: float = 0.5
    """How long an answer may take."""
    frozen_s: float = 10.0
    """A result that stays the same for so long is a fault: the sensor has stopped measuring."""
    warmup_s: float = 0.0
    """Readings in the first seconds after the line was opened are of quality `warmup`."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        for key in ("period_s", "timeout_s"):
            if not (value := getattr(self, key)) > 0:
                yield key, f"expected more than 0, read {value:g}"
        if not self.frozen_s >= 2 * self.period_s:
            yield (
                "frozen_s",
                f"expected at least two periods ({2 * self.period_s:g}), read {self.frozen_s:g}",
            )
        if self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"

    def measures(self) -> tuple[str, ...]:
        return ("combustible",)

    def spans(self) -> tuple[Span, ...]:
        return (Span(quantity="combustible", unit="%LEL", full_scale=FULL_SCALE_LEL),)


class Result(NamedTuple):
    """Payload of an ANSWER."""

    cycle: int
    concentration: float
    """%LEL."""
    gas: int
    temperature: float
    """Cel."""
    pressure: float
    """kPa."""
    humidity: float
    """%RH."""
    absolute_humidity: float
    """g/m3."""


def match(data: bytearray) -> Verdict:
    """An answer to one of the two commands that are ever sent; the echo of ours is no noise."""
    if data[0] not in _LENGTHS:
        return Drop(1)
    for question in (QUESTION, *START.values()):
        if data.startswith(question):
            return Drop(len(question), noise=False)
    if len(data) < HEADER:
        return WAIT
    length = int.from_bytes(data[2:4], "little")
    if length not in _LENGTHS[data[0]]:
        return Drop(1)
    if len(data) < HEADER + length:
        return WAIT
    body = bytes(data[:4]) + bytes(2) + bytes(data[HEADER : HEADER + length])
    if crc16_ccitt(body) == int.from_bytes(data[4:6], "little"):
        return Take(HEADER + length)
    if any(question.startswith(data) for question in (QUESTION, *START.values())):
        return WAIT
    return Drop(1, bad_checksum=True)


class Decoder:
    """Bytes in, samples out; pure.  A result that was given before is not given again, and none
    before the sensor has shown that it counts on."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self.answered = False
        """Whether an answer has come since `expect`."""
        self._config = (config or Config()).check()
        self._framer = self._fresh()
        self._first_at: float | None = None
        self._cycle: int | None = None
        self._cycle_at = 0.0
        self._complained: set[str] = set()

    def expect(self) -> None:
        """A question is about to be sent; what waits will not become an answer any more."""
        self.answered = False
        self.counters.bytes_dropped += self._framer.waiting
        self._framer = self._fresh()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the answers that `data` completes; `at`: monotonic seconds."""
        return self._read(self._framer.feed(data, at))

    def settle(self) -> list[Sample | Fix]:
        """The line is quiet: the answer that a false header holds back, if there is one."""
        return self._read(self._framer.settle())

    def _fresh(self) -> Deframer:
        limit = HEADER + _PAYLOAD.size
        return Deframer(match, limit=limit, counters=self.counters)

    def _read(self, frames: list[Frame]) -> list[Sample | Fix]:
        samples: list[Sample | Fix] = []
        for frame in frames:
            self.answered = True
            if frame.data[0] == ANSWER:
                samples += self._answer(frame)
            elif frame.data[1]:
                self._complain(f"it did not start: {_meaning(frame.data[1])}")
        return samples

    def _answer(self, frame: Frame) -> list[Sample]:
        status, payload = frame.data[1], frame.data[HEADER:]
        if status or not payload:
            self._complain(_meaning(status))
            return [self._sample(frame, "combustible", None, "%LEL", Quality.FAULT)]
        result = Result(*_PAYLOAD.unpack(payload))
        if self._first_at is None:
            self._first_at = frame.at
        if result.cycle == self._cycle:
            return self._same_again(frame)
        # The first number seen, and one that went back (the sensor has restarted), may be of a
        # sensor that does not measure: its result counts once the number moves.
        moved = self._cycle is not None and result.cycle > self._cycle
        self._cycle, self._cycle_at = result.cycle, frame.at
        return self._samples(frame, result) if moved else []

    def _same_again(self, frame: Frame) -> list[Sample]:
        if frame.at - self._cycle_at < self._config.frozen_s:
            return []
        self._complain(
            f"its result {self._cycle} has not changed for {self._config.frozen_s:g} s: it does not"
            ' measure (start = "iso" in the configuration would start it)'
        )
        return [self._sample(frame, "combustible", None, "%LEL", Quality.FAULT)]

    def _samples(self, frame: Frame, result: Result) -> list[Sample]:
        quality = self._quality(frame.at, result)
        lel = None if quality is Quality.FAULT else _short(result.concentration)
        air = Quality.WARMUP if quality is Quality.WARMUP else Quality.GOOD
        return [
            self._sample(frame, "combustible", lel, "%LEL", quality),
            self._sample(frame, "gas_class", float(result.gas), "/", air),
            *(
                self._sample(
                    frame, name, *((_short(value), unit, air) if low <= value <= high
                                   else (None, unit, Quality.FAULT))
                )
                for name, value, unit, low, high in (
                    ("temperature", result.temperature, "Cel", -60.0, 120.0),
                    ("pressure", result.pressure * 10, "hPa", 300.0, 1300.0),
                    ("humidity", result.humidity, "%RH", 0.0, 100.0),
                )
            ),
        ]  # fmt: skip

    def _quality(self, at: float, result: Result) -> Quality:
        if not math.isfinite(result.concentration) or result.gas not in GASES:
            self._complain(f"gas {result.gas}, {result.concentration:g} %LEL is no result")
            return Quality.FAULT
        if self._first_at is not None and at - self._first_at < self._config.warmup_s:
            return Quality.WARMUP
        if result.gas in _BY_GAS:
            return _BY_GAS[result.gas]
        if result.concentration >= FULL_SCALE_LEL:
            return Quality.OVER_RANGE
        if result.concentration < -0.1 * FULL_SCALE_LEL:
            return Quality.UNDER_RANGE
        return Quality.GOOD

    def _sample(
        self, frame: Frame, quantity: str, value: float | None, unit: str, quality: Quality
    ) -> Sample:
        return Sample(
            quantity=quantity,
            value=value,
            unit=unit,
            quality=quality,
            at=frame.at,
            raw=frame.data.hex(),
            full_scale=FULL_SCALE_LEL if unit == "%LEL" else None,
        )

    def _complain(self, what: str) -> None:
        if what not in self._complained:
            self._complained.add(what)
            log.warning("mps: %s", what)


def _meaning(status: int) -> str:
    if status >= _HARDWARE_ERROR:
        return f"it reports a hardware error, status {status:02X}"
    return f"it refuses, status {status:02X} ({_STATUS.get(status, 'not in the manual')})"


def _short(value: float) -> float:
    """A float of 32 bits has seven digits; more would be noise on the wire."""
    return float(f"{value:.7g}")


class Driver:
    """One sensor on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        start = self.config.start
        for _ in range(3 if start else 0):
            if await self._ask(port, emit, decoder, START[start]):
                break
        while True:
            due = self._now() + self.config.period_s
            await self._ask(port, emit, decoder, QUESTION)
            await wait_until(due, self._now)

    async def _ask(self, port: Port, emit: Emit, decoder: Decoder, question: bytes) -> bool:
        """Whether it answered; samples go to `emit`."""

        def hear(data: bytes, at: float) -> bool:
            for sample in decoder.feed(data, at):
                emit(sample)
            return decoder.answered

        self.counters.bytes_dropped += port.discard_input()
        decoder.expect()
        if not await ask(port, question, hear, self.config.timeout_s, self._now):
            for sample in decoder.settle():
                emit(sample)
        return decoder.answered
