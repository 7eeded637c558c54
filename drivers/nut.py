"""Network UPS Tools: a UPS as its upsd tells of it (RFC 9271), by `port = "tcp://HOST:3493"`.

One question is asked, `LIST VAR UPS`; no login, no instant command and no variable is ever set.
The protocol has no check of its own: TCP has.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.asking import ask, wait_until
from drivers.framing import Deframer, line_matcher
from drivers.known import Known

INSTRUMENT = Instrument(
    title="UPS by Network UPS Tools (upsd, TCP 3493)",
    evidence="from datasheet",
    poll=True,
)
PROBES: tuple[dict[str, object], ...] = ()
"""It speaks only when asked."""

LINE_MAX = 1024
LINES_MAX = 1000
"""Variables of one UPS; those of real ones have about 60."""
_VAR = re.compile(r'VAR (\S+) (\S+) "((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{1,6})?")

_STALE_ERRORS = ("DATA-STALE", "DRIVER-NOT-CONNECTED")
"""upsd has lost the UPS; all others are mistakes of the configuration."""


class Variable(NamedTuple):
    quantity: str
    unit: str
    low: float
    high: float


VARIABLES = {
    "battery.charge": Variable("battery", "%EL", 0, 100),
    "battery.voltage": Variable("voltage", "V", 0, 1000),
    "battery.current": Variable("current", "A", -1000, 1000),
    "battery.runtime": Variable("time_left", "s", 0, 1e7),
    "battery.temperature": Variable("cell_temperature", "Cel", -60, 120),
    "input.voltage": Variable("mains_voltage", "V", 0, 1000),
    "ups.load": Variable("load", "%", 0, 1000),
}
_MAINS = {"OL": 1.0, "OB": 0.0}
"""Words of ups.status: on line, on battery."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "nut"`."""

    ups: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z")] = "ups"
    """The name that upsd has for it (`upsc -l` lists them)."""
    period_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long an answer may take."""


class Decoder:
    """Lines of upsd in, the samples of whole lists out.  Pure; never raises."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = Counters() if counters is None else counters
        self._ups = (Config() if config is None else config).ups
        self._known = Known()
        self._list: dict[str, str] | None = None
        self._held = 0
        self.problem = ""
        """The error that upsd has answered with, where it is no passing one."""
        self._begin()

    def _begin(self) -> None:
        self._framer = Deframer(line_matcher(LINE_MAX), limit=LINE_MAX + 1, counters=self.counters)

    def expect_reply(self) -> None:
        """Forget half a list: another question will be asked."""
        self.counters.bytes_dropped += self._framer.waiting + self._held
        self._list, self._held, self.problem = None, 0, ""
        self._begin()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples that `data`, read at monotonic time `at`, completes."""
        samples: list[Sample | Fix] = []
        for frame in self._framer.feed(data, at):
            samples += self._line(frame.data.decode("utf-8", "replace"), frame.at)
        return samples

    def _line(self, line: str, at: float) -> list[Sample]:
        if line == f"BEGIN LIST VAR {self._ups}":
            self.counters.bytes_dropped += self._held
            self._list, self._held = {}, 0
        elif line.startswith("ERR "):
            return self._error(line, at)
        elif self._list is not None and line == f"END LIST VAR {self._ups}":
            values, self._list, self._held = self._list, None, 0
            return self._known.complete(list(_samples(values, at)), at)
        elif self._list is not None and (var := _VAR.fullmatch(line)) is not None:
            self._held += len(line)
            if var[1] == self._ups and len(self._list) < LINES_MAX:
                self._list[var[2]] = re.sub(r"\\(.)", r"\1", var[3])
        else:
            # Half a line: what came before it is not to be trusted with its end.
            self.counters.bytes_dropped += len(line) + self._held
            self._list, self._held = None, 0
        return []

    def _error(self, line: str, at: float) -> list[Sample]:
        word = next(iter(line.split()[1:]), "an error without a name")
        if word not in _STALE_ERRORS:
            self.problem = word
            return []
        found = self._known.all(Quality.FAULT, at, line)
        if found:
            return found
        return [
            Sample(
                quantity="battery", value=None, unit="%EL", quality=Quality.FAULT, at=at, raw=line
            )
        ]


def _samples(values: dict[str, str], at: float) -> Iterator[Sample]:
    for name, variable in VARIABLES.items():
        if name in values:
            text = values[name]
            value = float(text) if _NUMBER.fullmatch(text) else None
            if value is not None and not variable.low <= value <= variable.high:
                value = None
            yield _sample(variable.quantity, value, variable.unit, at, f'{name} "{text}"')
    status = values.get("ups.status", "")
    mains = [_MAINS[word] for word in status.split() if word in _MAINS]
    if mains:
        yield _sample("mains", mains[0], "/", at, f'ups.status "{status}"')


def _sample(quantity: str, value: float | None, unit: str, at: float, raw: str) -> Sample:
    quality = Quality.GOOD if value is not None else Quality.FAULT
    return Sample(quantity=quantity, value=value, unit=unit, quality=quality, at=at, raw=raw)


class Driver:
    """One UPS of one upsd."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the connection is lost, or upsd refuses."""
        decoder = Decoder(self._config, self.counters)
        question = f"LIST VAR {self._config.ups}\n".encode("ascii")

        def hear(data: bytes, at: float) -> bool:
            samples = decoder.feed(data, at)
            for sample in samples:
                emit(sample)
            return bool(samples or decoder.problem)

        while True:
            due = time.monotonic() + self._config.period_s
            self.counters.bytes_dropped += port.discard_input()
            decoder.expect_reply()
            await ask(port, question, hear, self._config.timeout_s)
            if decoder.problem:
                raise ConnectionRefusedError(
                    f"upsd answers {decoder.problem} to LIST VAR {self._config.ups}; "
                    "is this the name of the UPS (upsc -l), and may this host read it?"
                )
            await wait_until(due)
