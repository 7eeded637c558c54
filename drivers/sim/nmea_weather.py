"""Twin of an Airmar 200WX on a vehicle: NMEA 0183, 4800 8N1, one burst each period.

RMC, VTG, HDT or HDG, MWV R, MDA and XDR; with `made_true` also MWD.  What is set is the wind over
ground and how the vehicle moves; the apparent wind that MWV tells follows from both.
"""

from __future__ import annotations

import argparse
import asyncio
import cmath
import math

from drivers.sim.line import Line

COMPASSES = ("hdt", "ths", "hdg", "none")
_KNOT = 1852 / 3600
_VARIATION = -4.5
"""Degrees, west of Wuhan's true north."""
_FIRST: dict[str, float | None] = {
    "wind_speed": 3.2,
    "wind_direction": 214.8,
    "speed": 0.0,
    "track": 0.0,
    "heading": 0.0,
    "temperature": 23.5,
    "humidity": 65.2,
    "pressure": 1013.2,
    "pitch": 1.5,
}
_MAY_LACK = ("heading", "track", "speed", "wind_speed")


def sentence(*fields: str) -> bytes:
    """`$`, the fields, `*`, checksum, CR LF."""
    body = ",".join(fields)
    total = 0
    for letter in body.encode("ascii"):
        total ^= letter
    return f"${body}*{total:02X}\r\n".encode("ascii")


def felt(
    wind_speed: float, wind_from: float, speed: float, track: float, heading: float
) -> tuple[float, float]:
    """Speed and angle from ahead of the wind on a mast that moves: air's velocity less one's own,
    as complex numbers of which the real part points north."""
    air = cmath.rect(wind_speed, math.radians(wind_from + 180))
    relative = air - cmath.rect(speed, math.radians(track))
    return abs(relative), (math.degrees(cmath.phase(-relative)) - heading) % 360


class Twin:
    """One station on `line`; a heading of None is a lost compass, a speed of None a lost fix, a
    wind_speed of None a blocked sensor (MWV status V)."""

    def __init__(
        self,
        line: Line,
        *,
        compass: str = "hdt",
        made_true: bool = False,
        simulator: bool = False,
        period_s: float = 1.0,
    ) -> None:
        if compass not in COMPASSES:
            raise ValueError(f"compass is {compass!r}, expected one of {', '.join(COMPASSES)}")
        self._line = line
        self._compass = compass
        self._made_true = made_true
        self._mode = "S" if simulator else "A"
        self._period_s = period_s
        self._values = dict(_FIRST)

    def set(self, **values: float | None) -> None:
        """ValueError: an unknown quantity, or a value that it cannot have."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"a 200WX has no {name!r}, only {', '.join(self._values)}")
            if value is None and name not in _MAY_LACK:
                raise ValueError(f"{name} is None, expected a number")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def burst(self) -> list[bytes]:
        """The sentences of this moment."""
        sent = [*self._motion(), *self._heading(), self._mwv(), self._mda(), self._xdr()]
        return [*sent, self._mwd()] if self._made_true else sent

    def _at(self, name: str) -> float:
        return self._values[name] or 0.0

    def _motion(self) -> list[bytes]:
        if self._values["speed"] is None:
            empty = [""] * 4
            return [sentence("GPRMC", "", "V", *empty, "", "", "", "", "", "N"),
                    sentence("GPVTG", "", "T", "", "M", "", "N", "", "K", "N")]  # fmt: skip
        knots = f"{self._at('speed') / _KNOT:.3f}"
        track = "" if self._values["track"] is None else f"{self._at('track'):.1f}"
        place = ("3035.58400", "N", "11418.35100", "E")
        status = "V" if self._mode == "S" else "A"
        variation = (f"{abs(_VARIATION):.1f}", "W" if _VARIATION < 0 else "E")
        km_h = f"{self._at('speed') * 3.6:.3f}"
        return [
            sentence("GPRMC", "103000.00", status, *place, knots, track, "241126", *variation,
                     self._mode),
            sentence("GPVTG", track, "T", "", "M", knots, "N", km_h, "K", self._mode),
        ]  # fmt: skip

    def _heading(self) -> list[bytes]:
        heading = self._values["heading"]
        text = "" if heading is None else f"{heading % 360:.1f}"
        match self._compass:
            case "hdt":
                return [sentence("HCHDT", text, "T")]
            case "ths":
                return [sentence("HCTHS", text, self._mode if text else "V")]
            case "hdg":
                magnetic = "" if heading is None else f"{(heading - _VARIATION) % 360:.1f}"
                return [sentence("HCHDG", magnetic, "", "", f"{abs(_VARIATION):.1f}", "W")]
            case _:
                return []

    def _mwv(self) -> bytes:
        if self._values["wind_speed"] is None:
            return sentence("WIMWV", "", "R", "", "M", "V")
        speed, angle = felt(
            self._at("wind_speed"), self._at("wind_direction"), self._at("speed"),
            self._at("track"), self._at("heading"),
        )  # fmt: skip
        return sentence("WIMWV", f"{angle:.3f}", "R", f"{speed:.4f}", "M", "A")

    def _mda(self) -> bytes:
        pressure = self._at("pressure")
        inches = f"{pressure / 33.8639:.2f}"
        air = (f"{self._at('temperature'):.1f}", "C", "", "", f"{self._at('humidity'):.1f}", "")
        return sentence("WIMDA", inches, "I", f"{pressure / 1000:.4f}", "B", *air, *[""] * 10)

    def _xdr(self) -> bytes:
        return sentence("YXXDR", "A", f"{self._at('pitch'):.1f}", "D", "PTCH", "A", "", "D", "ROLL")

    def _mwd(self) -> bytes:
        if self._values["heading"] is None or self._values["wind_speed"] is None:
            return sentence("WIMWD", "", "T", "", "M", "", "N", "", "M")
        speed, direction = self._at("wind_speed"), self._at("wind_direction")
        magnetic = f"{(direction - _VARIATION) % 360:.1f}"
        knots, metres = f"{speed / _KNOT:.1f}", f"{speed:.1f}"
        return sentence("WIMWD", f"{direction:.1f}", "T", magnetic, "M", knots, "N", metres, "M")

    async def run(self) -> None:
        """Speak until cancelled."""
        while True:
            for sent in self.burst():
                await self._line.write(sent)
            await asyncio.sleep(self._period_s)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim nmea_weather`."""
    parser.add_argument("--compass", choices=COMPASSES, default="hdt")
    parser.add_argument("--made-true", action="store_true", help="send MWD as well")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, compass=options.compass, made_true=options.made_true)
