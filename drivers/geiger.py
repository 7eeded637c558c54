"""GQ Electronics' GMC Geiger counters, asked over USB serial (GQ-RFC1201, GQ-RFC1801).

57600 or 115200 8N1.  `<GETVER>>` names the model in plain text, `<GETCPM>>` gives the counts of the
last minute: two bytes on the 280, 300 and 320 (RFC1201), four on the 500, 600 and 800 (RFC1801),
high byte first.  Nothing else is ever sent.

The protocol has neither frame nor checksum.  What is done instead: the line is flushed before each
question, an answer has exactly its length and the line is quiet behind it, and the count is asked
twice and given where both agree (to 16 counts or 5 %, as pulses arrive between them).  A wrong bit
that is smaller than that is not seen.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.asking import GAP_S, ask, wait_until

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="GQ GMC Geiger counters (RFC1201: 280, 300, 320; RFC1801: 500, 600, 800)",
    evidence="from datasheet",
    baudrate=115200,
    poll=True,
)
PROBES: tuple[dict[str, object], ...] = ()
"""It never speaks unasked, and its answers cannot be told from anything."""

GET_VERSION = b"<GETVER>>"
GET_CPM = b"<GETCPM>>"
_VERSION = re.compile(rb"GMC-?(\d)\d\d")
_LENGTHS = {b"2": 2, b"3": 2, b"5": 4, b"6": 4, b"8": 4}
"""Bytes of a count by the model's first digit."""
_VERSION_MAX = 64
_AGREE_COUNTS = 16
_AGREE = 0.05


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "geiger"`."""

    usv_h_per_cpm: float = 0.0065
    """Dose rate of one count a minute, uSv/h: of the tube.  M4011, J305 and SBM-20 about 0.0065
    (154 CPM are 1 uSv/h), LND 7317 about 0.0029: by the counter's manual."""
    count_bytes: Literal[2, 4] | None = None
    """2 (RFC1201) or 4 (RFC1801); default: by the model that the counter names."""
    full_scale_cpm: float = 65535.0
    """More counts a minute than the tube can follow: over range."""
    period_s: float = 1.0
    timeout_s: float = 1.0
    """How long an answer may take."""
    quiet_s: float = 0.05
    """An answer is over when nothing has come for so long."""
    warmup_s: float = 0.0
    """Readings in the first seconds after the line was opened are of quality `warmup`.  A counter
    that has just been switched on counts up for 60 s."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        for key in ("usv_h_per_cpm", "full_scale_cpm", "period_s", "timeout_s", "quiet_s"):
            if not (value := getattr(self, key)) > 0:
                yield key, f"expected more than 0, read {value:g}"
        if self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"

    def measures(self) -> tuple[str, ...]:
        return ("dose_rate", "count_rate")

    def spans(self) -> tuple[Span, ...]:
        step, top = self.usv_h_per_cpm, self.full_scale_cpm
        return (
            Span(
                quantity="dose_rate",
                unit="uSv/h",
                resolution=step,
                full_scale=round(top * step, 9),
            ),
            Span(quantity="count_rate", unit="1/min", resolution=1.0, full_scale=top),
        )


class Decoder:
    """Answers in, samples out; pure.  `expect` says what was asked; `settle`, that it is over."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._config = (config or Config()).check()
        self.count_bytes: int | None = self._config.count_bytes
        """Length of a count; None until the counter has named its model."""
        self.whole = False
        """Whether as much has come as was asked for."""
        self._asked = b""
        self._answer = bytearray()
        self._at = 0.0
        self._first: int | None = None
        self._first_at: float | None = None
        self._complained = False

    @property
    def wants(self) -> bytes:
        """The question to send next."""
        return GET_VERSION if self.count_bytes is None else GET_CPM

    def expect(self, question: bytes) -> None:
        """`question` is about to be sent on a line that has been flushed."""
        self.counters.bytes_dropped += len(self._answer)
        self._answer.clear()
        self._asked = question
        self.whole = False

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Takes what came, and gives nothing: an answer is known by the quiet behind it."""
        self.counters.bytes_read += len(data)
        if not self._answer:
            self._at = at
        room = max(_VERSION_MAX - len(self._answer), 0)
        self.counters.bytes_dropped += max(len(data) - room, 0)
        self._answer += data[:room]
        if self._asked == GET_CPM:
            self.whole = len(self._answer) >= (self.count_bytes or 0)
        else:
            self.whole = _VERSION.search(self._answer) is not None
        return []

    def settle(self) -> list[Sample | Fix]:
        """The line has been quiet: samples of the answer, where it is the second that agrees."""
        answer = bytes(self._answer)
        self._answer.clear()
        if not answer:
            self._first = None
            return []
        if self._asked == GET_VERSION:
            self._learn(answer)
        elif len(answer) == self.count_bytes:
            return self._count(int.from_bytes(answer), answer)
        else:
            self._refuse(len(answer))
        return []

    def _learn(self, answer: bytes) -> None:
        found = _VERSION.search(answer)
        length = None if found is None else _LENGTHS.get(found[1])
        if length is None:
            self.counters.bytes_dropped += len(answer)
            if not self._complained:
                self._complained = True
                log.warning(
                    "geiger: %r names no model that is known; say count_bytes = 2 (RFC1201) or 4"
                    " (RFC1801)", answer.decode("ascii", "replace"),
                )  # fmt: skip
        else:
            self.counters.frames += 1
            self.count_bytes = length

    def _refuse(self, length: int) -> None:
        self.counters.bytes_dropped += length
        self.counters.bad_checksums += 1
        self._first = None

    def _count(self, counts: int, answer: bytes) -> list[Sample | Fix]:
        first, self._first = self._first, counts
        if first is None:
            return []
        if abs(counts - first) > max(_AGREE_COUNTS, _AGREE * max(counts, first)):
            # Which of them was wrong is not known: the next one must agree with this one.
            self.counters.bytes_dropped += len(answer)
            self.counters.bad_checksums += 1
            return []
        self._first = None
        self.counters.frames += 1
        if self._first_at is None:
            self._first_at = self._at
        rate = round(counts * self._config.usv_h_per_cpm, 9)
        full_scale = self._config.full_scale_cpm
        quality = Quality.GOOD
        if self._at - self._first_at < self._config.warmup_s:
            quality = Quality.WARMUP
        elif counts >= full_scale:
            quality = Quality.OVER_RANGE
        return [
            Sample(quantity=name, value=value, unit=unit, quality=quality, at=self._at,
                   raw=answer.hex(), full_scale=top)
            for name, value, unit, top in (
                ("dose_rate", rate, "uSv/h", round(full_scale * self._config.usv_h_per_cpm, 9)),
                ("count_rate", float(counts), "1/min", full_scale),
            )
        ]  # fmt: skip

    @property
    def confirms(self) -> bool:
        """True where a count waits for a second one that agrees."""
        return self._first is not None


class Listener:
    """Makes sense of a recording of the counter's side: answers with quiet between them."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self._decoder = Decoder(config, counters)
        self._quiet = True

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Takes what was read at monotonic time `at`; `flush` gives what it says."""
        if self._quiet:
            self._quiet = False
            self._decoder.expect(self._decoder.wants)
        return self._decoder.feed(data, at)

    def flush(self, at: float) -> list[Sample | Fix]:
        """The line has been quiet up to `at`: samples of the answer, where it confirms one."""
        self._quiet = True
        return self._decoder.settle()


listener = Listener


class Driver:
    """One counter on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        while True:
            due = self._now() + self.config.period_s
            for _ in range(2):
                for sample in await self._ask(port, decoder):
                    emit(sample)
                if not decoder.confirms:
                    break
                await asyncio.sleep(GAP_S)
            await wait_until(due, self._now)

    async def _ask(self, port: Port, decoder: Decoder) -> list[Sample | Fix]:
        def hear(data: bytes, at: float) -> bool:
            decoder.feed(data, at)
            return decoder.whole

        self.counters.bytes_dropped += port.discard_input()
        question = decoder.wants
        decoder.expect(question)
        if await ask(port, question, hear, self.config.timeout_s, self._now):
            await self._listen(port, decoder)
        return decoder.settle()

    async def _listen(self, port: Port, decoder: Decoder) -> None:
        """What comes behind a whole answer, until the line is quiet: it spoils the answer."""
        deadline = self._now() + self.config.timeout_s
        while self._now() < deadline:
            try:
                async with asyncio.timeout(self.config.quiet_s):
                    decoder.feed(await port.read(), self._now())
            except TimeoutError:
                return
