"""The machine that the agent runs on: temperature, load, memory, disk, throttling.

Read are /proc/loadavg, /proc/meminfo (proc(5)), thermal zones and hwmon (the kernel's
Documentation/ABI: thousandths of a degree), Intel's counts of throttling, and the Raspberry Pi's
get_throttled (bits 0 to 3: under-voltage, frequency capped, throttled, hot, now; 16 to 19: since
boot).
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.known import Known
from drivers.listing import Reading, Readings, more, number, read
from drivers.program import output

INSTRUMENT = Instrument(
    title="The machine itself: CPU temperature and load, memory, disk, throttling",
    evidence="from datasheet",
    wire="none",
)
PROBES: tuple[dict[str, object], ...] = ()
"""There is no wire to listen on."""

_GLOBS = (
    "proc/loadavg",
    "proc/meminfo",
    "sys/devices/system/cpu/online",
    "sys/class/thermal/thermal_zone*/type",
    "sys/class/thermal/thermal_zone*/temp",
    "sys/class/hwmon/hwmon*/name",
    "sys/class/hwmon/hwmon*/temp1_input",
    "sys/class/hwmon/hwmon*/in0_lcrit_alarm",
    "sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
)
_ZONES = re.compile(r"x86_pkg_temp|(cpu|soc|bcm2835|package)[-_]?.*")
_CHIPS = re.compile(r"coretemp|k10temp|zenpower|cpu_thermal")
_CELSIUS = (-40.0, 150.0)

_UNDER_VOLTAGE, _THROTTLED = 0x1, 0xE
_SINCE_BOOT = 16
VCGENCMD_TIMEOUT_S = 2.0


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "host"`."""

    disk: str = "/var/lib/outpost"
    """The disk that holds this folder is watched."""
    zone: str = ""
    """The type of the thermal zone (/sys/class/thermal/*/type), where the CPU's is not found."""
    vcgencmd: str = ""
    """The path of this program on a Raspberry Pi whose kernel has no get_throttled."""
    period_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    root: str = "/"
    """The folder that holds `proc` and `sys`."""


class Decoder:
    """Readings of files in (drivers/listing.py), samples out.  Pure; never raises."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self._config = Config() if config is None else config
        self.counters = Counters() if counters is None else counters
        self._readings = Readings(self.counters)
        self._known = Known()
        self._bits: int | None = None
        self._counts: dict[str, int] = {}

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples of the readings that `data`, read at monotonic time `at`, completes."""
        return [
            sample
            for reading in self._readings.feed(data, at)
            for sample in self._known.complete(list(self._samples(reading)), reading.at)
        ]

    def _samples(self, reading: Reading) -> Iterator[Sample]:
        files, at = reading.files, reading.at
        yield from _temperature(files, self._config.zone, at)
        yield from _load(files, at)
        yield from _memory(files, at)
        yield from _disk(files, at)
        yield from self._throttling(files, at)

    def _throttling(self, files: dict[str, list[str]], at: float) -> Iterator[Sample]:
        """Now, or at any time since the last reading."""
        now, raws = 0, []
        bits = _throttle_bits(files)
        if bits is not None:
            fresh = 0 if self._bits is None else bits & ~self._bits
            self._bits = bits
            now |= bits & 0xF | fresh >> _SINCE_BOOT & 0xF
            raws.append(f"throttled={bits:#x}")
        for path, text in _ending(files, "/package_throttle_count"):
            count = number(text)
            if count is not None:
                now |= _THROTTLED if count > self._counts.get(path, count) else 0
                self._counts[path] = count
                raws.append(f"count={count}")
        alarm = _chip_value(files, re.compile("rpi_volt"), "in0_lcrit_alarm")
        if alarm is not None:
            now |= _UNDER_VOLTAGE if alarm[0] else 0
            raws.append(f"lcrit_alarm={alarm[0]}")
        if raws:
            yield _sample("throttled", float(now & _THROTTLED != 0), "/", at, " ".join(raws))
        if bits is not None or alarm is not None:
            raw = " ".join(raws)
            yield _sample("under_voltage", float(now & _UNDER_VOLTAGE != 0), "/", at, raw)


def _throttle_bits(files: dict[str, list[str]]) -> int | None:
    for path in ("/sys/devices/platform/soc/soc:firmware/get_throttled", "vcgencmd"):
        text = _first(files, path).removeprefix("throttled=").removeprefix("0x")
        if re.fullmatch(r"[0-9a-fA-F]{1,8}", text):
            return int(text, 16)
    return None


def _temperature(files: dict[str, list[str]], zone: str, at: float) -> Iterator[Sample]:
    """The CPU's thermal zone (the hottest, where there are several), else its hwmon chip."""
    hottest: tuple[int, str] | None = None
    for path, kind in _ending(files, "/type"):
        if kind == zone if zone else _ZONES.fullmatch(kind):
            value = number(_first(files, f"{path.removesuffix('type')}temp"))
            if value is not None and (hottest is None or value > hottest[0]):
                hottest = value, kind
    if hottest is None and not zone:
        hottest = _chip_value(files, _CHIPS, "temp1_input")
    if hottest is None:
        return
    degrees = round(hottest[0] / 1000, 3)
    good = _CELSIUS[0] <= degrees <= _CELSIUS[1]
    raw = f"{hottest[1]} {hottest[0]}"
    yield _sample("cpu_temperature", degrees if good else None, "Cel", at, raw)


def _load(files: dict[str, list[str]], at: float) -> Iterator[Sample]:
    """Runnable tasks of the last minute, in per cent of what all cores can do."""
    text = _first(files, "/proc/loadavg")
    load = re.match(r"\d{1,6}\.\d{1,4}(?= )", text)
    cores = _cores(_first(files, "/sys/devices/system/cpu/online"))
    if load is not None and cores:
        yield _sample("cpu_load", round(100 * float(load[0]) / cores, 1), "%", at, text)


def _cores(text: str) -> int:
    """How many `0-3,6` are; 0 where it is no such list."""
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", text):
        return 0
    pairs = ([int(end) for end in part.split("-")] for part in text.split(","))
    return sum(max(0, ends[-1] - ends[0] + 1) for ends in pairs)


def _memory(files: dict[str, list[str]], at: float) -> Iterator[Sample]:
    lines = files.get("/proc/meminfo", [])
    sizes = {
        match[1]: int(match[2])
        for line in lines
        if (match := re.fullmatch(r"(MemTotal|MemAvailable): *(\d{1,15}) kB", line))
    }
    total, free = sizes.get("MemTotal", 0), sizes.get("MemAvailable")
    if total and free is not None and free <= total:
        raw = f"MemTotal {total} kB, MemAvailable {free} kB"
        yield _sample("memory_used", round(100 * (1 - free / total), 1), "%", at, raw)


def _disk(files: dict[str, list[str]], at: float) -> Iterator[Sample]:
    text = _first(files, "statvfs")
    match = re.fullmatch(r"(\d{1,20}) (\d{1,20})", text)
    if match is None or not 0 <= int(match[2]) <= int(match[1]) or int(match[1]) == 0:
        return
    total, free = int(match[1]), int(match[2])
    yield _sample("disk_free", round(free / 1e9, 3), "GB", at, text)
    yield _sample("disk_used", round(100 * (1 - free / total), 1), "%", at, text)


def _first(files: dict[str, list[str]], path: str) -> str:
    return files.get(path, [""])[0].strip()


def _ending(files: dict[str, list[str]], end: str) -> Iterator[tuple[str, str]]:
    for path, lines in sorted(files.items()):
        if path.endswith(end):
            yield path, lines[0].strip()


def _chip_value(
    files: dict[str, list[str]], chips: re.Pattern[str], file: str
) -> tuple[int, str] | None:
    for path, name in _ending(files, "/name"):
        if chips.fullmatch(name):
            value = number(_first(files, f"{path.removesuffix('name')}{file}"))
            if value is not None:
                return value, name
    return None


def _sample(quantity: str, value: float | None, unit: str, at: float, raw: str) -> Sample:
    quality = Quality.GOOD if value is not None else Quality.FAULT
    return Sample(quantity=quantity, value=value, unit=unit, quality=quality, at=at, raw=raw)


class Driver:
    """This machine."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: nothing can be read."""
        decoder = Decoder(self._config, self.counters)
        while True:
            at = time.monotonic()
            data = await asyncio.to_thread(_read, self._config)
            if self._config.vcgencmd:
                told = await output(
                    self._config.vcgencmd, "get_throttled", timeout_s=VCGENCMD_TIMEOUT_S
                )
                text = told.decode("ascii", "replace").strip()
                data = more(data, {"vcgencmd": text.partition("\n")[0]})
            samples = decoder.feed(data, at)
            if not samples:
                raise FileNotFoundError(f"{self._config.root}: there is no /proc and no /sys here")
            for sample in samples:
                emit(sample)
            await asyncio.sleep(max(0.05, at + self._config.period_s - time.monotonic()))


def _read(config: Config) -> bytes:
    root = Path(config.root)
    data = read((path for glob in _GLOBS for path in sorted(root.glob(glob))), root)
    folder = root / config.disk.lstrip("/")
    # Before its first start the agent's folder is not there; its disk is.
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    disk = os.statvfs(folder)
    total, free = disk.f_frsize * disk.f_blocks, disk.f_frsize * disk.f_bavail
    return more(data, {"statvfs": f"{total} {free}"})
