"""Twin of Winsen's 9-byte modules: ZE03, ZE07, ZE08, ZE12, ZE15, ZE16, MH-Z19, MH-441D, ZH03.

9600 8N1; each frame is nine bytes, FF first, the last one (-sum) mod 256 over bytes 1 to 7.  From
Winsen's data sheets; where two of them differ (ZE03's layout) both are offered.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from enum import StrEnum

import msgspec

from drivers.sim.line import Line

_PPM, _PPB, _NO_UNIT = 0x03, 0x04, 0x00

_READ, _MODE_ZE03, _MODE_ZE07 = 0x86, (0x78, 0x03, 0x04), (0x78, 0x40, 0x41)

_COMMANDS_KEPT = 64

_WARM_UP_C = 25.0
"""Module temperature when none is set, degrees Celsius."""


class Mode(StrEnum):
    """When the module speaks."""

    ACTIVE = "active"
    QUERY = "query"


class Gas(msgspec.Struct, frozen=True):
    """A cell: its code in active frames, digits after the point, end of its range."""

    code: int
    decimals: int
    full_scale: float
    """ppm; per cent of volume for o2, per cent LEL for combustible."""
    mg_per_ppm: float = 0.0
    """mg/m3 in one ppm at 20 C, for the modules that also give ug/m3."""


# Codes and resolutions: list of the ZE03 sheet.  Ranges: the usual variant of each.
ZE03_GASES = {
    "nh3": Gas(0x02, 0, 100),
    "h2s": Gas(0x03, 0, 100),
    "co": Gas(0x04, 0, 1000),
    "o2": Gas(0x05, 1, 25),
    "h2": Gas(0x06, 0, 1000),
    "c2h4": Gas(0x08, 1, 100),
    "ch2o": Gas(0x17, 1, 10),
    "o3": Gas(0x2A, 1, 10),
    "so2": Gas(0x2B, 1, 20),
    "no2": Gas(0x2C, 1, 20),
    "hcl": Gas(0x2E, 1, 20),
    "hcn": Gas(0x2F, 1, 50),
    "cl2": Gas(0x31, 1, 20),
    "hf": Gas(0x33, 1, 10),
    "eto": Gas(0x34, 1, 100),
    "ph3": Gas(0x45, 1, 20),
}

_AIR = {
    "so2": Gas(0x2B, 0, 5, 64.066 / 24.055),
    "no2": Gas(0x2C, 0, 5, 46.006 / 24.055),
    "o3": Gas(0x2A, 0, 5, 47.998 / 24.055),
    "co": Gas(0x04, 0, 12.5, 28.010 / 24.055),
}


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One module of the family."""

    gases: dict[str, Gas]
    mode_command: tuple[int, int, int] | None = None
    """Command byte, its argument for active, its argument for query."""
    active: bool = True
    """Whether it can speak unasked."""
    unit: int = _PPM
    query: str = "plain"
    """Layout of the reply to 0x86: plain, fault_bit, ug_ppb, temperature or particles."""


MODULES = {
    "ze03": Module(gases=ZE03_GASES, mode_command=_MODE_ZE03),
    "ze07": Module(
        gases={"co": Gas(0x04, 1, 500), "h2": Gas(0x06, 1, 1000)}, mode_command=_MODE_ZE07
    ),
    "ze08": Module(
        gases={"ch2o": Gas(0x17, 0, 2, 30.026 / 24.055)},
        mode_command=_MODE_ZE07,
        unit=_PPB,
        query="ug_ppb",
    ),
    "ze12": Module(gases=_AIR, mode_command=_MODE_ZE07, unit=_PPB, query="ug_ppb"),
    "ze15": Module(gases={"co": Gas(0x04, 1, 500)}, query="fault_bit"),
    "ze16": Module(gases={"co": Gas(0x04, 0, 500)}, mode_command=_MODE_ZE07, query="fault_bit"),
    "mhz19": Module(gases={"co2": Gas(0, 0, 5000)}, active=False, query="temperature"),
    "mh441d": Module(gases={"combustible": Gas(0, 0, 100)}, active=False, query="temperature"),
    "zh03": Module(gases={}, active=False, query="particles"),
}

PARTICLES = ("pm2_5", "pm10", "pm1")


def frame(*body: int) -> bytes:
    """FF, seven bytes, checksum."""
    if len(body) != 7:
        raise ValueError(f"a Winsen frame has 7 bytes between FF and checksum, not {len(body)}")
    return bytes((0xFF, *body, (0x100 - sum(body) % 0x100) % 0x100))


def _word(value: float, ceiling: int = 0xFFFF) -> tuple[int, int]:
    """High and low byte of a value rounded half up and held between 0 and `ceiling`."""
    raw = min(max(int(value + 0.5), 0), ceiling)
    return raw >> 8, raw & 0xFF


class Twin:
    """One module on `line`.

    `layout` (ZE03 only): `gas`, FF gas unit decimals value full-scale, or `86`, the older firmware
    that streams its query reply.  Default: `gas`, but `86` for oxygen, for which the sheet gives no
    unit.  `set` takes the gas's own quantity in ppm (o2: per cent of volume, combustible: %LEL,
    particles: ug/m3) and, for mhz19 and mh441d, `temperature` in Cel.  A value of None: ZE15 and
    ZE16 say so by their fault bit; the others have no word for it and keep silent.
    """

    def __init__(
        self,
        line: Line,
        *,
        module: str = "ze03",
        gas: str = "",
        mode: str | None = None,
        layout: str | None = None,
        period_s: float = 1.0,
    ) -> None:
        key = module.lower().replace("-", "").replace("_", "")
        if key not in MODULES:
            raise ValueError(f"no Winsen module {module!r}, expected one of {', '.join(MODULES)}")
        self.module = MODULES[key]
        names = tuple(self.module.gases)
        self.gas = gas or next(iter(names), "")
        if names and self.gas not in names:
            raise ValueError(
                f"{module} has no cell for {gas!r}, expected one of {', '.join(names)}"
            )
        self.mode = Mode(mode or ("active" if self.module.active else "query"))
        if self.mode is Mode.ACTIVE and not self.module.active:
            raise ValueError(f"{module} speaks only when asked: mode must be 'query'")
        self.layout = layout or ("86" if self.gas == "o2" else "gas")
        if self.layout not in ("gas", "86") or (self.layout, self.gas) == ("gas", "o2"):
            raise ValueError(f"layout is {self.layout!r}, expected 'gas' (not for o2) or '86'")
        self._line = line
        self._period_s = period_s
        self._values: dict[str, float | None] = dict.fromkeys(
            (self.gas,) if names else PARTICLES, 20.9 if self.gas == "o2" else 0.0
        )
        if self.module.query == "temperature":
            self._values["temperature"] = _WARM_UP_C
        self.commands: deque[bytes] = deque(maxlen=_COMMANDS_KEPT)
        """The last commands received, whole: a driver must never have sent a calibration."""

    def set(self, **values: float | None) -> None:
        """What the cell feels from now on.

        ValueError: a quantity that this module does not measure, or no finite number.
        """
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"this module does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def active_frame(self) -> bytes | None:
        """The frame that the module would send unasked now; None where it would keep silent."""
        value = self._values.get(self.gas)
        if self.layout == "86" or not self.module.gases:
            return self.query_frame()
        if value is None:
            return None
        gas = self.module.gases[self.gas]
        full = int(gas.full_scale * self._raw_per_unit + 0.5)
        raw = _word(value * self._raw_per_unit, full)
        return frame(gas.code, self.module.unit, gas.decimals, *raw, *_word(full))

    def query_frame(self) -> bytes | None:
        """The reply to a read command now; None where the module would keep silent."""
        if self.module.query == "particles":
            sizes = [self._values[size] for size in PARTICLES]
            if None in sizes:
                return None
            return frame(_READ, *(byte for size in sizes for byte in _word(size or 0.0)))
        gas = self.module.gases[self.gas]
        value = self._values[self.gas]
        fault_bit = self.module.query == "fault_bit"
        if value is None:
            return frame(_READ, 0x80, 0, 0, 0, 0, 0) if fault_bit else None
        full = int(gas.full_scale * self._raw_per_unit + 0.5)
        high, low = _word(value * self._raw_per_unit, min(full, 0x1FFF) if fault_bit else full)
        match self.module.query:
            case "ug_ppb":
                ppb = (high << 8) | low
                return frame(_READ, *_word(ppb * gas.mg_per_ppm), 0, 0, high, low)
            case "temperature":
                felt = self._values["temperature"]
                raised = 0 if felt is None else _word(felt + 40, 0xFF)[1]
                return frame(_READ, high, low, raised, 0, 0, 0)
            case _:
                return frame(_READ, high, low, 0, 0, 0, 0)

    async def run(self) -> None:
        """Speak and answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(), name=f"winsen twin {self.gas}: speak")
            tasks.create_task(self._answer(), name=f"winsen twin {self.gas}: answer")

    @property
    def _raw_per_unit(self) -> float:
        if self.module.unit == _PPB:
            return 1000.0
        return float(10 ** self.module.gases[self.gas].decimals)

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self.mode is Mode.ACTIVE:
                await self._send(self.active_frame())
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _answer(self) -> None:
        held = b""
        while True:
            held += await self._line.read()
            while len(held) >= 9:
                command = held[:9]
                if command[:2] == b"\xff\x01" and command == frame(*command[1:8]):
                    held = held[9:]
                    self.commands.append(command)
                    await self._obey(command)
                else:
                    held = held[1:]

    async def _obey(self, command: bytes) -> None:
        if command[2] == _READ:
            # ZE15 has no mode command: a read is what silences it.
            if self.module.mode_command is None:
                self.mode = Mode.QUERY
            await self._send(self.query_frame())
        elif self.module.mode_command and command[2] == self.module.mode_command[0]:
            _, active, query = self.module.mode_command
            if command[3] in (active, query):
                self.mode = Mode.ACTIVE if command[3] == active else Mode.QUERY
                await self._send(frame(command[2], 1, 0, 0, 0, 0, 0))

    async def _send(self, data: bytes | None) -> None:
        if data is not None:
            await self._line.write(data)
