"""Sensirion SPS30 particle sensor on its serial line (SHDLC).

115200 8N1.  A question is `7E address command length data checksum 7E`; an answer has a state
behind the command.  The checksum is the inverted sum; inside a frame 7E, 7D, 11 and 13 are sent as
7D and the byte with bit 5 changed.  Measured values are read (03); the measurement is started (00),
which changes the sensor's mode but calibrates nothing, only where the configuration says `start`.
"""

from __future__ import annotations

import logging
import math
import struct
import time
from collections.abc import Callable, Iterator

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.asking import ask, wait_until
from drivers.framing import WAIT, Deframer, Drop, Frame, Take, Verdict

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Sensirion SPS30 particle sensor (SHDLC)",
    evidence="from datasheet",
    baudrate=115200,
    poll=True,
)

FLAG = 0x7E
_ESCAPE = 0x7D
_STUFFED = {0x5E: 0x7E, 0x5D: 0x7D, 0x31: 0x11, 0x33: 0x13}
START, READ = 0x00, 0x03
_FLOATS_BIG_ENDIAN = b"\x01\x03"
_VALUES = struct.Struct(">10f")
LIMIT = 2 * (5 + _VALUES.size + 1) + 2
"""The longest answer, each of its bytes stuffed."""

_NOT_STARTED = 0x43
_DEVICE_ERROR = 0x80
_STATES = {
    0x01: "wrong data length",
    0x02: "unknown command",
    0x03: "no access right",
    0x04: "illegal parameter",
    0x28: "internal function argument out of range",
    _NOT_STARTED: "not allowed in the current state",
}
_MASSES = ("pm1", "pm2_5", "pm4", "pm10")
_COUNTS = ("pn0_5", "pn1", "pn2_5", "pn4", "pn10")
"""Particles of 0.3 um up to so many micrometres."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "sps30"`."""

    start: bool = False
    """Start the measurement when the line is opened, and again where the sensor says that it does
    not measure.  False: something else starts it, and until then its values are faults."""
    counts: bool = False
    """Also the numbers of particles up to 0.5, 1, 2.5, 4 and 10 um, per cm3: `pn0_5` ..., and
    their typical size, `particle_size` in um."""
    address: int = 0
    period_s: float = 1.0
    timeout_s: float = 0.5
    """How long an answer may take."""
    full_scale: float = 1000.0
    """Upper end of the range, ug/m3."""
    warmup_s: float = 30.0
    """Readings in the first seconds after the line was opened are of quality `warmup`: the fan is
    starting."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        if not 0 <= self.address <= 254:
            yield "address", f"expected 0 to 254, read {self.address}"
        for key in ("period_s", "timeout_s", "full_scale"):
            if not (value := getattr(self, key)) > 0:
                yield key, f"expected more than 0, read {value:g}"
        if self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"


def question(address: int, command: int, data: bytes = b"") -> bytes:
    """The bytes that ask; stuffed."""
    body = bytes((address, command, len(data))) + data
    stuffed = bytearray((FLAG,))
    for byte in body + bytes((~sum(body) & 0xFF,)):
        if byte in _STUFFED.values():
            stuffed += bytes((_ESCAPE, byte ^ 0x20))
        else:
            stuffed.append(byte)
    return bytes(stuffed) + bytes((FLAG,))


def unstuffed(data: bytes) -> bytes | None:
    """What stands between two flags; None where an escape stands before what needs none."""
    body = bytearray()
    rest = iter(data)
    for byte in rest:
        if byte != _ESCAPE:
            body.append(byte)
            continue
        meant = _STUFFED.get(next(rest, -1))
        if meant is None:
            return None
        body.append(meant)
    return bytes(body)


def match(data: bytearray) -> Verdict:
    """An answer between two flags; the echo of a question is no noise."""
    start = data.find(FLAG)
    if start != 0:
        return Drop(start if start > 0 else len(data))
    end = data.find(FLAG, 1)
    if end < 0:
        return WAIT
    if end == 1:
        # The end of one frame and the beginning of the next.
        return Drop(1, noise=False)
    body = unstuffed(bytes(data[1:end]))
    if body is None or len(body) < 4 or body[-1] != ~sum(body[:-1]) & 0xFF:
        return Drop(1, bad_checksum=True)
    if body[2] == len(body) - 4:
        return Drop(end + 1, noise=False)
    if len(body) < 5 or body[3] != len(body) - 5:
        return Drop(1)
    return Take(end + 1)


class Decoder:
    """Bytes in, samples out; pure."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self.answered = False
        """Whether an answer has come since `expect`."""
        self.stopped = False
        """Whether the sensor has said that it does not measure."""
        self._config = (config or Config()).check()
        self._framer = self._fresh()
        self._first_at: float | None = None
        self._state = 0

    def expect(self) -> None:
        """A question is about to be sent; what waits will not become an answer any more."""
        self.answered = False
        self.counters.bytes_dropped += self._framer.waiting
        self._framer = self._fresh()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the answers that `data` completes; `at`: monotonic seconds."""
        return [s for frame in self._framer.feed(data, at) for s in self._read(frame)]

    def _fresh(self) -> Deframer:
        return Deframer(match, limit=LIMIT, counters=self.counters)

    def _read(self, frame: Frame) -> list[Sample]:
        body = unstuffed(frame.data[1:-1])
        assert body is not None
        address, command, state, data = body[0], body[1], body[2], body[4:-1]
        if address != self._config.address:
            return []
        self.answered = True
        self._say(command, state)
        if command != READ:
            return []
        self.stopped = state & ~_DEVICE_ERROR == _NOT_STARTED
        if state or len(data) not in (0, _VALUES.size):
            return [self._sample(frame, name, None, "ug/m3") for name in _MASSES]
        # Nothing: no new result since the last question.
        return self._samples(frame, _VALUES.unpack(data)) if data else []

    def _say(self, command: int, state: int) -> None:
        if state and state != self._state:
            error = state & ~_DEVICE_ERROR
            what = _STATES.get(error, "not in the datasheet") if error else "a device error"
            cure = ": start = true would start it" if error == _NOT_STARTED else ""
            log.warning("sps30: command %02X: state %02X (%s)%s", command, state, what, cure)
        self._state = state

    def _samples(self, frame: Frame, values: tuple[float, ...]) -> list[Sample]:
        if self._first_at is None:
            self._first_at = frame.at
        samples = [
            self._sample(frame, name, value, "ug/m3")
            for name, value in zip(_MASSES, values, strict=False)
        ]
        if self._config.counts:
            samples += [
                self._sample(frame, name, value, "1/cm3")
                for name, value in zip(_COUNTS, values[4:], strict=False)
            ]
            samples.append(self._sample(frame, "particle_size", values[9], "um"))
        return samples

    def _sample(self, frame: Frame, quantity: str, value: float | None, unit: str) -> Sample:
        full_scale = self._config.full_scale if unit == "ug/m3" else None
        if value is None or not math.isfinite(value) or value < 0:
            value, quality = None, Quality.FAULT
        elif self._first_at is not None and frame.at - self._first_at < self._config.warmup_s:
            quality = Quality.WARMUP
        elif full_scale is not None and value >= full_scale:
            quality = Quality.OVER_RANGE
        else:
            quality = Quality.GOOD
        return Sample(
            quantity=quantity,
            # A float of 32 bits has seven digits; more would be noise on the wire.
            value=None if value is None else float(f"{value:.7g}"),
            unit=unit,
            quality=quality,
            at=frame.at,
            raw=frame.data.hex(),
            full_scale=full_scale,
        )


class Driver:
    """One sensor on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        address = self.config.address
        decoder.stopped = self.config.start
        while True:
            due = self._now() + self.config.period_s
            if decoder.stopped and self.config.start:
                start = question(address, START, _FLOATS_BIG_ENDIAN)
                await self._ask(port, emit, decoder, start)
            await self._ask(port, emit, decoder, question(address, READ))
            await wait_until(due, self._now)

    async def _ask(self, port: Port, emit: Emit, decoder: Decoder, asked: bytes) -> None:
        def hear(data: bytes, at: float) -> bool:
            for sample in decoder.feed(data, at):
                emit(sample)
            return decoder.answered

        self.counters.bytes_dropped += port.discard_input()
        decoder.expect()
        await ask(port, asked, hear, self.config.timeout_s, self._now)
