"""Gill WindSonic (polar, continuous) and MaxiMet weather stations, in Gill's own framing.

    <STX> fields, each with a comma behind it <ETX> checksum <cr><lf>

The checksum is the XOR of all bytes between STX and ETX, two hexadecimal digits.  WindSonic's
fields are fixed (node, direction, speed, unit, status; 1405-PS-0019); those of a MaxiMet are what
its REPORT setting says and nothing in the frame names them: `columns` must repeat that list, and
its units, word by word (1957-PS-021).  Nothing is ever written: `*` would stop the measurement.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from . import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from .checksum import xor8
from .framing import WAIT, Deframer, Drop, Take, Verdict
from .weather import (
    BAR,
    FT_MIN,
    IN_HG,
    INCH_MM,
    KM_H,
    KNOT,
    MM_HG,
    MPH,
    WIND_FULL_SCALE_M_S,
    Mount,
    Vane,
    fahrenheit,
    mounted,
    sample,
)

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Gill WindSonic (9600), MaxiMet GMX (set baudrate = 19200)",
    evidence="from datasheet",
    baudrate=9600,
)

PROBES = ({"mount": "fixed"},)
"""A MaxiMet is not recognised: nobody but its owner knows the columns."""

FRAME_MAX = 512

_CANDIDATE = re.compile(rb"\x02")
_BETWEEN = re.compile(rb"[\r\n]+")
_BODY = re.compile(rb"[ -~]*")
_TAIL = re.compile(rb"\x03([0-9A-Fa-f]{2})")
_POLAR = re.compile(r"([A-Z]),(\d{3})?,(\d{1,3}\.\d{1,3})?,([A-Z]),([0-9A-F]{2}),")
_NUMBER = re.compile(r"[+-]?\d{1,6}(\.\d{1,6})?")
_CODE = re.compile(r"[0-9A-F]{4}")

SPEED: dict[str, float] = {"M": 1.0, "N": KNOT, "P": MPH, "K": KM_H, "F": FT_MIN}
"""WindSonic's unit letters: m/s, knots, mph, km/h, feet in a minute."""

STATUS: dict[str, tuple[Quality, str]] = {
    "00": (Quality.GOOD, ""),
    "60": (Quality.GOOD, ""),
    "62": (Quality.GOOD, "its heating has tripped"),
    "63": (Quality.GOOD, "its heating's thermistor is open"),
    "65": (Quality.GOOD, "its heating element is open"),
    "51": (Quality.WARMUP, ""),
    "01": (Quality.FAULT, "axis 1 failed"),
    "02": (Quality.FAULT, "axis 2 failed"),
    "04": (Quality.FAULT, "axes 1 and 2 failed"),
    "08": (Quality.FAULT, "its settings' memory failed"),
    "09": (Quality.FAULT, "its program memory failed"),
    "10": (Quality.FAULT, "its gain is at the maximum"),
}
"""60 and more: WindObserver's heating (valid data); 51: the average is still building."""


class Column(NamedTuple):
    """What a word of MaxiMet's REPORT stands for."""

    quantity: str
    unit: str
    part: int
    """The bits of STATUS that take it away."""
    setting: str = ""
    """Which of our keys says its unit."""


_WIND, _AIR, _DEW, _WET, _PRESSED, _COMPASS = 0x000F, 0x0010, 0x0020, 0x0040, 0x0080, 0x0100
_UNKNOWN = 0xFE00
"""Bits of STATUS of which we do not know whom they accuse: everybody."""

COLUMNS: dict[str, Column] = {
    # Relative to the station's north mark, which on a vehicle points ahead.
    "DIR": Column("wind_direction", "deg", _WIND),
    "SPEED": Column("wind_speed", "m/s", _WIND, "wind_unit"),
    # Turned by the compass, and with a GPS also freed of the station's own motion.
    "CDIR": Column("wind_direction", "deg", _WIND | _COMPASS),
    "CSPEED": Column("wind_speed", "m/s", _WIND | _COMPASS, "wind_unit"),
    "AVGDIR": Column("wind_direction_mean", "deg", _WIND),
    "AVGSPEED": Column("wind_speed_mean", "m/s", _WIND, "wind_unit"),
    "AVGCDIR": Column("wind_direction_mean", "deg", _WIND | _COMPASS),
    "AVGCSPEED": Column("wind_speed_mean", "m/s", _WIND | _COMPASS, "wind_unit"),
    "GDIR": Column("wind_direction_max", "deg", _WIND),
    "GSPEED": Column("wind_speed_max", "m/s", _WIND, "wind_unit"),
    "CGDIR": Column("wind_direction_max", "deg", _WIND | _COMPASS),
    "CGSPEED": Column("wind_speed_max", "m/s", _WIND | _COMPASS, "wind_unit"),
    "PRESS": Column("pressure", "hPa", _PRESSED, "pressure_unit"),
    "PASL": Column("pressure_sea_level", "hPa", _PRESSED, "pressure_unit"),
    "PSTN": Column("pressure_station", "hPa", _PRESSED, "pressure_unit"),
    "RH": Column("humidity", "%RH", _WET),
    "TEMP": Column("temperature", "Cel", _AIR, "temperature_unit"),
    "DEWPOINT": Column("dew_point", "Cel", _AIR | _WET | _DEW, "temperature_unit"),
    "WBTEMP": Column("wet_bulb", "Cel", _AIR | _WET | _DEW, "temperature_unit"),
    "AH": Column("absolute_humidity", "g/m3", _AIR | _WET | _DEW),
    "AIRDENS": Column("air_density", "kg/m3", _AIR | _WET | _PRESSED),
    "SOLARRAD": Column("radiation", "W/m2", 0),
    "SOLARHOURS": Column("sunshine", "h", 0),
    "PRECIPT": Column("rain", "mm", 0, "rain_unit"),
    "PRECIPI": Column("rain_intensity", "mm/h", 0, "rain_unit"),
    "COMPASSH": Column("heading", "deg", _COMPASS),
    "VOLT": Column("supply_voltage", "V", 0),
}
IGNORED = frozenset(
    "NODE CHECK TIME STATUS WINDSTAT USERINF GPSLOCATION GPSSPEED GPSHEADING GPSSTATUS WCHILL"
    " HEATIDX PRECIPS SUNR SNOON SUNS SUNP TWIC TWIN TWIA XTILT YTILT ZORIENT -".split()
)
"""Words of REPORT that are no measurement of ours; `-` is any column that shall be passed over."""

_UNITS: dict[str, float | Callable[[float], float]] = {
    "m/s": 1.0, "kn": KNOT, "mph": MPH, "km/h": KM_H, "ft/min": FT_MIN,
    "hPa": 1.0, "bar": BAR, "mmHg": MM_HG, "inHg": IN_HG,
    "C": 1.0, "F": fahrenheit, "K": lambda value: value - 273.15,
    "mm": 1.0, "in": INCH_MM,
}  # fmt: skip


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "gill"`."""

    mount: Mount
    """`fixed` (its mark points north) or `vehicle` (it points ahead: the wind is published as
    `wind_speed_apparent` and `wind_direction_apparent`; a MaxiMet with GPS gives the true wind in
    its columns CDIR and CSPEED)."""
    model: Literal["windsonic", "maximet"] = "windsonic"
    node: str = "Q"
    """The instrument's letter; frames of others on the line are passed over."""
    columns: tuple[str, ...] = ()
    """MaxiMet only: the words behind REPORT, in their order, as the station prints them when it is
    switched on or asked `REPORT` in its own setup (NODE, DIR, SPEED, ..., STATUS, CHECK)."""
    wind_unit: Literal["m/s", "kn", "mph", "km/h", "ft/min"] = "m/s"
    """MaxiMet only, as the next three: its UNITS WIND (a WindSonic's frame names its unit)."""
    pressure_unit: Literal["hPa", "bar", "mmHg", "inHg"] = "hPa"
    temperature_unit: Literal["C", "F", "K"] = "C"
    rain_unit: Literal["mm", "in"] = "mm"
    full_scale: float = WIND_FULL_SCALE_M_S
    """Of the wind, m/s: from there on it is `over_range`."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        if not re.fullmatch(r"[A-Z]", self.node):
            yield "node", f'expected one letter from A to Z, read "{self.node}"'
        if not self.full_scale > 0:
            yield "full_scale", f"expected more than 0, read {self.full_scale:g}"
        if self.model == "windsonic" and self.columns:
            yield "columns", "only a maximet has them, not a windsonic"
        if self.model == "maximet":
            yield from self._column_mistakes()

    def _column_mistakes(self) -> Iterator[tuple[str, str]]:
        words = self.words()
        if not words:
            yield "columns", "missing; expected the words behind the MaxiMet's REPORT"
        for word in words:
            if word not in COLUMNS and word not in IGNORED:
                yield "columns", f'"{word}" is not known; write "-" to pass a column over'
        seen: dict[str, str] = {}
        for word in [word for word in words if word in COLUMNS]:
            quantity = self.quantity(word)
            if quantity in seen:
                yield (
                    "columns",
                    f'{seen[quantity]} and {word} are both {quantity}; write "-" for one of them',
                )
            seen[quantity] = word
        if self.mount == "vehicle" and "CDIR" in words and "CSPEED" not in words:
            yield "columns", "CDIR without CSPEED is turned by the compass, yet not true wind"
        if words and "STATUS" not in words:
            yield "columns", "STATUS is missing: without it a broken sensor would go unnoticed"

    def quantity(self, word: str) -> str:
        """What a word of REPORT is published as; words with a C are corrected by the station."""
        quantity = COLUMNS[word].quantity
        return quantity if COLUMNS[word].part & _COMPASS else mounted(quantity, self.mount)

    def words(self) -> list[str]:
        """`columns` without the checksum, which stands behind ETX."""
        words = [word.strip().upper() for word in self.columns]
        return words[:-1] if words[-1:] == ["CHECK"] else words


def match_gill(data: bytearray) -> Verdict:
    """One frame from STX to its checksum."""
    if data[0] != 0x02:
        between = _BETWEEN.match(data)
        if between is not None:
            return Drop(between.end(), noise=False)
        start = _CANDIDATE.search(data)
        return Drop(start.start() if start else len(data))
    body = _BODY.match(data, 1, FRAME_MAX)
    end = body.end() if body else 1
    tail = data[end : end + 3]
    if len(tail) < 3 and (not tail or tail[0] == 0x03) and end < FRAME_MAX:
        return WAIT
    found = _TAIL.fullmatch(tail)
    if found is None:
        return Drop(end)
    if xor8(bytes(data[1:end])) != int(found[1], 16):
        return Drop(1, bad_checksum=True)
    return Take(end + 3, "gill")


class Decoder:
    """Bytes in, samples out."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self._config = config.check()
        self.counters = Counters() if counters is None else counters
        self._framer = Deframer(match_gill, limit=FRAME_MAX + 8, counters=self.counters)
        self._read = self._polar if self._config.model == "windsonic" else self._report
        self._vane = Vane()
        self._said: set[str] = set()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the frames that `data` completes; `at`: monotonic seconds."""
        samples: list[Sample | Fix] = []
        for frame in self._framer.feed(data, at):
            text = frame.data[1:-3].decode("ascii")
            samples += self._read(text, frame.at)
        return samples

    def _polar(self, text: str, at: float) -> list[Sample]:
        match = _POLAR.fullmatch(text)
        if match is None:
            self._say("expected node, direction, speed, unit and status (polar output)", text)
            return self._wind(None, None, Quality.FAULT, at, text)
        if self._is_foreign(match[1]):
            return []
        quality, why = STATUS.get(match[5], (Quality.FAULT, "its status is not known"))
        if why:
            self._say(f"status {match[5]}: {why}", text)
        factor = SPEED.get(match[4])
        if factor is None:
            self._say(f"unit {match[4]} is not known", text)
        if factor is None or match[3] is None or quality is Quality.FAULT:
            return self._wind(None, None, Quality.FAULT, at, text)
        direction = float(match[2]) if match[2] else None
        return self._wind(direction, float(match[3]) * factor, quality, at, text)

    def _wind(
        self, direction: float | None, speed: float | None, quality: Quality, at: float, text: str
    ) -> list[Sample]:
        mount, top = self._config.mount, self._config.full_scale
        of_speed, of_direction = mounted("wind_speed", mount), mounted("wind_direction", mount)
        speeds = sample(of_speed, speed, "m/s", at, text, quality, top)
        if quality is Quality.FAULT:
            return [speeds, sample(of_direction, None, "deg", at, text, quality)]
        return [speeds, self._vane.turned(of_direction, direction, speed, quality, at, text)]

    def _report(self, text: str, at: float) -> list[Sample]:
        words = self._config.words()
        values = text.split(",")
        if values[-1] == "" and len(values) == len(words) + 1:
            values.pop()
        row = dict(zip(words, values, strict=False))
        if self._is_foreign(row.get("NODE", self._config.node)):
            return []
        known = len(values) == len(words) and _CODE.fullmatch(row["STATUS"]) is not None
        if not known:
            self._say(f"{len(values)} columns, configured are {len(words)}, or no STATUS", text)
        status = int(row["STATUS"], 16) if known else 0xFFFF
        if known and status:
            self._say(f"status {row['STATUS']}", text)
        return [
            self._cell(word, row if known else {}, status, at, text)
            for word in words
            if word in COLUMNS and word in row
        ]

    def _cell(self, word: str, row: dict[str, str], status: int, at: float, text: str) -> Sample:
        column, quantity = COLUMNS[word], self._config.quantity(word)
        quality = self._quality(column, row, status)
        value = None if quality is Quality.FAULT else self._value(column, row[word])
        if column.unit == "deg" and column.part & _WIND and quality is not Quality.FAULT:
            speed = self._speed_beside(quantity, row)
            return self._vane.turned(quantity, value, speed, quality, at, text)
        top = self._config.full_scale if column.unit == "m/s" else None
        return sample(quantity, value, column.unit, at, text, quality, top)

    def _quality(self, column: Column, row: dict[str, str], status: int) -> Quality:
        windstat = int(row["WINDSTAT"], 16) if _CODE.fullmatch(row.get("WINDSTAT", "")) else 0
        failed = not row or status & (column.part | _UNKNOWN)
        failed = failed or (column.part & _WIND and windstat & 0x00FF)
        failed = failed or (column.part & _COMPASS and windstat & 0x0200)
        if failed:
            return Quality.FAULT
        building = column.quantity.endswith("_mean") and windstat & 0x0100
        return Quality.WARMUP if building else Quality.GOOD

    def _value(self, column: Column, text: str) -> float | None:
        if not _NUMBER.fullmatch(text):
            return None
        unit = _UNITS[getattr(self._config, column.setting)] if column.setting else 1.0
        return unit(float(text)) if callable(unit) else float(text) * unit

    def _speed_beside(self, quantity: str, row: dict[str, str]) -> float | None:
        wanted = quantity.replace("direction", "speed")
        words = [word for word in row if word in COLUMNS]
        beside = [word for word in words if self._config.quantity(word) == wanted]
        return self._value(COLUMNS[beside[0]], row[beside[0]]) if beside else None

    def _is_foreign(self, node: str) -> bool:
        if node != self._config.node:
            self._say(f"a node {node} speaks, configured is {self._config.node}", "")
        return node != self._config.node

    def _say(self, what: str, text: str) -> None:
        if what not in self._said and len(self._said) < 32:
            self._said.add(what)
            log.warning("gill %s: %s%s", self._config.model, what, text and f": {text}")


class Driver:
    """One instrument on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)
        while True:
            for one in decoder.feed(await port.read(), self._now()):
                emit(one)
