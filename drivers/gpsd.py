"""gpsd as the positioning receiver: its JSON over TCP (gpsd_json(5), protocol 3).

For a receiver that gpsd owns already, or one that speaks no NMEA: the agent must never open the
same line.  TPV gives the fix, SKY the satellites, GST its error, ATT a heading; all but class and
mode may be missing.  WATCH is the only thing that is ever written.  A line of JSON carries no check
of its own; TCP's must do.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import time
from typing import Annotated, Any

import msgspec

from . import Counters, Emit, Fix, Instrument, Port, Quality
from .epoch import NO_FIX_PERIOD_S
from .framing import WAIT, Deframer, Drop, Frame, Take, Verdict
from .plausible import Judge, MotionConfig

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="gpsd 3.x, JSON over TCP: any receiver that gpsd reads",
    evidence="from datasheet",
)

PROBES: tuple[dict[str, object], ...] = ()
"""It speaks only when asked, and never on a serial line."""

WATCH = b'?WATCH={"enable":true,"json":true};\n'
LINE_MAX = 64 * 1024
"""gpsd's own ceiling is 10240 characters, 4096 before 3.20."""
PROTOCOL_MAJOR = 3
RECENT_S = 10.0
"""Satellites of an older SKY are not this fix's; a device silent for so long may be replaced."""
ATTITUDE_S = 1.0
COMPLAINTS_MAX = 16

_STATUS = {
    1: "autonomous",
    2: "dgnss",
    3: "rtk_fixed",
    4: "rtk_float",
    5: "dr",
    6: "autonomous",  # GNSS with dead reckoning behind it
    7: "manual",  # a surveyed place, given while only the time is measured
    8: "simulated",
    9: "pps",
}
_KNOWN = frozenset(("VERSION", "DEVICES", "TPV", "SKY", "GST", "ATT", "ERROR"))


class Config(MotionConfig, frozen=True, kw_only=True):
    """Keys of a source with `driver = "gpsd"`; its port is `tcp://HOST:2947`."""

    device: str = ""
    """Which of gpsd's receivers, by its path; default: the first that has a position."""
    quiet_s: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1
    """A fix waits so long for the GST that belongs to it."""


Table = dict[str, Any]


class Decoder:
    """Bytes of gpsd in, one Fix an epoch out.  Pure; never raises on what it reads."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self._config = Config() if config is None else config
        self.counters = Counters() if counters is None else counters
        self._framer = Deframer(match_json, limit=LINE_MAX + 2, counters=self.counters)
        self._judge = Judge(self._config.speed_max_m_s)
        self._device = self._config.device
        self._heard = -math.inf
        self._held: tuple[Table, float] | None = None
        self._given: str | None = None
        """The time of the last fix: gpsd repeats itself when a receiver has more to say."""
        self._no_fix_at = -math.inf
        self._sky: tuple[Table, float] = ({}, -math.inf)
        self._gst: Table = {}
        self._attitude: tuple[Table, float] = ({}, -math.inf)
        self._said: set[str] = set()

    @property
    def pending(self) -> bool:
        """Whether `flush` would do anything."""
        return self._held is not None

    def feed(self, data: bytes, at: float) -> list[Fix]:
        """The fixes that `data`, read at monotonic time `at`, completes."""
        return [fix for frame in self._framer.feed(data, at) for fix in self._line(frame)]

    def flush(self, at: float) -> list[Fix]:
        """The line has been quiet up to `at`: nothing more belongs to the fix that is held."""
        held, self._held = self._held, None
        return [] if held is None else self._fix(*held)

    def _line(self, frame: Frame) -> list[Fix]:
        table, kind = _table(frame.data), _class(frame.data)
        if kind not in _KNOWN:
            return []
        if kind in ("VERSION", "DEVICES", "ERROR"):
            self._service(kind, table)
            return []
        if not self._listens_to(table, kind, frame.at):
            return []
        fixes: list[Fix] = []
        match kind:
            case "TPV":
                held = self._held
                if held is not None and _same_time(held[0], table):
                    # gpsd says more of the same instant, as it learns how a receiver's cycle ends.
                    self._held = (table, held[1])
                else:
                    fixes = self.flush(frame.at)
                    self._held = (table, frame.at)
            case "SKY":
                # The short ones between carry dilutions only.
                if "satellites" in table or "nSat" in table:
                    self._sky = (table, frame.at)
            case "GST":
                self._gst = table
            case "ATT":
                self._attitude = (table, frame.at)
        return fixes

    def _service(self, kind: str, table: Table) -> None:
        if kind == "VERSION" and table.get("proto_major") != PROTOCOL_MAJOR:
            self._complain(f"speaks protocol {table.get('proto_major')}, expected 3")
        elif kind == "DEVICES" and table.get("devices") == []:
            self._complain("has no receiver")
        elif kind == "ERROR":
            self._complain(f"says: {str(table.get('message'))[:200]}")

    def _complain(self, what: str) -> None:
        if what not in self._said and len(self._said) < COMPLAINTS_MAX:
            self._said.add(what)
            log.warning("gpsd %s", what)

    def _listens_to(self, table: Table, kind: str, at: float) -> bool:
        """One receiver: two that are mixed would make the unit jump between two places."""
        device = table.get("device")
        if not isinstance(device, str) or not device:
            return True
        if device == self._device:
            self._heard = at
            return True
        if self._config.device:
            return False
        if self._device and at - self._heard <= RECENT_S:
            self._complain(f"has more receivers than {self._device}; not listened to: {device}")
            return False
        if kind != "TPV" or _place(table) is None:
            return not self._device
        self._device, self._heard = device, at
        return True

    def _fix(self, table: Table, at: float) -> list[Fix]:
        moment, place = _time(table.get("time")), _place(table)
        if place is None:
            if at - self._no_fix_at < NO_FIX_PERIOD_S:
                return []
            self._no_fix_at = at
            return [Fix(mode=1, at=at, status="none", n_sat=self._satellites(at)[0])]
        if moment is not None and moment == self._given:
            return []
        self._given, self._no_fix_at = moment, -math.inf
        status = _STATUS.get(_whole(table, "status") or 1, "autonomous")
        eph, basis = self._error(table)
        n_sat, n_seen = self._satellites(at)
        sky, sky_at = self._sky
        fix = Fix(
            mode=_whole(table, "mode") or 2,
            at=at,
            time=moment,
            lat=place[0],
            lon=place[1],
            alt=_altitude(table),
            geoid_sep=_number(table, "geoidSep", -200, 200),
            speed=_number(table, "speed", 0, 1100),
            track=_degrees(table, "track"),
            heading=self._heading(at),
            eph=eph,
            eph_basis=basis,
            hdop=_number(sky, "hdop", 0.01, 98.9) if at - sky_at <= RECENT_S else None,
            n_sat=n_sat,
            n_seen=n_seen,
            status=status,
            quality=Quality.SIMULATED if status == "simulated" else Quality.GOOD,
        )
        return [self._judge.judge(fix, self._strengths(at))]

    def _error(self, table: Table) -> tuple[float | None, str | None]:
        """95 % radius, m.  Of GST, which is one sigma, only that of the same instant."""
        lat, lon = _number(self._gst, "lat", 0), _number(self._gst, "lon", 0)
        if _same_time(self._gst, table) and lat is not None and lon is not None:
            return round(2 * math.hypot(lat, lon), 3), "gst"
        eph = _number(table, "eph", 0)
        x, y = _number(table, "epx", 0), _number(table, "epy", 0)
        if eph is None and x is not None and y is not None:
            eph = round(math.hypot(x, y), 3)
        return (None, None) if eph is None else (eph, "gpsd")

    def _heading(self, at: float) -> float | None:
        table, heard = self._attitude
        return _degrees(table, "heading") if at - heard <= ATTITUDE_S else None

    def _satellites(self, at: float) -> tuple[int | None, int | None]:
        """Used, in view."""
        sky, heard = self._sky
        if at - heard > RECENT_S:
            return None, None
        listed = _listed(sky)
        used, seen = _whole(sky, "uSat"), _whole(sky, "nSat")
        if listed is not None:
            used = sum(one.get("used") is True for one in listed) if used is None else used
            seen = len(listed) if seen is None else seen
        return used, seen

    def _strengths(self, at: float) -> list[float]:
        sky, heard = self._sky
        if at - heard > RECENT_S:
            return []
        values = (_number(one, "ss", 0.1, 99) for one in _listed(sky) or [])
        return [value for value in values if value is not None]


def match_json(data: bytearray) -> Verdict:
    """A line that is a JSON object with a class; behind noise in the same line, it is found too."""
    end = data.find(b"\n")
    if end < 0:
        return WAIT if len(data) <= LINE_MAX else Drop(len(data))
    line = bytes(data[: end + 1])
    if not line.strip():
        return Drop(end + 1, noise=False)
    if _class(line):
        return Take(end + 1, "json")
    again = line.find(b'{"class"', 1)
    return Drop(again if again > 0 else end + 1, bad_checksum=True)


def _table(line: bytes) -> Table:
    """Empty where it is none."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _class(line: bytes) -> str:
    found = _table(line).get("class")
    return found if isinstance(found, str) else ""


def _number(table: Table, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
    """None where it is missing, no number or outside of low to high."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value) if math.isfinite(value) else None


def _whole(table: Table, key: str) -> int | None:
    value = _number(table, key, 0, 999)
    return None if value is None else int(value)


def _degrees(table: Table, key: str) -> float | None:
    value = _number(table, key, 0, 360)
    return None if value is None else value % 360


def _altitude(table: Table) -> float | None:
    """Above mean sea level; `alt` was that in gpsd before 3.20, which had no altMSL."""
    key = "altMSL" if "altMSL" in table or "altHAE" in table else "alt"
    return _number(table, key, -500, 9000)


def _place(table: Table) -> tuple[float, float] | None:
    """Degrees, where the mode says that they hold; not the null island."""
    lat, lon = _number(table, "lat", -90, 90), _number(table, "lon", -180, 180)
    if _whole(table, "mode") not in (2, 3) or lat is None or lon is None:
        return None
    return None if lat == 0 and lon == 0 else (lat, lon)


def _time(text: object) -> str | None:
    """ISO 8601 with milliseconds and Z."""
    if not isinstance(text, str) or not text.endswith("Z"):
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _same_time(one: Table, other: Table) -> bool:
    return one.get("time") is not None and one.get("time") == other.get("time")


def _listed(sky: Table) -> list[Table] | None:
    found = sky.get("satellites")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else None


class Driver:
    """Runs one gpsd; see drivers/__init__.py."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: gpsd is lost."""
        decoder = Decoder(self._config, self.counters)
        await port.write(WATCH)
        while True:
            try:
                async with asyncio.timeout(self._config.quiet_s if decoder.pending else None):
                    data = await port.read()
            except TimeoutError:
                fixes = decoder.flush(time.monotonic())
            else:
                fixes = decoder.feed(data, time.monotonic())
            for fix in fixes:
                emit(fix)
