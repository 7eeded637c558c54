"""Twin of Victron instruments that send VE.Direct text: a battery monitor, a solar charger.

19200 8N1, one or two blocks a second.  From Victron's protocol paper: each field is CR LF, label,
tab, value; the byte behind `Checksum` and its tab brings the sum of the block to 0 modulo 256.
"""

from __future__ import annotations

import argparse
import asyncio
import math

from drivers.sim.line import Line

MODELS = ("bmv", "mppt")

_VALUES: dict[str, dict[str, float | None]] = {
    "bmv": {"battery": 87.6, "voltage": 12.8, "current": -1.5, "power": -19.0,
            "time_left": 14400.0, "cell_temperature": 21.0},
    "mppt": {"voltage": 13.4, "current": 4.2, "solar_voltage": 18.6, "solar_power": 57.0,
             "load_current": 0.6},
}  # fmt: skip


def block(*fields: tuple[str, str]) -> bytes:
    """Fields and the checksum behind them."""
    body = "".join(f"\r\n{label}\t{value}" for label, value in fields).encode("latin-1")
    body += b"\r\nChecksum\t"
    return body + bytes(((256 - sum(body) % 256) % 256,))


def hex_message(command: int, payload: bytes) -> bytes:
    """A HEX message, as another program on the wire would have asked for: sum 0x55."""
    check = (0x55 - command - sum(payload)) % 256
    return f":{command:X}{payload.hex().upper()}{check:02X}\n".encode("ascii")


class Twin:
    """One instrument on `line`.

    `set` takes the quantities of its model: `battery` in %EL, `voltage` V, `current` A (positive:
    charging), `power` W, `time_left` s (None: no end in sight, sent as -1), `cell_temperature` Cel,
    `solar_voltage` V, `solar_power` W, `load_current` A.  Any other None is sent as `---`.
    """

    def __init__(
        self, line: Line, *, model: str = "bmv", period_s: float = 1.0, hex_messages: bool = False
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"no model {model!r}, expected one of {', '.join(MODELS)}")
        self.model = model
        self._line = line
        self._period_s = period_s
        self._hex = hex_messages
        self._values = dict(_VALUES[model])

    def set(self, **values: float | None) -> None:
        """What is measured from now on.  ValueError: not by this model, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"a {self.model} does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def blocks(self) -> list[bytes]:
        """What it would send now."""
        if self.model == "mppt":
            return [
                block(
                    ("PID", "0xA053"), ("FW", "150"), ("SER#", "HQ1909ABCDE"),
                    ("V", self._milli("voltage")), ("I", self._milli("current")),
                    ("VPV", self._milli("solar_voltage")), ("PPV", self._whole("solar_power")),
                    ("CS", "3"), ("ERR", "0"), ("LOAD", "ON"),
                    ("IL", self._milli("load_current")), ("H19", "111"), ("HSDS", "42"),
                )
            ]  # fmt: skip
        return [
            block(
                ("PID", "0x203"), ("V", self._milli("voltage")),
                ("T", self._whole("cell_temperature")), ("I", self._milli("current")),
                ("P", self._whole("power")), ("CE", "-1500"), ("SOC", self._tenths()),
                ("TTG", self._minutes()), ("Alarm", "OFF"), ("Relay", "OFF"), ("AR", "0"),
                ("BMV", "702"), ("FW", "0308"),
            ),
            block(("H1", "-35210"), ("H2", "-12100"), ("H7", "11002"), ("H8", "14410")),
        ]  # fmt: skip

    async def run(self) -> None:
        """Speak until cancelled; what is said to it changes nothing."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._hex:
                await self._line.write(hex_message(0xA, b"\x8d\xed\x00\x20\x05"))
            for data in self.blocks():
                await self._line.write(data)
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def _milli(self, name: str) -> str:
        return self._number(name, 1000)

    def _whole(self, name: str) -> str:
        return self._number(name, 1)

    def _tenths(self) -> str:
        return self._number("battery", 10)

    def _minutes(self) -> str:
        return "-1" if self._values["time_left"] is None else self._number("time_left", 1 / 60)

    def _number(self, name: str, scale: float) -> str:
        value = self._values[name]
        return "---" if value is None else str(round(value * scale))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default="bmv")


def build(line: Line, options: argparse.Namespace) -> Twin:
    return Twin(line, model=options.model)
