"""Vaisala WXT510, WXT520 and WXT53x in their ASCII protocol, polled or automatic (M210906EN).

Composite and single messages are one line of key=value fields in any order:

    0R0,Dn=095D,Dm=274D,Dx=352D,Sn=0.3M,...,Vr=3.631V<cr><lf>

address, `R0` to `R5`, then fields that end in their unit's letter, `#` in place of a unit where the
sensor has nothing valid.  With a small `r` three characters of CRC-16 stand before the line's end;
without, this wire has no check at all: a bit that changes a digit changes a number.

The only bytes ever written are the questions of mode `poll`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from . import Counters, DriverConfig, Emit, Fix, Instrument, Port, Sample
from .asking import ask, emitting, wait_until
from .framing import WAIT, Deframer, Drop, Matcher, Take, Verdict
from .weather import (
    BAR,
    IN_HG,
    INCH_MM,
    KM_H,
    KNOT,
    MM_HG,
    MPH,
    PASCAL,
    WIND_FULL_SCALE_M_S,
    Mount,
    fahrenheit,
    mounted,
    sample,
)

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Vaisala WXT510, WXT520, WXT53x weather transmitter, ASCII",
    evidence="from datasheet",
    baudrate=19200,
    poll=True,
)

PROBES = ({"mode": "auto", "mount": "fixed"},)
"""A WXT that is heard without having been asked is in one of its automatic modes."""

LINE_MAX = 512
"""The longest composite message has some 280 characters."""


class Kind(NamedTuple):
    """What one sort of field means."""

    unit: str
    letters: dict[str, float | Callable[[float], float]]
    """Unit letter -> factor to `unit`, or a function."""


_DEGREES = Kind("deg", {"D": 1.0})
_SPEED = Kind("m/s", {"M": 1.0, "K": KM_H, "S": MPH, "N": KNOT})
_CELSIUS = Kind("Cel", {"C": 1.0, "F": fahrenheit})
_HUMIDITY = Kind("%RH", {"P": 1.0})
_PRESSURE = Kind("hPa", {"H": 1.0, "P": PASCAL, "B": BAR, "M": MM_HG, "I": IN_HG})
_RAIN = Kind("mm", {"M": 1.0, "I": INCH_MM})
_RAIN_RATE = Kind("mm/h", {"M": 1.0, "I": INCH_MM})
_SECONDS = Kind("s", {"s": 1.0})
_INCH2_CM2 = 2.54**-2
_HAIL = Kind("hits/cm2", {"M": 1.0, "I": _INCH2_CM2})
_HAIL_RATE = Kind("hits/cm2/h", {"M": 1.0, "I": _INCH2_CM2})
_VOLTS = Kind("V", {"V": 1.0})
# The letter of the heating voltage tells its state: N off, V half, F between, W full.
_HEATING = Kind("V", dict.fromkeys("NVFW", 1.0))

FIELDS: dict[str, tuple[str, Kind]] = {
    "Dn": ("wind_direction_min", _DEGREES),
    "Dm": ("wind_direction", _DEGREES),
    "Dx": ("wind_direction_max", _DEGREES),
    "Sn": ("wind_speed_min", _SPEED),
    "Sm": ("wind_speed", _SPEED),
    "Sx": ("wind_speed_max", _SPEED),
    "Ta": ("temperature", _CELSIUS),
    "Tp": ("internal_temperature", _CELSIUS),
    "Ua": ("humidity", _HUMIDITY),
    "Pa": ("pressure", _PRESSURE),
    "Rc": ("rain", _RAIN),
    "Rd": ("rain_duration", _SECONDS),
    "Ri": ("rain_intensity", _RAIN_RATE),
    "Rp": ("rain_intensity_max", _RAIN_RATE),
    "Hc": ("hail", _HAIL),
    "Hd": ("hail_duration", _SECONDS),
    "Hi": ("hail_intensity", _HAIL_RATE),
    "Hp": ("hail_intensity_max", _HAIL_RATE),
    "Th": ("heater_temperature", _CELSIUS),
    "Vh": ("heater_voltage", _HEATING),
    "Vs": ("supply_voltage", _VOLTS),
    "Vr": ("reference_voltage", _VOLTS),
}
_WORDS = frozenset(("Id",))
"""Fields that hold text."""

_START = re.compile(rb"[0-9A-Za-z](?:[Rr][0-5]|[Tt][Xx]),")
_END = re.compile(rb"[\r\n]")
_ECHO = re.compile(rb"[0-9A-Za-z](?:R[0-5]|r[0-5][@-\x7f]{3})")
_FIELD = re.compile(r"([A-Z][a-z])=([+-]?\d{1,6}(?:\.\d{1,6})?)?([A-Za-z#])")
_TEXT = re.compile(r"([A-Z][a-z])=[ -+\--~]*")


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "wxt"`."""

    mount: Mount
    """`fixed` (its arrow points north) or `vehicle` (it points ahead: the wind is published as
    `wind_speed_apparent` and `wind_direction_apparent`, and no other)."""
    mode: Literal["poll", "auto"] = "poll"
    """`poll`: ask each `period_s` (WXT setting M=P); `auto`: listen only (M=A, or M=a with CRC)."""
    address: str = "0"
    """Of the transmitter: one digit or letter."""
    messages: tuple[Literal[0, 1, 2, 3, 5], ...] = (0,)
    """What is asked: 0 the composite message, 1 wind, 2 pressure, temperature and humidity,
    3 precipitation, 5 supervisor.  What each of them holds is set in the WXT."""
    crc: bool = False
    """Ask with `r` and believe only lines with a right CRC.  Without it this wire has no check at
    all; lines that bring a CRC are checked in either case."""
    period_s: float = 2.0
    timeout_s: float = 1.0
    """How long a reply may take."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        if not re.fullmatch(r"[0-9A-Za-z]", self.address):
            yield "address", f'expected one digit or letter, read "{self.address}"'
        if not self.messages:
            yield "messages", "expected at least one of 0, 1, 2, 3, 5"
        for key in ("period_s", "timeout_s"):
            if not getattr(self, key) > 0:
                yield key, f"expected more than 0, read {getattr(self, key):g}"

    def questions(self) -> list[bytes]:
        """What is asked in each period."""
        letter = "r" if self.crc else "R"
        heads = [f"{self.address}{letter}{number}".encode("ascii") for number in self.messages]
        return [head + (crc3(head) if self.crc else b"") + b"\r\n" for head in heads]


def crc3(data: bytes) -> bytes:
    """CRC-16 (reflected 0x8005, initial 0) as three printable characters of six bits each, the
    first with four (M210906EN, appendix C; the same as SDI-12)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return bytes((0x40 | crc >> 12, 0x40 | (crc >> 6 & 0x3F), 0x40 | (crc & 0x3F)))


def matcher(config: Config) -> Matcher:
    """Whole lines of a WXT, every field of them well-formed.

    A line with a field that is not was cut, and joined to the next one: it is searched for the
    beginning of another, and dropped up to there.
    """

    def match(data: bytearray) -> Verdict:
        if data[0] in b"\r\n":
            return Drop(1, noise=False)
        end = _END.search(data, 0, LINE_MAX + 1)
        if end is None:
            return WAIT if len(data) <= LINE_MAX else Drop(len(data))
        line = bytes(data[: end.start()])
        if _ECHO.fullmatch(line):
            return Drop(len(line), noise=False)
        checked = _START.match(line) is not None and line[1:2] in b"rt"
        sound = not checked or crc3(line[:-3]) == line[-3:]
        if sound and _START.match(line) and (checked or not config.crc) and fields(line):
            return Take(len(line), "wxt")
        later = _START.search(line, 1)
        return Drop(later.start() if later else len(line), bad_checksum=not sound)

    return match


def fields(line: bytes) -> dict[str, tuple[str | None, str]] | None:
    """Key -> (number or None, unit letter) of a line without its CRC checked; None where anything
    in it is malformed or said twice.  Text has the letter ``."""
    body = line[:-3] if line[1:2] in b"rt" else line
    found: dict[str, tuple[str | None, str]] = {}
    try:
        parts = body.decode("ascii").split(",")[1:]
    except UnicodeDecodeError:
        return None
    if line[1:2] in b"tT":
        return {"": (None, "")}
    for part in parts:
        match = _FIELD.fullmatch(part)
        text = _TEXT.fullmatch(part)
        key = match[1] if match else text[1] if text else ""
        if key in found or not (match or key in _WORDS):
            return None
        if match and match[2] is None and match[3] != "#":
            return None
        found[key] = (match[2], match[3]) if match else (None, "")
    return found


class Decoder:
    """Bytes in, samples out."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self._config = config.check()
        self.counters = Counters() if counters is None else counters
        self._framer = self._fresh()
        self._said: set[str] = set()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the lines that `data` completes; `at`: monotonic seconds."""
        frames = self._framer.feed(data, at)
        return [one for frame in frames for one in self._line(frame.data, frame.at)]

    def expect_reply(self) -> None:
        """A question is about to be sent: what has not become a line by now never will."""
        self.counters.bytes_dropped += self._framer.waiting
        self._framer = self._fresh()

    def _fresh(self) -> Deframer:
        return Deframer(matcher(self._config), limit=LINE_MAX + 2, counters=self.counters)

    def _line(self, line: bytes, at: float) -> list[Sample]:
        text = line.decode("ascii")
        if text[1] in "tT":
            self._say(f"it answers {text}")
            return []
        if text[0] != self._config.address:
            self._say(f"a transmitter {text[0]} speaks, configured is {self._config.address}")
            return []
        read = fields(line) or {}
        return [
            self._sample(FIELDS[key], number, letter, at, text)
            for key, (number, letter) in read.items()
            if self._known(key, text)
        ]

    def _known(self, key: str, text: str) -> bool:
        if key not in FIELDS and key not in _WORDS:
            self._say(f"field {key} is not known: {text}")
        return key in FIELDS

    def _sample(
        self, field: tuple[str, Kind], number: str | None, letter: str, at: float, text: str
    ) -> Sample:
        quantity, kind = mounted(field[0], self._config.mount), field[1]
        factor = kind.letters.get(letter)
        value: float | None = None
        if letter != "#" and factor is None:
            self._say(f"unit {letter} of {quantity} is not known: {text}")
        elif number is not None and factor is not None:
            value = factor(float(number)) if callable(factor) else float(number) * factor
        full_scale = WIND_FULL_SCALE_M_S if kind is _SPEED else None
        return sample(quantity, value, kind.unit, at, text, full_scale=full_scale)

    def _say(self, what: str) -> None:
        if what.partition(":")[0] not in self._said and len(self._said) < 32:
            self._said.add(what.partition(":")[0])
            log.warning("wxt %s: %s", self._config.address, what)


class Driver:
    """One transmitter on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        hear = emitting(decoder.feed, emit)

        while self.config.mode == "auto":
            hear(await port.read(), self._now())
        while True:
            due = self._now() + self.config.period_s
            for question in self.config.questions():
                self.counters.bytes_dropped += port.discard_input()
                decoder.expect_reply()
                await ask(port, question, hear, self.config.timeout_s, self._now)
            await wait_until(due, self._now)
