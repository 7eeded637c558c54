"""Twin of Network UPS Tools' upsd with one UPS, on a line in place of its TCP connection.

From RFC 9271: lines that end in LF; LIST VAR, GET VAR, ERR.  What would change the UPS (SET,
INSTCMD, FSD, LOGIN ...) is refused and kept in `commands`.
"""

from __future__ import annotations

import argparse
import math
from collections import deque

from drivers.sim.line import Line

_NAMES = {
    "battery": "battery.charge", "voltage": "battery.voltage", "time_left": "battery.runtime",
    "cell_temperature": "battery.temperature", "mains_voltage": "input.voltage", "load": "ups.load",
}  # fmt: skip
_COMMANDS_KEPT = 64


class Twin:
    """One UPS called `ups`.

    `set` takes `battery` in %EL, `voltage` V, `time_left` s, `cell_temperature` Cel,
    `mains_voltage` V, `load` in per cent (None: the UPS does not tell it) and `mains` 1 or 0.
    `stale = True`: upsd has lost the UPS.
    """

    def __init__(self, line: Line, *, ups: str = "ups") -> None:
        self.ups = ups
        self.stale = False
        self.commands: deque[str] = deque(maxlen=_COMMANDS_KEPT)
        self._line = line
        self._values: dict[str, float | None] = {
            "battery": 100.0, "voltage": 13.6, "time_left": 1800.0, "cell_temperature": None,
            "mains_voltage": 229.0, "load": 14.0, "mains": 1.0,
        }  # fmt: skip

    def set(self, **values: float | None) -> None:
        """What holds from now on.  ValueError: no such quantity, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"{name!r} is not one of {', '.join(self._values)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def variables(self) -> dict[str, str]:
        """Name -> value, as upsd would list them."""
        told = {
            name: f"{value:g}"
            for quantity, name in _NAMES.items()
            if (value := self._values[quantity]) is not None
        }
        status = "OL CHRG" if self._values["mains"] else "OB DISCHRG"
        return {
            **told, "device.model": 'Back-UPS "ES" 700', "driver.name": "usbhid-ups",
            "ups.status": status,
        }  # fmt: skip

    def answer(self, command: str) -> bytes:
        """What upsd answers to one line."""
        match command.split():
            case ["LIST", "VAR", name]:
                if problem := self._problem(name):
                    return problem
                rows = [f"VAR {name} {key} {_quoted(value)}" for key, value in self._sorted()]
                lines = [f"BEGIN LIST VAR {name}", *rows, f"END LIST VAR {name}"]
                return "".join(f"{line}\n" for line in lines).encode()
            case ["GET", "VAR", name, key]:
                if problem := self._problem(name):
                    return problem
                value = self.variables().get(key)
                if value is None:
                    return b"ERR VAR-NOT-SUPPORTED\n"
                return f"VAR {name} {key} {_quoted(value)}\n".encode()
            case ["LOGOUT"]:
                return b"OK Goodbye\n"
            case ["SET" | "INSTCMD" | "FSD" | "LOGIN" | "PRIMARY" | "MASTER", *_]:
                return b"ERR ACCESS-DENIED\n"
            case _:
                return b"ERR UNKNOWN-COMMAND\n"

    async def run(self) -> None:
        """Answer until cancelled."""
        held = b""
        while True:
            held = (held + await self._line.read())[-4096:]
            while b"\n" in held:
                line, _, held = held.partition(b"\n")
                command = line.decode("ascii", "replace").strip()
                self.commands.append(command)
                await self._line.write(self.answer(command))

    def _sorted(self) -> list[tuple[str, str]]:
        return sorted(self.variables().items())

    def _problem(self, name: str) -> bytes:
        if name != self.ups:
            return b"ERR UNKNOWN-UPS\n"
        return b"ERR DATA-STALE\n" if self.stale else b""


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ups", default="ups")


def build(line: Line, options: argparse.Namespace) -> Twin:
    return Twin(line, ups=options.ups)
