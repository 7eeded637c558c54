"""Winsen's family of gas modules with nine-byte frames (ZE03 ... ZE16, MH-Z19, MH-440D, ZH03).

Every frame is `FF`, seven bytes, and (-sum) mod 256 of those seven.  Two layouts carry values:

* upload, sent by itself once a second: `FF gas unit decimals value*2 full_scale*2 cs`;
* reply to the question `FF 01 86 00 00 00 00 00 79`, which some ZE03 also upload by themselves:
  `FF 86` and a layout that depends on the module.

The only bytes ever written are that question, and in active mode none at all: on this wire 87, 88,
79 and 99 calibrate or re-range the sensor, and 78 switches a mode for which two dialects exist.
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.asking import ask, wait_until
from drivers.ninebyte import QUESTION, REPLY, Frames, is_whole

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Winsen nine-byte gas modules: ZE03, ZE07, ZE08, ZE12, ZE15, ZE16, MH-Z, MH-44xD, ZH03",
    evidence="from datasheet",
    baudrate=9600,
)

GASES: dict[int, tuple[str, float]] = {
    0x02: ("nh3", 1.0),
    0x03: ("h2s", 1.0),
    0x04: ("co", 1.0),
    0x05: ("o2", 0.1),
    0x06: ("h2", 1.0),
    0x08: ("c2h4", 0.1),
    0x17: ("ch2o", 0.1),
    0x2A: ("o3", 0.1),
    0x2B: ("so2", 0.1),
    0x2C: ("no2", 0.1),
    0x2E: ("hcl", 0.1),
    0x2F: ("hcn", 0.1),
    0x31: ("cl2", 0.1),
    0x33: ("hf", 0.1),
    0x34: ("eto", 0.1),
    0x45: ("ph3", 0.1),
}
"""Byte 1 of an upload: the gas, and what one count of its ZE03's reply is worth (ppm; O2 %)."""
PROBES = (*({"gas": gas} for gas, _ in GASES.values()), {"module": "mhz19"})

_UNIT_TO_PPM = {0x03: 1.0, 0x04: 0.001}
_UNIT_MAX = 0x0F
_DECIMALS_MAX = 3
_TEMPERATURE_OFFSET = 40


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """How one module speaks."""

    uploads: bool = True
    gas: str | None = None
    """The only gas that it is made for; None where the configuration must say."""
    resolution: float | None = None
    """Of one count of a reply, in `unit`; None: by the gas."""
    unit: str = "ppm"
    value_at: int = 2
    """Where a reply has its value: byte 2, or 6 (ppb, with ug/m3 in bytes 2 and 3)."""
    mask: int = 0xFFFF
    """The bits of a reply's value."""
    fault_bit: bool = False
    """Bit 7 of the value's high byte means: the cell is broken."""
    temperature: bool = False
    """Byte 4 of a reply is degrees Celsius plus 40."""
    warmup_s: float = 0.0
    warmup_counts: frozenset[int] = frozenset()
    """What a reply shows while it warms up and measures nothing yet."""


_CO2 = Module(
    uploads=False,
    gas="co2",
    resolution=1.0,
    temperature=True,
    warmup_s=180.0,
    warmup_counts=frozenset((0, 400, 410)),
)
_METHANE = Module(uploads=False, gas="combustible", resolution=1.0, unit="%LEL", temperature=True)

MODULES: dict[str, Module] = {
    "ze03": Module(),
    "ze07": Module(gas="co", resolution=0.1),
    "ze08": Module(gas="ch2o", resolution=0.001, value_at=6),
    "ze12": Module(resolution=0.001, value_at=6),
    "ze15": Module(gas="co", resolution=0.1, mask=0x1FFF, fault_bit=True),
    # Its fault bit is not in the datasheet; without it the value would be 32768 ppm and more.
    "ze16": Module(gas="co", resolution=1.0, mask=0x7FFF, fault_bit=True),
    "mhz14": _CO2,
    "mhz16": _CO2,
    "mhz19": _CO2,
    "mh410d": _CO2,
    "mh440d": _METHANE,
    "mh441d": _METHANE,
    "zh03": Module(uploads=False, gas="pm2_5", resolution=1.0, unit="ug/m3"),
}
_PARTICLES = ((2, "pm2_5"), (4, "pm10"), (6, "pm1"))


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "winsen"`."""

    module: str = "ze03"
    """Printed on the module; `MH-Z19`, `mh_z19` and `mhz19` are the same."""
    gas: str | None = None
    """What it measures; needed where the module is made for many gases (ze03, ze12)."""
    mode: Literal["active", "query"] | None = None
    """`active`: listen only; `query`: ask each `period_s`.  Default: active where it uploads."""
    resolution: float | None = None
    """What one count of a reply is worth; an upload names its own decimals, which win."""
    unit: Literal["ppm", "/100", "%LEL"] | None = None
    """Unit of a reply of the mh440d and mh441d, which exist in %LEL (default, then the quantity is
    `combustible`) and in % of volume (say `gas = "ch4"` and the resolution)."""
    full_scale: float | None = None
    """Upper end of the range, in the unit of the value, where the frame does not give it."""
    period_s: float = 1.0
    timeout_s: float = 0.5
    """How long a reply may take."""
    warmup_s: float | None = None
    """Readings in the first seconds after the line was opened are of quality `warmup`.  Default 0,
    as an agent that starts again must not be deaf; 180 for MH-Z, where only the figures that it
    shows while warming up (0, 400, 410) are meant."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        for key in ("resolution", "full_scale", "period_s", "timeout_s"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                yield key, f"expected more than 0, read {value:g}"
        if self.warmup_s is not None and self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"
        module = self._find()
        if module is None:
            near = difflib.get_close_matches(self._slug(), MODULES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield "module", f'expected one of {", ".join(MODULES)}, read "{self.module}"{hint}'
            return
        if self.mode == "active" and not module.uploads:
            yield (
                "mode",
                f'expected "query", read "active": a {self.module} does not speak by itself in'
                " nine-byte frames",
            )
        if self.unit is not None and module is not _METHANE:
            yield "unit", f"only a mh440d or mh441d has a choice, not a {self.module}"
        if wrong := self._gas_mistake(module):
            yield "gas", wrong

    def _gas_mistake(self, module: Module) -> str:
        known = sorted({gas for gas, _ in GASES.values()})
        if module.gas is None and self.gas is None:
            return f"missing; a {self.module} is made for one of {', '.join(known)}"
        if self.gas is None or self.gas == module.gas or (module is _METHANE and self.gas == "ch4"):
            return ""
        # ZE07 exists for carbon monoxide and for hydrogen.
        if module.gas is not None and (self._slug(), self.gas) != ("ze07", "h2"):
            return f'expected "{module.gas}" for a {self.module}, read "{self.gas}"'
        if self.gas not in known:
            return f'expected one of {", ".join(known)}, read "{self.gas}"'
        return ""

    def _slug(self) -> str:
        name = self.module.lower().replace("-", "").replace("_", "")
        # The last letter of MH-Z19B, ZE16B, ZH03B is a generation that speaks alike.
        if name not in MODULES and name[-1:].isalpha() and name[:-1] in MODULES:
            return name[:-1]
        return name

    def _find(self) -> Module | None:
        return MODULES.get(self._slug())

    def spans(self) -> tuple[Span, ...]:
        module = self._find()
        gas = self.gas or (module.gas if module else None)
        if module is None or gas is None or gas == "pm2_5":
            return ()
        step = self.resolution or module.resolution
        if step is None:
            step = next((step for name, step in GASES.values() if name == gas), None)
        unit = self.unit or ("/100" if gas == "o2" else module.unit)
        return (Span(quantity=gas, unit=unit, resolution=step, full_scale=self.full_scale),)

    def spec(self) -> Module:
        """The module's row in MODULES.  ValueError: there is none."""
        module = self.check()._find()
        assert module is not None
        return module

    @property
    def asks(self) -> bool:
        """True in query mode."""
        return self.mode == "query" or not self.spec().uploads


def is_frame(data: bytes) -> bool:
    """Whether these nine bytes are a frame that carries a value.

    Beside the checksum, a value's high byte must not be FF.  No module counts so far, and in a
    stream of equal frames the checksum holds at every `FF` inside a frame too: read from there, the
    header of the next frame would be the high byte.
    """
    if not is_whole(data):
        return False
    if data[1] == REPLY:
        return data[2] != 0xFF and data[6] != 0xFF
    return (
        data[1] in GASES
        and data[2] <= _UNIT_MAX
        and data[3] <= _DECIMALS_MAX
        and data[4] != 0xFF
        and data[6] != 0xFF
    )


def is_header(head: bytes) -> bool:
    """Whether a frame that carries a value can begin with these two bytes."""
    return head[0] == 0xFF and (head[1] == REPLY or head[1] in GASES)


class Decoder:
    """Bytes in, samples out (drivers/ninebyte.py says when a frame is believed)."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._config = config
        self._module = config.spec()
        self._gas = config.gas or self._module.gas or ""
        self._default_unit = config.unit or ("/100" if self._gas == "o2" else self._module.unit)
        self._frames = Frames(
            is_frame,
            is_header,
            self.counters,
            hold_s=3.0 * max(config.period_s, 1.0),
            asks=config.asks,
        )
        self._first_at: float | None = None
        self._complained: set[str] = set()

    @property
    def holds_frame(self) -> bool:
        """True where a frame waits for a second one to confirm it."""
        return self._frames.holds_frame

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the frames that `data` completes; `at`: monotonic seconds."""
        samples: list[Sample | Fix] = []
        for frame, began in self._frames.feed(data, at):
            samples += self.read_frame(frame, began)
        return samples

    def expect_reply(self) -> None:
        """A question is about to be sent: what has not become a frame by now never will."""
        self._frames.expect_reply()

    def read_frame(self, frame: bytes, at: float) -> list[Sample]:
        """Samples of one frame, for which `is_frame` holds."""
        if self._first_at is None:
            self._first_at = at
        if frame[1] != REPLY:
            return [self._upload(frame, at)]
        if self._gas == "pm2_5":
            return [self._sample(frame, at, _word(frame, i), name) for i, name in _PARTICLES]
        samples = [self._reply(frame, at)]
        if self._module.temperature and frame[4]:
            samples.append(self._temperature(frame, at, samples[0].quality))
        return samples

    def _upload(self, frame: bytes, at: float) -> Sample:
        name, _ = GASES[frame[1]]
        if name != self._gas:
            return self._fault(frame, at, f"it is a {name} module, configured is {self._gas}")
        if self._module.fault_bit and frame[4] & 0x80:
            return self._fault(frame, at, "it reports a broken cell")
        # Per cent of volume has no code that we have seen on paper, and O2 no other unit.
        factor = 1.0 if name == "o2" else _UNIT_TO_PPM.get(frame[2])
        if factor is None:
            return self._fault(frame, at, f"unit code {frame[2]:02X} is not known")
        scale = 10 ** frame[3]
        value = round(_word(frame, 4) / scale * factor, 9)
        return self._sample(frame, at, value, name, round(_word(frame, 6) / scale * factor, 9))

    def _reply(self, frame: bytes, at: float) -> Sample:
        counts = _word(frame, self._module.value_at)
        if self._module.fault_bit and counts & 0x8000:
            return self._fault(frame, at, "it reports a broken cell")
        counts &= self._module.mask
        if self._module.warmup_counts:
            warming = self._warming(at) and counts in self._module.warmup_counts
            if warming or not any(frame[2:8]):
                quality = Quality.WARMUP if warming else Quality.FAULT
                return self._empty(frame, at, quality)
        return self._sample(frame, at, round(counts * self._resolution(), 9), self._gas)

    def _resolution(self) -> float:
        if self._config.resolution is not None:
            return self._config.resolution
        if self._module.resolution is not None:
            return self._module.resolution
        return next(resolution for gas, resolution in GASES.values() if gas == self._gas)

    def _temperature(self, frame: bytes, at: float, of_gas: Quality) -> Sample:
        return Sample(
            quantity="temperature",
            value=float(frame[4] - _TEMPERATURE_OFFSET),
            unit="Cel",
            quality=of_gas if of_gas in (Quality.WARMUP, Quality.FAULT) else Quality.GOOD,
            at=at,
            raw=frame.hex(),
        )

    def _sample(
        self, frame: bytes, at: float, value: float, quantity: str, full_scale: float = 0.0
    ) -> Sample:
        limit = full_scale or self._config.full_scale
        quality = Quality.GOOD
        if not self._module.warmup_counts and self._warming(at):
            quality = Quality.WARMUP
        elif limit is not None and value >= limit:
            quality = Quality.OVER_RANGE
        return Sample(
            quantity=quantity,
            value=float(value),
            unit=self._default_unit,
            quality=quality,
            at=at,
            raw=frame.hex(),
            full_scale=limit,
        )

    def _fault(self, frame: bytes, at: float, why: str) -> Sample:
        if why not in self._complained:
            self._complained.add(why)
            log.warning("winsen %s (%s): %s: frame %s", self._config.module, self._gas, why,
                        frame.hex(" ").upper())  # fmt: skip
        return self._empty(frame, at, Quality.FAULT)

    def _empty(self, frame: bytes, at: float, quality: Quality) -> Sample:
        return Sample(
            quantity=self._gas,
            value=None,
            unit=self._default_unit,
            quality=quality,
            at=at,
            raw=frame.hex(),
            full_scale=self._config.full_scale,
        )

    def _warming(self, at: float) -> bool:
        warmup_s = self._config.warmup_s
        if warmup_s is None:
            warmup_s = self._module.warmup_s
        return self._first_at is not None and at - self._first_at < warmup_s


def _word(frame: bytes, at: int) -> int:
    return frame[at] << 8 | frame[at + 1]


class Driver:
    """One module on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        turn = self._ask if self.config.asks else self._receive
        while True:
            await turn(port, emit, decoder)

    async def _ask(self, port: Port, emit: Emit, decoder: Decoder) -> None:
        """One question, its reply, and the wait until the next is due."""
        due = self._now() + self.config.period_s
        self.counters.bytes_dropped += port.discard_input()
        decoder.expect_reply()

        def hear(data: bytes, at: float) -> bool:
            samples = decoder.feed(data, at)
            for sample in samples:
                emit(sample)
            return bool(samples) or decoder.holds_frame

        await ask(port, QUESTION, hear, self.config.timeout_s, self._now)
        await wait_until(0.0 if decoder.holds_frame else due, self._now)

    async def _receive(self, port: Port, emit: Emit, decoder: Decoder) -> None:
        data = await port.read()
        for sample in decoder.feed(data, self._now()):
            emit(sample)
