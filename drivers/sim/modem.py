"""Twin of an LTE modem's AT port, from 3GPP TS 27.007 (8.5, 8.69, 7.3) and Quectel's manual.

115200 8N1 in name only.  A command ends in CR and is echoed; an answer is CR LF lines with OK or
ERROR at the end.
"""

from __future__ import annotations

import argparse
import math
from collections import deque

from drivers.sim.line import Line

_COMMANDS_KEPT = 64
_ACCESS = {2.0: 0, 3.0: 2, 4.0: 7, 5.0: 11}
"""Generation -> <AcT> of +COPS."""


class Twin:
    """A modem with a SIM card.

    `set` takes `rssi` and `rsrp` in dBm, `rsrq` and `sinr` in dB, `network_generation` 2 to 5.
    None: it does not know (no network).  `echo = False`: after ATE0.  `old = True`: knows neither
    +CESQ nor +QCSQ.
    """

    def __init__(self, line: Line, *, echo: bool = True, old: bool = False) -> None:
        self.echo = echo
        self.old = old
        self.commands: deque[str] = deque(maxlen=_COMMANDS_KEPT)
        """The last commands received: a driver must only ever ask."""
        self._line = line
        self._values: dict[str, float | None] = {
            "rssi": -67.0, "rsrp": -95.0, "rsrq": -10.5, "sinr": 13.0, "network_generation": 4.0,
        }  # fmt: skip

    def set(self, **values: float | None) -> None:
        """What holds from now on.  ValueError: no such quantity, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"{name!r} is not one of {', '.join(self._values)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def answer(self, command: str) -> bytes:
        """What it sends back, without the echo."""
        line = {
            "AT+CSQ": self._csq, "AT+CESQ": self._cesq, "AT+COPS?": self._cops,
            "AT+QCSQ": self._qcsq, "AT": lambda: "",
        }.get(command, lambda: None)()  # fmt: skip
        if line is None or (self.old and command in ("AT+CESQ", "AT+QCSQ")):
            return b"\r\nERROR\r\n"
        told = f"\r\n{line}\r\n" if line else ""
        return f"{told}\r\nOK\r\n".encode("ascii")

    async def run(self) -> None:
        """Answer until cancelled."""
        held = b""
        while True:
            held = (held + await self._line.read())[-4096:]
            while b"\r" in held:
                line, _, held = held.partition(b"\r")
                command = line.decode("ascii", "replace").strip().upper()
                self.commands.append(command)
                echo = line + b"\r" if self.echo else b""
                await self._line.write(echo + self.answer(command))

    def _csq(self) -> str:
        return f"+CSQ: {self._steps('rssi', -113, 2, 31, 99)},99"

    def _cesq(self) -> str:
        rsrq = self._steps("rsrq", -20, 0.5, 34, 255)
        return f"+CESQ: 99,99,255,255,{rsrq},{self._steps('rsrp', -141, 1, 97, 255)}"

    def _cops(self) -> str:
        generation = self._values["network_generation"]
        if generation is None:
            return "+COPS: 0"
        return f'+COPS: 0,0,"CHINA MOBILE",{_ACCESS[generation]}'

    def _qcsq(self) -> str:
        if self._values["sinr"] is None:
            return '+QCSQ: "NOSERVICE"'
        sinr = self._steps("sinr", -20, 0.2, 250, 0)
        told = [round(self._values[name] or 0) for name in ("rssi", "rsrp", "rsrq")]
        return f'+QCSQ: "LTE",{told[0]},{told[1]},{sinr},{told[2]}'

    def _steps(self, name: str, low: float, step: float, top: int, unknown: int) -> int:
        value = self._values[name]
        return unknown if value is None else min(max(round((value - low) / step), 0), top)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--old", action="store_true", help="knows neither +CESQ nor +QCSQ")


def build(line: Line, options: argparse.Namespace) -> Twin:
    return Twin(line, old=options.old)
