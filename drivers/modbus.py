"""Modbus master, RTU or TCP, for instruments that a map describes (config/instruments/*.toml).

Modbus Application Protocol 1.1b3 in the frames of `modbus_wire`; only functions 03 and 04, the ones
that read, are ever sent.  An answer is found by its address, length and CRC and not by pauses: a
USB adapter's latency makes the standard's 3.5 characters meaningless.  Our own instead of a
library's, because the units of a line must be asked independently: one that is dead is asked ever
more rarely and takes no time from the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

import drivers
from drivers import DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.bus import turn
from drivers.modbus_map import Code, Map, MapError, Quantity, Read, Scaled, default_dir, load
from drivers.modbus_wire import Answer, Mbap, Rtu, Wire

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Modbus instruments by map: six-in-one gas head, weather station, gas transmitter",
    evidence="from datasheet",
    baudrate=9600,
    poll=True,
    bus=True,
)

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
UNKNOWN = "unknown"
"""The quantity of a unit that has never said what it measures."""

_BACKOFF_MAX_S = 30.0
_UNDER_RANGE = -0.1
_PUBLISHED: dict[str, tuple[float, str | None]] = {"ppb": (0.001, "ppm"), "cm": (0.01, "m")}
"""What an instrument counts in -> how much of what is published."""


class Counters(drivers.Counters):
    """What a Modbus line has carried since the source was started."""

    timeouts: int = 0
    exceptions: int = 0


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "modbus"`."""

    map: str = "six_in_one"
    """A file of config/instruments without `.toml`, or a path."""
    addresses: tuple[int, ...] = (1,)
    transport: Literal["rtu", "tcp"] = "rtu"
    """`tcp`: Modbus TCP, whose port is `tcp://HOST:502`; `rtu`: a serial line, also one behind a
    raw serial server."""
    gases: dict[str, str] = msgspec.field(default_factory=dict)
    """What an address measures, where the instrument does not say it: `{ 4 = "cl2" }`."""
    override: dict[str, Any] = msgspec.field(default_factory=dict)
    """Keys of the map's first `[[quantity]]` that are different here."""
    period_s: float = 1.0
    """Each unit is asked once in this time, or as often as the gap allows."""
    timeout_s: float = 0.5
    """How long an answer may take."""
    gap_s: float | None = None
    """From the end of an exchange to the next question; default: the map's."""
    map_dir: str | None = None
    """Where the maps are; default: config/instruments."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say, those of the map among them."""
        if not self.addresses:
            yield "addresses", "expected at least one"
        for address in self.addresses:
            # Over TCP an instrument that is no gateway is often 255, or 0.
            tcp = self.transport == "tcp" and address in (0, 255)
            if not (1 <= address <= 247 or tcp):
                yield "addresses", f"expected 1 to 247, read {address}"
        if len(set(self.addresses)) != len(self.addresses):
            yield "addresses", f"each only once, read {list(self.addresses)}"
        for key in ("period_s", "timeout_s"):
            if not (value := getattr(self, key)) > 0:
                yield key, f"expected more than 0, read {value:g}"
        if self.gap_s is not None and self.gap_s < 0:
            yield "gap_s", f"expected 0 or more, read {self.gap_s:g}"
        known = {str(address) for address in self.addresses}
        for text in self.gases:
            if text not in known:
                yield "gases", f"{text} is not one of addresses {list(self.addresses)}"
        try:
            found = self.load_map()
        except MapError as error:
            yield from (("map", line) for line in str(error).splitlines())
            return
        if found.quantity[0].name is None:
            for address in self.addresses:
                if str(address) not in self.gases:
                    yield "gases", f"missing for address {address}; {self.map} does not name it"

    def measures(self) -> tuple[str, ...]:
        """What `gases` says, and what the map names without asking.  Raises MapError."""
        named = [quantity.name for quantity in self.load_map().quantity]
        return (*self.gases.values(), *(name for name in named if isinstance(name, str)))

    def may_measure(self) -> tuple[str, ...]:
        """And the names of which registers choose one.  Raises MapError."""
        named = [quantity.name for quantity in self.load_map().quantity]
        codes = [name for code in named if isinstance(code, Code) for name in code.codes.values()]
        return (*self.measures(), *(name for name in codes if isinstance(name, str)))

    def spans(self) -> tuple[Span, ...]:
        """What the map says of itself.  Raises MapError."""
        return tuple(self._spans())

    def _spans(self) -> Iterator[Span]:
        for quantity in self.load_map().quantity:
            names = [quantity.name] if quantity.name is not None else self.gases.values()
            unit, full_scale, decimals = quantity.unit, quantity.full_scale, quantity.decimals
            step: float | None = None
            if quantity.type != "f32" and isinstance(decimals, int):
                step = abs(quantity.scale) / 10**decimals
            if isinstance(full_scale, Scaled):
                full_scale = None
            for name in names:
                if isinstance(name, str) and isinstance(unit, str):
                    yield Span(quantity=name, unit=unit, resolution=step, full_scale=full_scale)

    def how_sure(self) -> str:
        """What the map says of itself.  Raises MapError."""
        return self.load_map().evidence

    def load_map(self) -> Map:
        """The map that `map` names.  Raises MapError."""
        folder = default_dir() if self.map_dir is None else Path(self.map_dir)
        return load(self.map, folder, self.override)


class Decoder:
    """The answers of a line: `ask` says what is awaited, `feed` takes bytes and gives samples.

    A unit's samples come with the last answer of its map.
    """

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self.map = config.check().load_map()
        self.with_head = True
        """Whether quantities marked `once` are given."""
        self.answer: Answer | None = None
        """The answer to the last question, as soon as it is whole."""
        self._config = config
        self._asked = (0, self.map.read[0])
        self._wire: Wire = Mbap(self.counters) if config.transport == "tcp" else Rtu(self.counters)
        self._at: float | None = None
        self._registers: dict[tuple[int, int], int] = {}
        self._raw: list[str] = []
        self._complained: set[str] = set()

    def ask(self, address: int, read: Read) -> bytes:
        """The question to write; whatever came before it is forgotten."""
        self._asked = (address, read)
        self.answer = None
        if read is self.map.read[0]:
            self._at = None
            self._registers = {}
            self._raw = []
        return self._wire.ask(address, read)

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the unit that `data` completes; `at`: monotonic seconds."""
        self.counters.bytes_read += len(data)
        if self.answer is not None:
            self.counters.bytes_dropped += len(data)
            return []
        if self._at is None:
            self._at = at
        self.answer = self._wire.feed(data)
        if self.answer is None:
            return []
        address, read = self._asked
        if self.answer.exception:
            self.counters.exceptions += 1
            return []
        self.counters.frames += 1
        self._registers |= self.answer.registers(read)
        self._raw.append(self.answer.frame.hex())
        return self._samples(address) if read is self.map.read[-1] else []

    def _samples(self, address: int) -> list[Sample | Fix]:
        found: list[Sample | Fix] = []
        for place, quantity in enumerate(self.map.quantity):
            if quantity.once and not self.with_head:
                continue
            given = self._config.gases.get(str(address)) if place == 0 else None
            found.append(self._sample(address, quantity, given))
        return found

    def _sample(self, address: int, quantity: Quantity, given: str | None) -> Sample:
        unit = self._meaning(address, quantity, "unit", quantity.unit)
        name = given or self._meaning(address, quantity, "name", quantity.name, unit or "")
        factor, unit = _PUBLISHED.get(unit or "", (1.0, unit))
        full_scale: float | None = None
        if isinstance(quantity.full_scale, Scaled):
            full_scale = quantity.number(self._registers, quantity.full_scale.register)
        elif quantity.full_scale is not None:
            full_scale = quantity.full_scale
        if full_scale is not None:
            # A transmitter that leaves the register empty has not said its range.
            full_scale = round(full_scale * factor, 9) if full_scale > 0 else None
        value: float | None
        value = round(quantity.number(self._registers) * factor, 9)
        quality = self._quality(address, quantity, value, full_scale)
        if name is None or unit is None:
            quality = Quality.FAULT
        if quality is Quality.FAULT or math.isnan(value):
            value = None
        return Sample(
            quantity=name or UNKNOWN,
            value=value,
            unit=unit or "",
            quality=quality,
            at=self._at or 0.0,
            raw=" ".join(self._raw),
            full_scale=full_scale,
        )

    def _quality(
        self, address: int, quantity: Quantity, value: float, full_scale: float | None
    ) -> Quality:
        state = Quality.GOOD
        for code in quantity.states:
            text = self._meaning(address, quantity, "quality", code)
            told = Quality.FAULT if text is None else Quality(text)
            if told not in (Quality.GOOD, Quality.CAL_DUE):
                return told
            state = told if state is Quality.GOOD else state
        if math.isnan(value):
            return Quality.FAULT
        low, high = quantity.valid_min, quantity.valid_max
        if (low is not None and value < low) or (high is not None and value > high):
            self._complain(address, f"{value:g} is outside of {low} to {high}: sensor or map wrong")
            return Quality.FAULT
        if full_scale is not None and value >= full_scale:
            return Quality.OVER_RANGE
        if full_scale is not None and value < _UNDER_RANGE * full_scale:
            return Quality.UNDER_RANGE
        return state

    def _meaning(
        self, address: int, quantity: Quantity, key: str, source: str | Code | None, also: str = ""
    ) -> str | None:
        if not isinstance(source, Code):
            return source
        code = source.read(self._registers, quantity.function)
        meaning = source.lookup(code, also)
        if meaning is None:
            cure = f', name it there or in gases = {{ {address} = "..." }}' if key == "name" else ""
            self._complain(address, f"{key} code {code} is not in the map{cure}")
            return None
        return str(meaning)

    def _complain(self, address: int, what: str) -> None:
        if (line := f"modbus {self._config.map} address {address}: {what}") not in self._complained:
            self._complained.add(line)
            log.warning("%s", line)


def listener(config: Config, counters: Counters) -> Any:
    """What makes sense of a recording, in which nobody tells what was asked."""
    from drivers.modbus_listen import Listener

    return Listener(config, counters)


class Unit:
    """What the master remembers of one address."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.due = 0.0
        self.failures = 0
        self.seen: dict[str, str] = {}
        """Quantity -> unit, of its last samples."""


class Driver:
    """The units of one line, asked in turn."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now
        self._decoder = Decoder(config, self.counters)
        self._gap_s = self._decoder.map.gap_s if config.gap_s is None else config.gap_s
        self._units = [Unit(address) for address in config.addresses]

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        for unit in self._units:
            unit.due = 0.0
        while True:
            unit = min(self._units, key=lambda unit: unit.due)
            await asyncio.sleep(unit.due - self._now())
            async with turn(port):
                started = self._now()
                problem = await self._poll(port, unit, emit)
                if problem:
                    self._failed(unit, problem, emit)
                else:
                    unit.due = started + self.config.period_s
                await asyncio.sleep(self._gap_s)

    async def _poll(self, port: Port, unit: Unit, emit: Emit) -> str:
        """Ask for all of a unit's registers; why that failed, or nothing."""
        decoder = self._decoder
        decoder.with_head = unit is next((u for u in self._units if not self._dead(u)), unit)
        for read in decoder.map.read:
            if read is not decoder.map.read[0]:
                await asyncio.sleep(self._gap_s)
            self.counters.bytes_dropped += port.discard_input()
            await port.write(decoder.ask(unit.address, read))
            samples: list[Sample | Fix] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.config.timeout_s):
                    while decoder.answer is None:
                        samples = decoder.feed(await port.read(), self._now())
            if decoder.answer is None:
                self.counters.timeouts += 1
                return f"no answer within {self.config.timeout_s:g} s"
            if code := decoder.answer.exception:
                return f"exception {code:02X} ({EXCEPTIONS.get(code, 'not in the standard')})"
            self._answered(unit, samples, emit)
        return ""

    def _answered(self, unit: Unit, samples: list[Sample | Fix], emit: Emit) -> None:
        if samples and self._dead(unit):
            log.warning("modbus %s address %d: answers again", self.config.map, unit.address)
        if samples:
            unit.failures = 0
            of_head = {q.name for q in self._decoder.map.quantity if q.once}
            unit.seen = {
                s.quantity: s.unit
                for s in samples
                if isinstance(s, Sample) and s.quantity not in of_head
            }
        for sample in samples:
            emit(sample)

    def _failed(self, unit: Unit, problem: str, emit: Emit) -> None:
        unit.failures += 1
        over = unit.failures - self._decoder.map.tries
        if over < 0:
            # Behind the units that are due already, so that a try costs them nothing.
            unit.due = self._now()
            return
        backoff_s = min(self.config.period_s * 2.0 ** min(over, 16), _BACKOFF_MAX_S)
        unit.due = self._now() + backoff_s
        if over == 0:
            log.warning(
                "modbus %s address %d: %s, %d times; asked more rarely from now on",
                self.config.map, unit.address, problem, unit.failures,
            )  # fmt: skip
        # Where all are silent the source is, and its freshness says so.  A silent unit among others
        # would be hidden by them.
        if problem.startswith("exception") or not all(self._dead(u) for u in self._units):
            for quantity, of in (unit.seen or self._expected(unit)).items():
                emit(
                    Sample(
                        quantity=quantity,
                        value=None,
                        unit=of,
                        quality=Quality.FAULT,
                        at=self._now(),
                    )
                )

    def _expected(self, unit: Unit) -> Mapping[str, str]:
        """Of a unit that never answered: what the configuration or the map says of it."""
        main = self._decoder.map.quantity[0]
        name = self.config.gases.get(str(unit.address)) or main.name
        if isinstance(name, str):
            return {name: main.unit if isinstance(main.unit, str) else ""}
        return {UNKNOWN: ""}

    def _dead(self, unit: Unit) -> bool:
        return unit.failures >= self._decoder.map.tries
