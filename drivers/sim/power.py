"""Twin of Linux's power supplies: a folder with the `uevent` files of a battery and its mains.

Written from the kernel's Documentation/power/power_supply_class.rst: micro-units, tenths of a
degree, a line for each property.  There is no wire; `folder` is what a driver takes for `/`.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
from pathlib import Path

from drivers.sim.line import Line

QUANTITIES = ("battery", "voltage", "current", "cell_temperature", "mains")


class Twin:
    """One battery BAT0 (or `battery`), and mains AC; also the battery of a mouse.

    `set` takes `battery` in %EL, `voltage` V, `current` A (positive: charging),
    `cell_temperature` Cel and `mains` 1 or 0.  None: the kernel leaves the property out, or, for
    mains, there is no such supply.  `signed = False`: a driver that gives only the current's size.
    """

    def __init__(self, folder: Path, *, battery: str = "BAT0", signed: bool = True) -> None:
        self.folder = Path(folder)
        self._supplies = self.folder / "sys" / "class" / "power_supply"
        self._name = battery
        self._signed = signed
        self._values: dict[str, float | None] = {
            "battery": 80.0, "voltage": 12.1, "current": -0.85, "cell_temperature": 24.5,
            "mains": 0.0,
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

    def write(self) -> None:
        """The files, as they are now."""
        current = self._values["current"]
        if current is not None and not self._signed:
            current = abs(current)
        battery = {
            "NAME": self._name, "TYPE": "Battery", "STATUS": self._status(), "PRESENT": "1",
            "CAPACITY": _whole(self._values["battery"], 1),
            "VOLTAGE_NOW": _whole(self._values["voltage"], 1e6),
            "CURRENT_NOW": _whole(current, 1e6),
            "TEMP": _whole(self._values["cell_temperature"], 10),
        }  # fmt: skip
        self._put(self._name, battery)
        self._put("hidpp_battery_0", {
            "NAME": "hidpp_battery_0", "TYPE": "Battery", "STATUS": "Discharging",
            "SCOPE": "Device", "CAPACITY": "5",
        })  # fmt: skip
        if self._values["mains"] is None:
            shutil.rmtree(self._supplies / "AC", ignore_errors=True)
        else:
            mains = {"NAME": "AC", "TYPE": "Mains", "ONLINE": _whole(self._values["mains"], 1)}
            self._put("AC", mains)

    def spoil(self, text: str) -> None:
        """A broken driver: the battery's file holds `text`, until `write`."""
        (self._supplies / self._name / "uevent").write_text(text, encoding="utf-8")

    def remove(self) -> None:
        """The battery is taken out, until `write`."""
        shutil.rmtree(self._supplies / self._name)

    async def run(self) -> None:
        """Nothing moves by itself."""
        await asyncio.get_running_loop().create_future()

    def _status(self) -> str:
        current = self._values["current"] or 0.0
        if current == 0:
            return "Full"
        return "Charging" if current > 0 else "Discharging"

    def _put(self, name: str, properties: dict[str, str]) -> None:
        folder = self._supplies / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["DEVTYPE=power_supply"]
        lines += [f"POWER_SUPPLY_{key}={value}" for key, value in properties.items() if value]
        fresh = folder / ".uevent"
        fresh.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        fresh.replace(folder / "uevent")


def _whole(value: float | None, scale: float) -> str:
    return "" if value is None else str(round(value * scale))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=Path, required=True, help="what the driver shall take for / (key root)"
    )


def build(line: Line, options: argparse.Namespace) -> Twin:
    return Twin(options.folder)
