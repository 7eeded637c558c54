"""Twin of instruments that send lines of text: a MightyOhm Geiger counter, a gas box, a probe.

`mightyohm`: `CPS, 1, CPM, 22, uSv/hr, 0.12, SLOW` each second (9600 8N1).
`checked`:   `$GAS,CL2,1.25,PPM,OK*hh`, the XOR of what is between `$` and `*`; WARM, OVER or FAIL.
`asked`:     `23.5;65.2` for each `?M` and its line end.
"""

from __future__ import annotations

import argparse
import asyncio
import math

from drivers.sim.line import Line

_START: dict[str, dict[str, float | None]] = {
    "mightyohm": {"count_rate": 22.0},
    "checked": {"cl2": 0.0},
    "asked": {"temperature": 20.0, "humidity": 50.0},
}
FORMATS = tuple(_START)
_USV_H = 0.0057
_FULL_SCALE = 20.0


def sealed(body: str) -> bytes:
    """`$`, the body, `*`, its XOR in two digits, CR LF."""
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n".encode()


class Twin:
    """One instrument on `line`.  `set` takes count_rate (1/min), or cl2 (ppm), or temperature (Cel)
    and humidity (%RH), as the format has them; None is a broken sensor, which a counter cannot
    say."""

    def __init__(
        self, line: Line, *, format: str = "mightyohm", period_s: float = 1.0, warm: bool = True
    ) -> None:
        if format not in FORMATS:
            raise ValueError(f"no format {format!r}, expected one of {', '.join(FORMATS)}")
        self._line = line
        self._format = format
        self._period_s = period_s
        self._values = dict(_START[format])
        self.warm = warm
        self.heard: bytes = b""
        """All that was written to it, at most 1000 bytes."""

    def set(self, **values: float | None) -> None:
        """What the instrument feels from now on.  ValueError: a quantity that it has not."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"this instrument does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def text(self) -> bytes | None:
        """The line of this moment; None where it would keep silent."""
        match self._format:
            case "mightyohm":
                cpm = self._values["count_rate"]
                if cpm is None:
                    return None
                # It counts for itself how fast it must be: slow up to 15 a second.
                speed = "SLOW" if cpm < 900 else "FAST"
                dose = cpm * _USV_H
                counts = f"CPS, {cpm / 60:.0f}, CPM, {cpm:.0f}"
                return f"{counts}, uSv/hr, {dose:.2f}, {speed}\r\n".encode()
            case "checked":
                ppm = self._values["cl2"]
                word = "OK" if self.warm else "WARM"
                if ppm is None:
                    word = "FAIL"
                elif ppm > _FULL_SCALE:
                    word = "OVER"
                return sealed(f"GAS,CL2,{min(ppm or 0.0, _FULL_SCALE):.2f},PPM,{word}")
            case _:
                shown = ("----" if v is None else f"{v:.1f}" for v in self._values.values())
                return (";".join(shown) + "\r\n").encode()

    async def run(self) -> None:
        """Speak or answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer(), name="text twin: answer")
            if self._format != "asked":
                tasks.create_task(self._speak(), name="text twin: speak")

    async def _speak(self) -> None:
        while True:
            await self._send()
            await asyncio.sleep(self._period_s)

    async def _answer(self) -> None:
        held = b""
        while True:
            data = await self._line.read()
            self.heard = (self.heard + data)[-1000:]
            *asked, held = (held + data).replace(b"\r", b"\n").split(b"\n")
            held = held[-100:]
            for _ in range(asked.count(b"?M") if self._format == "asked" else 0):
                await self._send()

    async def _send(self) -> None:
        text = self.text()
        if text is not None:
            await self._line.write(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim text`."""
    parser.add_argument("--format", choices=FORMATS, default="mightyohm")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, format=options.format)
