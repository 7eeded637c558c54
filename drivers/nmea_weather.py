"""Weather in NMEA 0183: MWV, MWD, MDA and XDR of Airmar, Gill, Vaisala, Lufft and others.

MWV's angle counts from ahead, whether it is apparent (R) or theoretical (T): neither is a direction
until a heading is added.  On a vehicle MWV R is published as `wind_speed_apparent` and
`wind_direction_apparent`; `wind_speed` and `wind_direction` follow only where HDT, THS or HDG and
RMC or VTG on the same wire say how the vehicle stands and moves (drivers/truewind.py).  MWD and MDA
bring wind that the instrument itself has made true; where they come, they are what is published.

Nothing is ever written.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator

import msgspec

from . import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, nmea
from .framing import NMEA_LIMIT, Deframer, Frame, match_nmea
from .quiet import listen
from .truewind import Motion, Wind
from .weather import (
    BAR,
    CALM_M_S,
    IN_HG,
    KM_H,
    KNOT,
    MM_HG,
    MPH,
    PASCAL,
    WIND_FULL_SCALE_M_S,
    Mount,
    Vane,
    fahrenheit,
    sample,
)

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Weather stations that speak NMEA 0183 (Airmar 150WX, 200WX, 220WX and others)",
    evidence="from datasheet",
    baudrate=4800,
)

_NUMBER = re.compile(r"[+-]?(\d{1,7}\.?\d{0,7}|\.\d{1,7})")
_QUANTITY = re.compile(r"[a-z][a-z0-9_]*")

Factor = float | Callable[[float], float]

_SPEED: dict[str, Factor] = {"K": KM_H, "M": 1.0, "N": KNOT, "S": MPH}

TYPES: dict[str, tuple[str, dict[str, Factor]]] = {
    "A": ("deg", {"D": 1.0}),
    "C": ("Cel", {"C": 1.0, "F": fahrenheit}),
    "H": ("%RH", {"P": 1.0}),
    "P": ("hPa", {"B": BAR, "P": PASCAL, "H": 1.0, "M": MM_HG, "I": IN_HG}),
    "U": ("V", {"V": 1.0}),
    "I": ("A", {"A": 1.0}),
    "S": ("m/s", _SPEED),
    "T": ("1/min", {"R": 1.0}),
    "G": ("", {"": 1.0}),
}
"""XDR: type letter -> our unit, and what the unit letters are worth in it.  H in P and S as a speed
are Vaisala's."""

TRANSDUCERS = {
    "C TAIR": "temperature", "C AIRTEMP": "temperature", "C TEMPAIR": "temperature",
    "C ENV_OUTSIDE_T": "temperature", "H RH": "humidity", "H ENV_OUTSIDE_H": "humidity",
    "P BARO": "pressure", "P BAROMETER": "pressure", "P ENV_ATMOS_P": "pressure",
    "P STNP": "pressure_station", "A PTCH": "pitch", "A PITCH": "pitch", "A ROLL": "roll",
}  # fmt: skip
"""XDR: type and name -> quantity.  The standard leaves the names to the makers."""

_COMPUTED, _THEORETICAL, _MADE_TRUE = 1, 2, 3
"""Where true wind may come from, the best last: MWV R, MWV T, MWD and MDA."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "nmea_weather"`."""

    mount: Mount = "vehicle"
    """`fixed` (a mast that stands, its mark to the north) or `vehicle` (the mark points ahead)."""
    offset_deg: float = 0.0
    """Added to MWV's angles: how far the mark is turned clockwise from north or from ahead."""
    variation_deg: float | None = None
    """East positive; makes a magnetic heading true where HDG and RMC do not say it themselves."""
    course_as_heading: bool = False
    """Take the course over ground for the heading above 1 m/s where there is no compass: for a
    vehicle that does not measure while it reverses."""
    standing_m_s: float = 0.5
    """Up to this speed the vehicle stands, and apparent wind is true wind."""
    hold_s: float = 3.0
    """For how long a heading and a speed count."""
    trust_true: bool = True
    """MWD, MDA's wind and MWV T are true wind.  False on a vehicle whose instrument has no compass
    and no GNSS, and only repeats what it feels."""
    transducers: dict[str, str] = msgspec.field(default_factory=dict)
    """XDR names -> quantities, beside the usual ones: `{ HULL = "temperature_hull", "C 1" = "" }`;
    a name, or type letter and name where numbers are names; "" passes it over."""
    full_scale: float = WIND_FULL_SCALE_M_S
    """Of the wind, m/s: from there on it is `over_range`."""
    position: bool = False
    """Also give the fixes of the receiver on this wire, with the defaults of driver `nmea`."""
    quiet_s: float = 0.3
    """After so long without a byte, what a false header holds back is given."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        for key in ("standing_m_s", "hold_s", "full_scale", "quiet_s"):
            if not getattr(self, key) > 0:
                yield key, f"expected more than 0, read {getattr(self, key):g}"
        for key in ("offset_deg", "variation_deg"):
            value = getattr(self, key)
            if value is not None and not -180 <= value <= 360:
                yield key, f"expected -180 to 360, read {value:g}"
        for name, quantity in self.transducers.items():
            if quantity and not _QUANTITY.fullmatch(quantity):
                yield (
                    "transducers",
                    f'{name}: expected a quantity like temperature, read "{quantity}"',
                )


class _Fields:
    """One sentence's fields, counted from 1 after the address, empty as None."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = text[1 : text.index("*")].split(",")
        self.kind = self._parts[0][2:]
        self.count = len(self._parts) - 1

    def at(self, index: int) -> str:
        return self._parts[index].strip() if index < len(self._parts) else ""

    def number(self, index: int) -> float | None:
        return float(self.at(index)) if _NUMBER.fullmatch(self.at(index)) else None

    def signed(self, index: int, positive: str = "E", negative: str = "W") -> float | None:
        """A number whose next field is the letter of its side."""
        value, side = self.number(index), self.at(index + 1)
        if value is None or side not in (positive, negative):
            return None
        return value if side == positive else -value


class Decoder:
    """Bytes in, samples (and fixes) out."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self._config = (Config() if config is None else config).check()
        self.counters = Counters() if counters is None else counters
        self._framer = Deframer(match_nmea, limit=NMEA_LIMIT, counters=self.counters)
        self._gnss = nmea.Decoder() if self._config.position else None
        self._motion = Motion(
            hold_s=self._config.hold_s,
            standing_m_s=self._config.standing_m_s,
            course_as_heading=self._config.course_as_heading,
        )
        self._vane = Vane()
        self._variation = self._config.variation_deg
        self._best = (0, 0.0)
        self._given: set[str] = set()
        self._said: set[str] = set()
        self._names = TRANSDUCERS | {
            name.upper(): quantity for name, quantity in self._config.transducers.items()
        }
        self._settled = True

    @property
    def pending(self) -> bool:
        """Whether `flush` would do anything."""
        gnss = self._gnss is not None and self._gnss.pending
        return not self._settled and (self._framer.waiting > 0 or gnss)

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the sentences that `data` completes; `at`: monotonic seconds."""
        self._settled = False
        found = self._take(self._framer.feed(data, at))
        return found if self._gnss is None else [*found, *self._gnss.feed(data, at)]

    def flush(self, at: float) -> list[Sample | Fix]:
        """The line has been quiet up to `at`, or is at its end."""
        self._settled = True
        found = self._take(self._framer.settle())
        return found if self._gnss is None else [*found, *self._gnss.flush(at)]

    def _take(self, frames: list[Frame]) -> list[Sample | Fix]:
        found: list[Sample | Fix] = []
        for frame in frames:
            if frame.kind == "nmea" and frame.data[:1] == b"$" and frame.data[1:2] != b"P":
                fields = _Fields(frame.data.decode("ascii"))
                read = _READ.get(fields.kind)
                found += read(self, fields, frame.at) if read is not None else ()
        return found

    # --- how the vehicle stands and moves ---

    def _rmc(self, f: _Fields, at: float) -> list[Sample]:
        variation = f.signed(10)
        if variation is not None:
            self._variation = variation
        mode = f.at(12)
        # The standard demands V for estimated and simulated fixes as well.
        status = f.at(2)
        valid = mode not in ("N", "M") if status == "A" else status == "V" and mode in ("E", "S")
        knots = f.number(7) if valid else None
        self._motion.move(_times(knots, KNOT), f.number(8), at, mode == "S")
        return []

    def _vtg(self, f: _Fields, at: float) -> list[Sample]:
        mode = f.at(9)
        knots, km_h = f.number(5), f.number(7)
        m_s = _times(knots, KNOT) if knots is not None else _times(km_h, KM_H)
        self._motion.move(None if mode in ("N", "M") else m_s, f.number(1), at, mode == "S")
        return []

    def _hdt(self, f: _Fields, at: float) -> list[Sample]:
        self._motion.turn(f.kind, f.number(1) if f.at(2) == "T" else None, at)
        return []

    def _ths(self, f: _Fields, at: float) -> list[Sample]:
        valid = f.at(2) in ("A", "E", "S")
        self._motion.turn(f.kind, f.number(1) if valid else None, at, f.at(2) == "S")
        return []

    def _hdg(self, f: _Fields, at: float) -> list[Sample]:
        """Magnetic: true only with a variation, its own, RMC's or the configuration's."""
        magnetic, deviation, variation = f.number(1), f.signed(2) or 0.0, f.signed(4)
        if variation is not None:
            self._variation = variation
        if magnetic is None:
            self._motion.turn(f.kind, None, at)
        elif self._variation is not None:
            self._motion.turn(f.kind, magnetic + deviation + self._variation, at)
        else:
            self._say("its heading is magnetic: variation_deg is needed", f.text)
        return []

    # --- wind ---

    def _mwv(self, f: _Fields, at: float) -> list[Sample]:
        angle, speed = f.number(1), _scaled(f.number(3), _SPEED.get(f.at(4)))
        fixed, relative = self._config.mount == "fixed", f.at(2) == "R"
        if f.at(2) not in ("R", "T") or not (f.at(1) or f.at(3) or f.at(5)):
            return []
        if f.at(5) != "A" or (angle is not None and not 0 <= angle <= 360):
            angle = speed = None
        if angle is not None:
            angle = (angle + self._config.offset_deg) % 360
        if fixed:
            rank = _MADE_TRUE if relative else _THEORETICAL
            return self._true(rank, Wind(speed, angle), at, f.text, told=True)
        if relative:
            return [*self._felt(speed, angle, at, f.text), *self._freed(speed, angle, at, f.text)]
        if not self._config.trust_true:
            return []
        heading = self._motion.heading(at)
        direction = None if heading is None or angle is None else (heading + angle) % 360
        wind = Wind(speed, direction, "" if heading is not None else "heading")
        told = speed is None and bool(self._given)
        return self._true(_THEORETICAL, wind, at, f.text, told=told)

    def _felt(self, speed: float | None, angle: float | None, at: float, text: str) -> list[Sample]:
        quality = Quality.FAULT if speed is None else Quality.GOOD
        top, name = self._config.full_scale, "wind_direction_apparent"
        return [
            sample("wind_speed_apparent", speed, "m/s", at, text, quality, top),
            self._vane.turned(name, angle, speed, quality, at, text),
        ]

    def _freed(
        self, speed: float | None, angle: float | None, at: float, text: str
    ) -> list[Sample]:
        """What is left of the apparent wind without the vehicle's own motion."""
        if speed is None or (angle is None and speed >= CALM_M_S):
            return self._true(_COMPUTED, Wind(None, None), at, text, told=bool(self._given))
        wind = self._motion.true_wind(speed, angle or 0.0, at)
        return self._true(_COMPUTED, wind, at, text)

    def _mwd(self, f: _Fields, at: float) -> list[Sample]:
        return self._told(f, 1, at)

    def _told(self, f: _Fields, start: int, at: float) -> list[Sample]:
        """Direction true, T, magnetic, M, knots, N, m/s, M: MWD, and the end of MDA."""
        if not self._config.trust_true and self._config.mount == "vehicle":
            return []
        direction = f.number(start) if f.at(start + 1) == "T" else None
        magnetic = f.number(start + 2) if f.at(start + 3) == "M" else None
        if direction is None and magnetic is not None and self._variation is not None:
            direction = (magnetic + self._variation) % 360
        speed = f.number(start + 6) if f.at(start + 7) == "M" else None
        if speed is None and f.at(start + 5) == "N":
            speed = _times(f.number(start + 4), KNOT)
        if speed is None:
            return []
        missing = "" if direction is not None or speed < CALM_M_S else "heading"
        return self._true(_MADE_TRUE, Wind(speed, direction, missing), at, f.text)

    def _true(
        self, rank: int, wind: Wind, at: float, text: str, *, told: bool = False
    ) -> list[Sample]:
        """Publish true wind, unless a better sentence does.  What cannot be told is left out where
        it never could; else it has no value: a fault where a compass was lost, or `told`."""
        best, since = self._best
        if rank < best and at - since <= self._config.hold_s:
            return []
        if wind.speed is not None:
            self._best = (rank, at)
        if wind.missing:
            self._say(f"no {wind.missing}: without it true wind is not known", text)
        lost = told or (wind.missing == "heading" and self._motion.had_heading)
        without = Quality.FAULT if lost else Quality.STALE
        # What a sentence says by itself is as good as its sender; only what was made of a
        # simulator's motion is simulated.
        made = rank < _MADE_TRUE and self._config.mount == "vehicle"
        quality = Quality.SIMULATED if made and self._motion.simulated(at) else Quality.GOOD
        found: list[Sample] = []
        if wind.speed is not None or told or "wind_speed" in self._given:
            of_speed = quality if wind.speed is not None else without
            top = self._config.full_scale
            found.append(sample("wind_speed", wind.speed, "m/s", at, text, of_speed, top))
        calm = wind.speed is not None and wind.speed < CALM_M_S
        if wind.direction is not None or told or calm or "wind_direction" in self._given:
            of_direction = quality if wind.direction is not None or calm else without
            found.append(
                self._vane.turned(
                    "wind_direction", wind.direction, wind.speed, of_direction, at, text
                )
            )
        self._given |= {one.quantity for one in found if one.value is not None}
        return found

    # --- air ---

    def _mda(self, f: _Fields, at: float) -> list[Sample]:
        found: list[Sample] = []
        # Bar has more digits than inches of mercury, and is what makers agree on.
        pressure = (3, "B", BAR) if f.at(3) else (1, "I", IN_HG)
        for quantity, unit, (index, letter, factor) in (
            ("pressure", "hPa", pressure),
            ("temperature", "Cel", (5, "C", 1.0)),
            ("water_temperature", "Cel", (7, "C", 1.0)),
            ("humidity", "%RH", (9, "", 1.0)),
            ("dew_point", "Cel", (11, "C", 1.0)),
        ):
            if f.at(index):
                known = not letter or f.at(index + 1) == letter
                value = _times(f.number(index), factor) if known else None
                found.append(sample(quantity, value, unit, at, f.text))
        return found + self._told(f, 13, at)

    def _xdr(self, f: _Fields, at: float) -> list[Sample]:
        found: list[Sample] = []
        for start in range(1, f.count - 2, 4):
            letter, name = f.at(start).upper(), f.at(start + 3).upper()
            key = f"{letter} {name}"
            quantity = self._names.get(key, self._names.get(name))
            if not f.at(start + 1) or quantity == "":
                continue
            if quantity is None or letter not in TYPES:
                self._say(f'transducer "{key}" has no quantity: name it in transducers', f.text)
                continue
            unit, letters = TYPES[letter]
            value = _scaled(f.number(start + 1), letters.get(f.at(start + 2)))
            found.append(sample(quantity, value, unit, at, f.text))
        return found

    def _say(self, what: str, text: str) -> None:
        if what not in self._said and len(self._said) < 64:
            self._said.add(what)
            log.warning("nmea_weather: %s: %s", what, text)


_READ: dict[str, Callable[[Decoder, _Fields, float], list[Sample]]] = {
    "RMC": Decoder._rmc,
    "VTG": Decoder._vtg,
    "HDT": Decoder._hdt,
    "THS": Decoder._ths,
    "HDG": Decoder._hdg,
    "HDM": Decoder._hdg,
    "MWV": Decoder._mwv,
    "MWD": Decoder._mwd,
    "MDA": Decoder._mda,
    "XDR": Decoder._xdr,
}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _scaled(value: float | None, factor: Factor | None) -> float | None:
    """None where the number or its unit is not known."""
    if value is None or factor is None:
        return None
    return factor(value) if callable(factor) else value * factor


class Driver:
    """One weather station on one line."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self._config, self.counters)
        await listen(port, emit, decoder, self._config.quiet_s)
