"""Twin of a small computer's /proc and /sys: what it is like to run in a hot vehicle.

Written from proc(5), the kernel's thermal and hwmon ABI, and the Raspberry Pi's documentation of
get_throttled.  There is no wire; `folder` is what a driver takes for `/`.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from pathlib import Path

from drivers.sim.line import Line

QUANTITIES = ("cpu_temperature", "cpu_load", "memory_used", "throttled", "under_voltage")

_MEMORY_KB = 3_884_000


class Twin:
    """A board with `cores` cores.

    `set` takes `cpu_temperature` in Cel, `cpu_load` and `memory_used` in per cent, `throttled` and
    `under_voltage` 1 or 0; None: the file is not there.  A bit that was 1 stays in the half that
    counts since boot.
    """

    def __init__(self, folder: Path, *, cores: int = 4) -> None:
        self.folder = Path(folder)
        self._cores = cores
        self._since_boot = 0
        self._values: dict[str, float | None] = {
            "cpu_temperature": 51.5, "cpu_load": 20.0, "memory_used": 40.0,
            "throttled": 0.0, "under_voltage": 0.0,
        }  # fmt: skip
        self.write()

    def set(self, **values: float | None) -> None:
        """What holds from now on.  ValueError: no such quantity, or no finite number."""
        for name, value in values.items():
            if name not in QUANTITIES:
                raise ValueError(f"{name!r} is not one of {', '.join(QUANTITIES)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)
        self.write()

    def flicker(self) -> None:
        """Throttled for a moment that nobody saw."""
        self._since_boot |= 0x4
        self.write()

    def write(self) -> None:
        """The files, as they are now."""
        degrees, load = self._values["cpu_temperature"], self._values["cpu_load"]
        used = self._values["memory_used"]
        zone = "sys/class/thermal/thermal_zone0"
        self._put(f"{zone}/type", None if degrees is None else "cpu-thermal")
        self._put(f"{zone}/temp", None if degrees is None else str(round(degrees * 1000)))
        self._put("sys/devices/system/cpu/online", f"0-{self._cores - 1}")
        average = None if load is None else f"{load / 100 * self._cores:.2f} 0.50 0.40 1/234 5678"
        self._put("proc/loadavg", average)
        self._put("proc/meminfo", None if used is None else _meminfo(used))
        self._put("sys/devices/platform/soc/soc:firmware/get_throttled", self._bits())

    def spoil(self, path: str, text: str) -> None:
        """The file at `path` holds `text`, until `write`."""
        self._put(path, text)

    async def run(self) -> None:
        """Nothing moves by itself."""
        await asyncio.get_running_loop().create_future()

    def _bits(self) -> str | None:
        throttled, low = self._values["throttled"], self._values["under_voltage"]
        if throttled is None or low is None:
            return None
        now = (0x4 if throttled else 0) | (0x1 if low else 0)
        self._since_boot |= now
        return f"{self._since_boot << 16 | now:x}"

    def _put(self, path: str, text: str | None) -> None:
        file = self.folder / path
        if text is None:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}")
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(file)


def _meminfo(used: float) -> str:
    free = round(_MEMORY_KB * (1 - used / 100))
    return f"MemTotal: {_MEMORY_KB:>12} kB\nMemFree:  {free // 2:>12} kB\nMemAvailable: {free} kB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=Path, required=True, help="what the driver shall take for / (key root)"
    )


def build(line: Line, options: argparse.Namespace) -> Twin:
    return Twin(options.folder)
