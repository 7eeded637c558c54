"""Instruments that send a line of text for each reading: CSV, words, anything a pattern finds.

The configuration says how a line looks: either `pattern`, a regular expression with named groups
that must match the whole line, or `columns`, how many there are between `separator`s.  `fields`
says which group or column (from 1) is which quantity.  A line that looks otherwise is dropped, and
so is one whose checksum is wrong, where it has one.

Most such instruments have no checksum: then a damaged digit cannot be seen, and only what is
implausible (`valid_min`, `valid_max`) is caught.  Without a checksum the first line after opening
is not believed, as it may have been cut in front, nor is what a pause has torn apart.  Nothing is
written but the `question`, where the configuration has one.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.asking import ask, emitting, wait_until
from drivers.checksum import xor8
from drivers.framing import Deframer, Drop, Frame, Take, Verdict, line_matcher

INSTRUMENT = Instrument(
    title="Any instrument that sends lines of text (CSV, regular expression)",
    evidence="from memory",
    baudrate=9600,
)
PROBES: tuple[dict[str, object], ...] = ()
"""Any line would do: which quantity it is must be said."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_SLUG = re.compile(r"[a-z][a-z0-9_]*")
_CHECKED = re.compile(rb"[$!]?([^*]*)\*([0-9A-Fa-f]{2})")
_UNDER_RANGE = -0.1
_TRUSTED = (Quality.GOOD, Quality.CAL_DUE)
LENGTH_MAX = 1024


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one group or column means: number * scale + offset."""

    quantity: str
    unit: str
    """SenML unit; ppb are published as ppm."""
    scale: float = 1.0
    offset: float = 0.0
    full_scale: float | None = None
    """Upper end of the range, in `unit`: from there on the value is over range."""
    valid_min: float | None = None
    valid_max: float | None = None
    """Outside of these, in `unit`, the value is a fault."""

    @property
    def published_unit(self) -> str:
        return "ppm" if self.unit == "ppb" else self.unit

    def published(self, value: float | None) -> float | None:
        """`value`, in `unit`, as it is published."""
        if value is None:
            return None
        return round(value * (0.001 if self.unit == "ppb" else 1.0), 9)

    def mistakes(self) -> Iterator[str]:
        """Sentences for all that types cannot say."""
        if not _SLUG.fullmatch(self.quantity):
            yield f'quantity: expected a name like dose_rate, read "{self.quantity}"'
        if not self.unit:
            yield "unit: expected a unit, read nothing"
        if self.scale == 0:
            yield "scale: expected a number other than 0"
        if self.full_scale is not None and not self.full_scale > 0:
            yield f"full_scale: expected more than 0, read {self.full_scale:g}"
        low, high = self.valid_min, self.valid_max
        if low is not None and high is not None and low >= high:
            yield f"valid_min: expected less than valid_max {high:g}, read {low:g}"


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "line"`."""

    fields: dict[str, Field]
    """Group or column -> quantity, unit, and perhaps scale, offset, full_scale, valid_min and
    valid_max: `{ 6 = { quantity = "dose_rate", unit = "uSv/h" } }`."""
    pattern: str = ""
    """Regular expression (Python's) for the whole line, with named groups."""
    columns: int | None = None
    """How many columns a line has; needed where there is no pattern."""
    separator: str = ","
    """Between columns."""
    decimal: Literal[".", ","] = "."
    """The sign before decimals."""
    checksum: Literal["none", "xor-nmea"] = "none"
    """`xor-nmea`: a line ends in `*` and two hexadecimal digits, the XOR of all between a leading
    `$` or `!` (which need not be) and the `*`.  Pattern and columns see only what is between."""
    status: str = ""
    """Group or column with a word on the instrument's state."""
    states: dict[str, Quality] = msgspec.field(default_factory=dict)
    """Word -> good, warmup, over_range, under_range, fault, cal_due.  Other words are faults."""
    question: str = ""
    """Sent each `period_s`, with its line end (`"?Q\\r\\n"`); empty: it speaks by itself.  Be sure
    that it cannot change the instrument."""
    period_s: float = 1.0
    timeout_s: float = 0.5
    """How long an answer to a question may take."""
    pause_s: float = 0.5
    """A line in which nothing came for so long is torn, and dropped."""
    max_length: int = 256
    """Longer lines are dropped."""
    warmup_s: float = 0.0
    """Readings in the first seconds after the line was opened are of quality `warmup`."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        yield from self._number_mistakes()
        if bool(self.pattern) == (self.columns is not None):
            yield "pattern", "expected either a pattern or the number of columns"
            return
        try:
            known = self._places()
        except re.error as error:
            yield "pattern", f"not a regular expression: {error}"
            return
        if not self.fields:
            yield "fields", "expected at least one"
        for place, field in self.fields.items():
            if place not in known:
                yield "fields", f'expected one of {", ".join(known)}, read "{place}"'
            yield from (("fields", f"{place}: {sentence}") for sentence in field.mistakes())
        if self.status and self.status not in known:
            yield "status", f'expected one of {", ".join(known)}, read "{self.status}"'
        if bool(self.status) != bool(self.states):
            yield "states", "expected with status, and only then"

    def _number_mistakes(self) -> Iterator[tuple[str, str]]:
        for key in ("period_s", "timeout_s", "pause_s"):
            if not (value := getattr(self, key)) > 0:
                yield key, f"expected more than 0, read {value:g}"
        if self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"
        if not 8 <= self.max_length <= LENGTH_MAX:
            yield "max_length", f"expected 8 to {LENGTH_MAX}, read {self.max_length}"
        if self.columns is not None and not 1 <= self.columns <= 99:
            yield "columns", f"expected 1 to 99, read {self.columns}"
        if not self.separator:
            yield "separator", "expected at least one character"
        if self.columns is not None and self.separator == self.decimal:
            yield "separator", f'expected another sign than decimal "{self.decimal}"'
        if not self.question.isascii():
            yield "question", "expected ASCII characters"

    def _places(self) -> list[str]:
        """Names of all groups, or numbers of all columns.  re.error: not a pattern."""
        if self.pattern:
            return list(re.compile(self.pattern).groupindex)
        return [str(number) for number in range(1, (self.columns or 0) + 1)]

    def measures(self) -> tuple[str, ...]:
        return tuple(field.quantity for field in self.fields.values())

    def spans(self) -> tuple[Span, ...]:
        return tuple(
            Span(
                quantity=field.quantity,
                unit=field.published_unit,
                full_scale=field.published(field.full_scale),
            )
            for field in self.fields.values()
        )


class Reader:
    """What a line says, by the configuration; pure."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pattern = re.compile(config.pattern, re.ASCII) if config.pattern else None

    def body(self, line: bytes) -> bytes | None:
        """The line without its checksum; None where that is missing or wrong."""
        if self._config.checksum == "none":
            return line
        found = _CHECKED.fullmatch(line.strip())
        if found is None or xor8(found[1]) != int(found[2], 16):
            return None
        return found[1]

    def words(self, body: bytes) -> dict[str, str] | None:
        """Group or column -> its text; None where the line looks otherwise."""
        text = body.decode("ascii", "replace").strip()
        if self._pattern is not None:
            found = self._pattern.fullmatch(text)
            return None if found is None else {k: v or "" for k, v in found.groupdict().items()}
        columns = text.split(self._config.separator)
        if len(columns) != self._config.columns:
            return None
        return {str(number): column.strip() for number, column in enumerate(columns, 1)}

    def number(self, text: str) -> float | None:
        """None where it is no finite number."""
        if self._config.decimal == ",":
            text = text.replace(",", ".") if "." not in text else ""
        if not _NUMBER.fullmatch(text):
            return None
        value = float(text)
        return value if math.isfinite(value) else None


class Decoder:
    """Bytes in, samples out; pure."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._config = config.check()
        self._reader = Reader(config)
        self._lines = line_matcher(config.max_length)
        self._framer = self._fresh()
        self._last_at = -math.inf
        self._first_at: float | None = None
        # An answer begins behind its question; a line that comes by itself may be half a line.
        self._believes = config.checksum != "none" or bool(config.question)

    def expect(self) -> None:
        """A question is about to be sent; what waits will not become a line any more."""
        self.counters.bytes_dropped += self._framer.waiting
        self._framer = self._fresh()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the lines that `data` completes; `at`: monotonic seconds."""
        if self._framer.waiting and at - self._last_at > self._config.pause_s:
            self.expect()
        self._last_at = at
        return [s for frame in self._framer.feed(data, at) for s in self._read(frame)]

    def _fresh(self) -> Deframer:
        limit = self._config.max_length + 1
        return Deframer(self._match, limit=limit, counters=self.counters)

    def _match(self, data: bytearray) -> Verdict:
        verdict = self._lines(data)
        if not isinstance(verdict, Take):
            return verdict
        if not self._believes:
            self._believes = True
            return Drop(verdict.length)
        body = self._reader.body(bytes(data[: verdict.length]))
        if body is None:
            return Drop(verdict.length, bad_checksum=b"*" in data[: verdict.length])
        return verdict if self._reader.words(body) is not None else Drop(verdict.length)

    def _read(self, frame: Frame) -> list[Sample]:
        if self._first_at is None:
            self._first_at = frame.at
        words = self._reader.words(self._reader.body(frame.data) or b"") or {}
        state = Quality.GOOD
        if self._config.status:
            state = self._config.states.get(words[self._config.status], Quality.FAULT)
        if state in _TRUSTED and frame.at - self._first_at < self._config.warmup_s:
            state = Quality.WARMUP
        return [
            self._sample(frame, field, self._reader.number(words[place]), state)
            for place, field in self._config.fields.items()
        ]

    def _sample(self, frame: Frame, field: Field, number: float | None, state: Quality) -> Sample:
        value = None if number is None else number * field.scale + field.offset
        quality = _quality(field, value, state)
        return Sample(
            quantity=field.quantity,
            value=None if quality is Quality.FAULT else field.published(value),
            unit=field.published_unit,
            quality=quality,
            at=frame.at,
            raw=frame.data.decode("ascii", "replace"),
            full_scale=field.published(field.full_scale),
        )


def _quality(field: Field, value: float | None, state: Quality) -> Quality:
    if state not in _TRUSTED:
        return state
    if value is None or not math.isfinite(value):
        return Quality.FAULT
    low, high = field.valid_min, field.valid_max
    if (low is not None and value < low) or (high is not None and value > high):
        return Quality.FAULT
    if field.full_scale is not None and value >= field.full_scale:
        return Quality.OVER_RANGE
    if field.full_scale is not None and value < _UNDER_RANGE * field.full_scale:
        return Quality.UNDER_RANGE
    return state


class Driver:
    """One instrument on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        hear = emitting(decoder.feed, emit)

        question = self.config.question.encode("ascii")
        while not question:
            hear(await port.read(), self._now())
        while True:
            due = self._now() + self.config.period_s
            self.counters.bytes_dropped += port.discard_input()
            decoder.expect()
            await ask(port, question, hear, self.config.timeout_s, self._now)
            await wait_until(due, self._now)
