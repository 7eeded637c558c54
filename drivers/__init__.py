"""The contract of a driver: bytes of one wire in, samples out, and nothing else.

A driver is one module `drivers/NAME.py` with

* `Config`, a frozen keyword-only `msgspec.Struct` derived from `DriverConfig`: the keys that a
  `[[source]]` table of the configuration may give beside name, driver, port and line settings;
* `Decoder`, pure (no loop, no clock, no file): `feed(data, at) -> list[Sample | Fix]`;
* `Driver(config)`, with `counters` and one coroutine `run(port, emit)`.

`run` goes on until it is cancelled.  It raises `OSError` when the device is lost; the supervisor
reopens it.  Bad bytes are counted and skipped one at a time, never raised.  A driver never writes
anything that changes a sensor (zero, span, range, baud).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, Self

import msgspec


class Quality(StrEnum):
    """What a value is worth.  Only GOOD (and CAL_DUE) may be trusted as a measurement."""

    GOOD = "good"
    WARMUP = "warmup"
    OVER_RANGE = "over_range"
    UNDER_RANGE = "under_range"
    FAULT = "fault"
    CAL_DUE = "cal_due"
    STALE = "stale"
    SIMULATED = "simulated"
    INVALID = "invalid"
    """Measured where it cannot be right: %LEL with too little oxygen.  The agent says so, no
    driver."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity, measured once."""

    quantity: str
    """What was measured: `cl2`, `o2`, `ch4`, `temperature`, `wind_speed` (drivers/README.md)."""
    value: float | None
    """In `unit`; None where the instrument gave none (a fault, a warm-up without figures)."""
    unit: str
    """SenML unit (RFC 8428, RFC 8798): `ppm`, `/100` (per cent of volume), `Cel`, `m/s` ...;
    `%LEL` and `uSv/h`, which SenML lacks, are ours."""
    quality: Quality = Quality.GOOD
    at: float
    """`time.monotonic()` seconds at which the first byte of its frame was read."""
    raw: str = ""
    """The frame as it came, hexadecimal (or the text of a text protocol)."""
    full_scale: float | None = None
    """Upper end of the instrument's range, in `unit`, where the frame or the map gives it."""


class Fix(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position, in gpsd's words (gpsd_json(5), TPV).  Datum WGS-84 (EPSG:4326)."""

    mode: int
    """0 unknown, 1 no fix, 2 two-dimensional, 3 three-dimensional."""
    at: float
    """`time.monotonic()` seconds at which the first byte of the epoch's first sentence was read."""
    time: str | None = None
    """UTC of the fix, ISO 8601 with milliseconds and Z."""
    lat: float | None = None
    lon: float | None = None
    alt: float | None = None
    """Height above mean sea level, m (gpsd altMSL)."""
    geoid_sep: float | None = None
    """Geoid above the ellipsoid, m."""
    speed: float | None = None
    """Over ground, m/s."""
    track: float | None = None
    """Course over ground, degrees true."""
    heading: float | None = None
    """Where two antennas (or a compass) say that the carrier points, degrees true."""
    eph: float | None = None
    """Horizontal error estimate, m, 95 %."""
    eph_basis: str | None = None
    """`gst`, `hacc` or `hdop`; `gpsd` where gpsd does not say what its estimate rests on."""
    hdop: float | None = None
    n_sat: int | None = None
    """Satellites used."""
    n_seen: int | None = None
    """Satellites in view."""
    status: str = "autonomous"
    """`none`, `autonomous`, `dgnss`, `pps`, `rtk_fixed`, `rtk_float`, `dr`, `manual` or
    `simulated`."""
    quality: Quality = Quality.GOOD
    flags: tuple[str, ...] = ()
    """Suspicions and corrections: `week_rollover_corrected`, and those of drivers/plausible.py."""
    talker: str | None = None
    """GN, GP, BD ... of the sentence that gave the position."""


Emit = Callable[["Sample | Fix"], None]
"""Called by a driver for each sample, in the loop's thread; returns at once and never raises."""


class Counters(msgspec.Struct):
    """What a wire has carried since the source was started."""

    frames: int = 0
    bad_checksums: int = 0
    bytes_dropped: int = 0
    bytes_read: int = 0


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument can show of one quantity, as far as its configuration knows it."""

    quantity: str
    unit: str
    resolution: float | None = None
    """The smallest step of a value, in `unit`."""
    full_scale: float | None = None
    """Upper end of the range, in `unit`."""


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every driver's `Config`."""

    def mistakes(self) -> Iterable[tuple[str, str]]:
        """(key, sentence) for all that types cannot say; the agent adds file and line."""
        return ()

    def check(self) -> Self:
        """Itself.  ValueError: the mistakes, one a line."""
        if found := [f"{key}: {sentence}" for key, sentence in self.mistakes()]:
            raise ValueError("\n".join(found))
        return self

    def measures(self) -> tuple[str, ...]:
        """Quantities that a source of this configuration may give, as far as is known before it
        speaks.  By default what its keys `gas`, `gases` and `quantities` say; a driver of a gas
        instrument that has none of these overrides it."""
        named: list[Any] = [getattr(self, "gas", None)]
        for key in ("gases", "quantities"):
            given = getattr(self, key, ())
            named += given.values() if isinstance(given, dict) else given
        return tuple(name for name in named if isinstance(name, str))

    def may_measure(self) -> tuple[str, ...]:
        """The same, and what an instrument may turn out to measure once it is asked."""
        return self.measures()

    def spans(self) -> tuple[Span, ...]:
        """Resolution and range of what a source of this configuration measures, where they are
        known before it speaks: a limit outside of them could never raise an alarm."""
        return ()

    def how_sure(self) -> str:
        """In place of `INSTRUMENT.evidence`, where that depends on the configuration."""
        return ""


class Port(Protocol):
    """One open serial line (drivers/port.py); tests may bring their own."""

    async def read(self) -> bytes:
        """At least one byte, at most 4096, as soon as there are any.  OSError: device lost."""

    async def write(self, data: bytes) -> None:
        """Returns when the line has taken all of it.  OSError: device lost."""

    def discard_input(self) -> int:
        """Throw away what waits to be read; returns how many bytes."""


class Driver(Protocol):
    """What the supervisor runs."""

    @property
    def counters(self) -> Counters: ...

    async def run(self, port: Port, emit: Emit) -> None: ...


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A driver module's `INSTRUMENT`: its row in the table, its line's defaults."""

    title: str
    evidence: str
    """How sure: `seen on hardware`, `from datasheet`, `from memory`."""
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: int = 1
    poll: bool = False
    """True where the instrument speaks only when asked."""
    bus: bool = False
    """True where several sources may name one port (RS-485): the driver takes turns
    (drivers/bus.py)."""
    wire: Literal["serial", "none"] = "serial"
    """`none`: there is no line (files, a program, requests to a host); then the configuration
    gives no `port`, and `run` gets a `drivers.noport.NoPort`."""


class DriverModule(Protocol):
    """What `import drivers.NAME` gives.

    Two more names are optional.  `PROBES`, a sequence of tables of keys: `outpost doctor` listens
    with a `Decoder` of each (of `{}` where there are none) and proposes the one that gave the most
    good values; empty: this wire cannot be recognised by listening.  `listener(config, counters)`:
    what makes sense of a recording where `Decoder` must first be told what was asked.
    """

    INSTRUMENT: ClassVar[Instrument]
    Config: type[DriverConfig]
    Decoder: Callable[..., Any]
    Driver: Callable[..., Driver]
