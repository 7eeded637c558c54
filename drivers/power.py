"""Batteries and mains of the machine itself, as Linux knows them (/sys/class/power_supply).

Read are the `uevent` files, which give all of a supply at once (Documentation/ABI/testing/
sysfs-class-power and power_supply_class.rst of the kernel): uV, uA, uW, uWh, tenths of a degree.
The battery of a mouse (scope Device) is none of the unit's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.known import Known
from drivers.listing import Reading, Readings, number, read

INSTRUMENT = Instrument(
    title="Batteries and mains by Linux power_supply (laptops, tablets, UPS boards with a driver)",
    evidence="from datasheet",
    wire="none",
)
PROBES: tuple[dict[str, object], ...] = ()
"""There is no wire to listen on."""

FOLDER = "sys/class/power_supply"
_PREFIX = "POWER_SUPPLY_"
_BATTERIES = ("Battery", "UPS")
_CHARGING = {"Charging": 1, "Discharging": -1, "Full": 0, "Not charging": 0}
"""Status -> the sign of the current; 0: as the driver gives it."""
_MAINS = {"Charging": 1.0, "Full": 1.0, "Discharging": 0.0}


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "power"`."""

    supply: str = ""
    """The name of the battery in /sys/class/power_supply (BAT0); needed where there are several."""
    period_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    root: str = "/"
    """The folder that holds `sys`."""


class Supply(NamedTuple):
    name: str
    values: dict[str, str]
    """Without their prefix: STATUS, CAPACITY, VOLTAGE_NOW ..."""

    @property
    def is_battery(self) -> bool:
        kind = self.values.get("TYPE")
        if kind is not None:
            return kind in _BATTERIES
        # Kernels before 5.8 do not write the type here.
        return "ONLINE" not in self.values

    def number(self, key: str, scale: float) -> float | None:
        value = number(self.values.get(key, ""))
        return None if value is None else round(float(value * scale), 6)

    def raw(self, *keys: str) -> str:
        return " ".join(f"{key}={self.values[key]}" for key in keys if key in self.values)


class Decoder:
    """Readings of `uevent` files in (drivers/listing.py), samples out.  Pure; never raises."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self._config = Config() if config is None else config
        self.counters = Counters() if counters is None else counters
        self._readings = Readings(self.counters)
        self._known = Known()
        self._seen = False
        self.problem = ""
        """Why the last reading tells nothing of the battery; empty: it does."""

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples of the readings that `data`, read at monotonic time `at`, completes."""
        return [s for reading in self._readings.feed(data, at) for s in self._samples(reading)]

    def _samples(self, reading: Reading) -> list[Sample]:
        supplies = list(_supplies(reading.files))
        battery = self._battery([supply for supply in supplies if supply.is_battery])
        samples = list(_measured(battery, reading.at)) if battery else []
        if battery is None and self._seen:
            samples.append(_sample("battery", None, "%EL", reading.at, "the battery has gone"))
        self._seen = self._seen or battery is not None
        mains = _mains([supply for supply in supplies if not supply.is_battery], battery)
        if mains is not None:
            samples.append(_sample("mains", mains[0], "/", reading.at, mains[1]))
        return self._known.complete(samples, reading.at)

    def _battery(self, batteries: list[Supply]) -> Supply | None:
        wanted = self._config.supply
        found = [supply for supply in batteries if wanted in ("", supply.name)]
        names = ", ".join(supply.name for supply in batteries)
        self.problem = ""
        if wanted and not found:
            self.problem = f"there is no battery {wanted!r}; known are {names or 'none'}"
        elif len(found) > 1:
            self.problem = f"there are {len(found)} batteries, {names}: name one with supply"
        elif found:
            return found[0]
        return None


def _supplies(files: dict[str, list[str]]) -> Iterator[Supply]:
    for path, lines in sorted(files.items()):
        *_, name, file = ("", *path.split("/"))
        if file != "uevent":
            continue
        pairs = (line.partition("=") for line in lines if line.startswith(_PREFIX))
        values = {key.removeprefix(_PREFIX): value.strip() for key, _, value in pairs}
        if values and values.get("SCOPE") != "Device" and values.get("PRESENT") != "0":
            yield Supply(name, values)


def _measured(battery: Supply, at: float) -> Iterator[Sample]:
    charge, raw = _charge(battery)
    if raw:
        whole = charge is not None and 0 <= charge <= 100
        yield _sample("battery", charge if whole else None, "%EL", at, raw)
    volts = battery.number("VOLTAGE_NOW", 1e-6)
    if volts is not None:
        yield _sample("voltage", volts, "V", at, battery.raw("VOLTAGE_NOW"))
    amperes = _current(battery, volts)
    if amperes is not None:
        raw = battery.raw("CURRENT_NOW", "POWER_NOW", "STATUS")
        yield _sample("current", amperes, "A", at, raw)
    degrees = battery.number("TEMP", 0.1)
    if degrees is not None:
        yield _sample("cell_temperature", degrees, "Cel", at, battery.raw("TEMP"))
    left_s = battery.number("TIME_TO_EMPTY_NOW", 1)
    if left_s is not None and battery.values.get("STATUS") == "Discharging":
        yield _sample("time_left", left_s, "s", at, battery.raw("TIME_TO_EMPTY_NOW"))


def _charge(battery: Supply) -> tuple[float | None, str]:
    """%EL as the kernel gives it, else what is left of the energy or the charge; and the raw."""
    if "CAPACITY" in battery.values:
        return battery.number("CAPACITY", 1), battery.raw("CAPACITY", "STATUS")
    for kind in ("ENERGY", "CHARGE"):
        now, full = battery.number(f"{kind}_NOW", 1), battery.number(f"{kind}_FULL", 1)
        if now is not None and full:
            # A worn battery is full beyond its last full.
            charge = min(round(100 * now / full, 1), 100.0)
            return charge, battery.raw(f"{kind}_NOW", f"{kind}_FULL", "STATUS")
    return None, ""


def _current(battery: Supply, volts: float | None) -> float | None:
    """A, positive while it is charged.  Some drivers give no sign, some only the power."""
    amperes = battery.number("CURRENT_NOW", 1e-6)
    watts = battery.number("POWER_NOW", 1e-6)
    if amperes is None and watts is not None and volts:
        amperes = round(watts / volts, 3)
    if amperes is None:
        return None
    sign = _CHARGING.get(battery.values.get("STATUS", ""), 0)
    return abs(amperes) * sign if sign else amperes


def _mains(others: list[Supply], battery: Supply | None) -> tuple[float, str] | None:
    """1.0 where any supply from outside is on; else what the battery's status tells."""
    online = [supply for supply in others if "ONLINE" in supply.values]
    if online:
        # 2 is a supply whose voltage may be set (USB PD).
        on = any(supply.values["ONLINE"] in ("1", "2") for supply in online)
        raw = " ".join(f"{supply.name} {supply.raw('ONLINE')}" for supply in online)
        return float(on), raw
    status = battery.values.get("STATUS", "") if battery else ""
    return (_MAINS[status], f"STATUS={status}") if status in _MAINS else None


def _sample(quantity: str, value: float | None, unit: str, at: float, raw: str) -> Sample:
    quality = Quality.GOOD if value is not None else Quality.FAULT
    return Sample(quantity=quantity, value=value, unit=unit, quality=quality, at=at, raw=raw)


class Driver:
    """The supplies of one machine."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: no supply, or not the one that is wanted."""
        decoder = Decoder(self._config, self.counters)
        root = Path(self._config.root)
        while True:
            at = time.monotonic()
            # A thread, because a gauge behind a slow bus keeps its reader waiting.
            data = await asyncio.to_thread(_read, root)
            samples = decoder.feed(data, at)
            if not samples or decoder.problem:
                raise FileNotFoundError(
                    f"{root / FOLDER}: {decoder.problem or 'no supply of power is known here'}"
                )
            for sample in samples:
                emit(sample)
            await asyncio.sleep(max(0.05, at + self._config.period_s - time.monotonic()))


def _read(root: Path) -> bytes:
    return read(sorted((root / FOLDER).glob("*/uevent")), root)
