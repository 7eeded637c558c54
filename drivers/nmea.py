"""Positioning receivers that speak NMEA 0183 (2.3 to 4.11): GPS, BeiDou and all others.

RMC GGA GNS GSA GSV VTG GST ZDA GLL TXT of every talker are read, and what `nmea_extra` knows; a Fix
is given for each epoch, with the suspicions of `plausible`.
Nothing is ever written to the receiver.  pynmea2 names a sentence's fields; what they are worth is
judged here, because its `is_valid`, its defaults (an empty latitude is 0.0) and its conversions
(a time with second 60 becomes a string) cannot be trusted.  The only importer of pynmea2.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Annotated

import msgspec
import pynmea2  # type: ignore[import-untyped]

from . import Counters, Emit, Fix, Instrument, Port, nmea_extra
from .epoch import Assembler, Report
from .framing import NMEA_LIMIT, Deframer, Frame, match_nmea
from .plausible import Judge, MotionConfig
from .quiet import listen
from .sky import Sky, system

INSTRUMENT = Instrument(
    title="GNSS receiver, NMEA 0183 / 4.11 (GPS, BeiDou, GLONASS, Galileo, QZSS)",
    evidence="seen on hardware",
    baudrate=9600,
)

KNOT_M_S = 1852 / 3600
KM_H_M_S = 1 / 3.6

_QUALITY = {
    "1": "autonomous",
    "2": "dgnss",
    "3": "pps",
    "4": "rtk_fixed",
    "5": "rtk_float",
    "6": "dr",
    "7": "manual",
    "8": "simulated",
}
"""GGA field 6; 0 is no fix."""
_MODE = {
    "A": "autonomous",
    "D": "dgnss",
    "P": "pps",
    "R": "rtk_fixed",
    "F": "rtk_float",
    "E": "dr",
    "M": "manual",
    "S": "simulated",
}
"""RMC 12, VTG 9, GLL 7, and one letter a system in GNS 6; N is no fix."""
_GNS_RANK = "SRFPDAEM"
"""Which letter of a GNS speaks for all: a simulator never hides, else the best system's."""
_NAV_STATUS = {"U": ("nav_unsafe",), "C": ("nav_caution",)}
"""RMC 13, GNS 13 (4.1 on).  V means that the receiver gives no such status, as most do."""
_ANTENNA = {"OPEN": "antenna_open", "SHORT": "antenna_short", "OK": ""}

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d(?:\.\d*)?)")
_ANGLE = re.compile(r"(\d{1,5})(\.\d*)?")
_DDMMYY = re.compile(r"(\d\d)(\d\d)(\d\d)")
_ANTENNA_TEXT = re.compile(r"ANT(?:STATUS=|ENNA )(OK|OPEN|SHORT)", re.IGNORECASE)

_READ = frozenset((b"RMC", b"GGA", b"GNS", b"GSA", b"GSV", b"VTG", b"GST", b"ZDA", b"GLL", b"TXT"))

ALTITUDE_M = (-500.0, 9000.0)
"""Outside of this, no altitude of a unit on the ground or of its helicopter."""
KNOTS_MAX = 2000.0


class Config(MotionConfig, frozen=True, kw_only=True):
    """Keys of a source with `driver = "nmea"`."""

    uere_m: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    """Range error of an autonomous fix, m, one sigma: `eph` is twice HDOP times this where the
    receiver sends no GST.  4.0 suits one band; 2.5 two bands."""
    quiet_s: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.3
    """An epoch ends when nothing has come for so long."""
    not_before: dt.date = dt.date(2026, 1, 1)
    """No fix can be older: an earlier date is a week number that rolled over, and is moved by
    1024 weeks (flag `week_rollover_corrected`).  Set it back to play old recordings."""


class _Fields:
    """One sentence's fields by pynmea2's names, empty as None, its conversions left alone."""

    def __init__(self, sentence: pynmea2.TalkerSentence) -> None:
        self.kind: str = sentence.sentence_type
        self.talker: str = sentence.talker
        self.data: list[str] = [field.strip() for field in sentence.data]
        self._index: dict[str, int] = type(sentence).name_to_idx

    def text(self, name: str) -> str | None:
        return self.at(self._index[name])

    def at(self, index: int) -> str | None:
        """Fields that pynmea2 has no name for, counted from 0 after the address."""
        return (self.data[index] if index < len(self.data) else "") or None

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """None where the field is empty, malformed or outside of low to high."""
        text = self.text(name)
        if text is None or not _NUMBER.fullmatch(text):
            return None
        value = float(text)
        return value if low <= value <= high else None

    def count(self, name: str) -> int | None:
        value = self.number(name, 0, 999)
        return None if value is None else int(value)

    def second(self) -> float | None:
        """UTC second of the day; 60 is let through, for a leap second."""
        match = _TIME.fullmatch(self.text("timestamp") or "")
        if match is None:
            return None
        hour, minute, second = int(match[1]), int(match[2]), float(match[3])
        if hour > 23 or minute > 59 or second >= 61:
            return None
        return hour * 3600 + minute * 60 + second

    def position(self) -> tuple[float, float] | tuple[None, None]:
        """Degrees, or nothing: both with their letters, in range, and not the null island."""
        lat = _degrees(self.text("lat"), self.text("lat_dir"), "NS", 90)
        lon = _degrees(self.text("lon"), self.text("lon_dir"), "EW", 180)
        if lat is None or lon is None or (lat == 0 and lon == 0):
            return None, None
        return lat, lon


def _degrees(text: str | None, letter: str | None, letters: str, limit: int) -> float | None:
    """dddmm.mmm and its letter to signed degrees."""
    match = _ANGLE.fullmatch(text or "")
    if match is None or letter is None or letter not in letters:
        return None
    whole, fraction = match[1], match[2] or ""
    degrees, minutes = int(whole[:-2] or "0"), float(whole[-2:] + fraction)
    value = degrees + minutes / 60
    if minutes >= 60 or value > limit:
        return None
    return -value if letter == letters[1] else value


def _date(day: str | None, month: str | None, year: str | None) -> dt.date | None:
    """A year of two digits is 1980 (the beginning of GPS) to 2079."""
    if not all(text and text.isdigit() for text in (day, month, year)):
        return None
    value = int(year or "")
    if value < 100:
        value += 1900 if value >= 80 else 2000
    try:
        return dt.date(value, int(month or ""), int(day or ""))
    except ValueError:
        return None


# --- one function a sentence ---


def _rmc(f: _Fields, at: float) -> Report:
    lat, lon = f.position()
    mode, ddmmyy = f.text("mode_indicator"), _DDMMYY.fullmatch(f.text("datestamp") or "")
    knots = f.number("spd_over_grnd", 0, KNOTS_MAX)
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        second=f.second(),
        date=_date(ddmmyy[1], ddmmyy[2], ddmmyy[3]) if ddmmyy else None,
        valid=_status_valid(f.text("status"), mode),
        lat=lat,
        lon=lon,
        speed=None if knots is None else knots * KNOT_M_S,
        track=_track(f.number("true_course", 0, 360)),
        status=_MODE.get(mode or ""),
        flags=_NAV_STATUS.get(f.text("nav_status") or "", ()),
    )


def _gga(f: _Fields, at: float) -> Report:
    lat, lon = f.position()
    alt, flags = _altitude(f)
    status, n_sat = _QUALITY.get(f.text("gps_qual") or ""), f.count("num_sats")
    # Seen on a Hemisphere receiver that was starting: a position measured with no satellite.
    measured = n_sat != 0 or status in ("dr", "manual", "simulated")
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        second=f.second(),
        valid=status is not None and measured,
        lat=lat,
        lon=lon,
        alt=alt,
        geoid_sep=f.number("geo_sep", -200, 200),
        hdop=_dop(f, "horizontal_dil"),
        n_sat=n_sat,
        status=status,
        flags=flags,
    )


def _gns(f: _Fields, at: float) -> Report:
    lat, lon = f.position()
    alt, flags = _altitude(f)
    modes = f.text("mode_indicator") or ""
    letter = next((letter for letter in _GNS_RANK if letter in modes), "")
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        second=f.second(),
        valid=letter != "",
        lat=lat,
        lon=lon,
        alt=alt,
        geoid_sep=f.number("geo_sep", -200, 200),
        hdop=_dop(f, "hdop"),
        n_sat=f.count("num_sats"),
        status=_MODE.get(letter),
        # Field 13, which pynmea2 does not name.
        flags=flags + _NAV_STATUS.get(f.at(12) or "", ()),
    )


def _gll(f: _Fields, at: float) -> Report:
    lat, lon = f.position()
    mode = f.text("faa_mode")
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        second=f.second(),
        valid=_status_valid(f.text("status"), mode),
        lat=lat,
        lon=lon,
        status=_MODE.get(mode or ""),
    )


def _gsa(f: _Fields, at: float) -> Report:
    # Field 18 (4.11) tells the system apart where every talker is GN.
    of = system(f.talker, f.at(17) or "")
    mode = f.text("mode_fix_type")
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        mode=int(mode) if mode in ("1", "2", "3") else None,
        hdop=_dop(f, "hdop"),
        satellites=frozenset(f"{of} {sv}" for sv in f.data[2:14] if sv),
    )


def _gst(f: _Fields, at: float) -> Report:
    lat, lon = f.number("std_dev_latitude", 0), f.number("std_dev_longitude", 0)
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        second=f.second(),
        sigma=math.hypot(lat, lon) if lat is not None and lon is not None else None,
    )


def _vtg(f: _Fields, at: float) -> Report:
    knots = f.number("spd_over_grnd_kts", 0, KNOTS_MAX)
    km_h = f.number("spd_over_grnd_kmph", 0, KNOTS_MAX)
    speed = knots * KNOT_M_S if knots is not None else km_h
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        speed=speed if knots is not None or speed is None else speed * KM_H_M_S,
        track=_track(f.number("true_track", 0, 360)),
        status=_MODE.get(f.text("faa_mode") or ""),
    )


def _zda(f: _Fields, at: float) -> Report:
    return Report(
        kind=f.kind,
        talker=f.talker,
        at=at,
        second=f.second(),
        date=_date(f.text("day"), f.text("month"), f.text("year")),
    )


_REPORTS = {
    "RMC": _rmc,
    "GGA": _gga,
    "GNS": _gns,
    "GLL": _gll,
    "GSA": _gsa,
    "GST": _gst,
    "VTG": _vtg,
    "ZDA": _zda,
}


def _status_valid(status: str | None, mode: str | None) -> bool:
    """A valid, V a warning, which the standard demands for estimated, manual and simulated
    positions as well: those are fixes, marked by their mode."""
    return (status == "A" and mode != "N") or (status == "V" and mode in ("E", "M", "S"))


def _track(degrees: float | None) -> float | None:
    return 0.0 if degrees == 360 else degrees


def _dop(f: _Fields, name: str) -> float | None:
    """99.9, 99.99 and 0 are the receivers' ways to say that they do not know."""
    value = f.number(name, 0, 99)
    return value if value and value < 99 else None


def _altitude(f: _Fields) -> tuple[float | None, tuple[str, ...]]:
    alt = f.number("altitude")
    if alt is not None and not ALTITUDE_M[0] <= alt <= ALTITUDE_M[1]:
        return None, ("altitude_rejected",)
    return alt, ()


class Decoder:
    """Bytes of a receiver in, one Fix an epoch out.  Pure; never raises on what it reads."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        config = Config() if config is None else config
        self.counters = Counters() if counters is None else counters
        self._framer = Deframer(match_nmea, limit=NMEA_LIMIT, counters=self.counters)
        self._epochs = Assembler(uere_m=config.uere_m, not_before=config.not_before)
        self._sky = Sky()
        self._judge = Judge(config.speed_max_m_s)
        self._alarms: dict[str, str] = {}
        """What the receiver says of its antenna, of spoofing and of jamming."""
        self._settled = True

    @property
    def pending(self) -> bool:
        """Whether `flush` would do anything: what comes later could complete what is here."""
        return not self._settled and (self._epochs.open or self._framer.waiting > 0)

    def feed(self, data: bytes, at: float) -> list[Fix]:
        """The fixes that `data`, read at monotonic time `at`, completes."""
        self._settled = False
        return self._take(self._framer.feed(data, at))

    def flush(self, at: float) -> list[Fix]:
        """The line has been quiet up to `at`, or is at its end: close the open epoch."""
        self._settled = True
        return self._take(self._framer.settle()) + self._seen(self._epochs.flush(), at)

    def _take(self, frames: list[Frame]) -> list[Fix]:
        fixes: list[Fix] = []
        for frame in frames:
            if frame.kind == "ubx":
                self._alarms.update([found] if (found := nmea_extra.suspicion(frame.data)) else [])
            elif frame.kind not in ("nmea", "unicore"):
                continue
            elif (report := nmea_extra.sentence(frame.data, frame.at)) is not None:
                fixes += self._seen(self._epochs.add(report), frame.at)
            elif (fields := _parse(frame.data)) is not None:
                fixes += self._seen(self._sentence(fields, frame.at), frame.at)
        return fixes

    def _sentence(self, fields: _Fields, at: float) -> list[Fix]:
        if fields.kind in _REPORTS:
            return self._epochs.add(_REPORTS[fields.kind](fields, at))
        if fields.kind == "GSV":
            self._sky.add(fields.talker, fields.data, at)
        elif match := _ANTENNA_TEXT.search(fields.text("text") or ""):
            self._alarms["antenna"] = _ANTENNA[match[1].upper()]
        return []

    def _seen(self, fixes: list[Fix], at: float) -> list[Fix]:
        if not fixes:
            return []
        n_seen, strengths = self._sky.count(at), self._sky.strengths(at)
        alarms = tuple(flag for flag in self._alarms.values() if flag)
        return [
            self._judge.judge(
                msgspec.structs.replace(fix, n_seen=n_seen, flags=fix.flags + alarms), strengths
            )
            for fix in fixes
        ]


def _parse(data: bytes) -> _Fields | None:
    """A sentence that we read; None for all others, proprietary ones among them."""
    if data[0:1] != b"$" or data[1:2] == b"P" or data[3:6] not in _READ:
        return None
    try:
        sentence = pynmea2.parse(data.decode("ascii"), check=True)
        return _Fields(sentence) if isinstance(sentence, pynmea2.TalkerSentence) else None
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        return None


class Driver:
    """Runs one receiver; see drivers/__init__.py."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self._config, self.counters)
        await listen(port, emit, decoder, self._config.quiet_s)
