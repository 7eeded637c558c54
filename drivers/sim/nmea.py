"""Twin of a GNSS receiver that speaks NMEA 0183 4.11: GPS and BeiDou, one burst per epoch.

RMC, GGA, GSA and GSV for each system, VTG, GST, ZDA; 9600 8N1; checksum XOR between `$` and `*`.
WGS-84.  The sky is what stands above central China, and stands still.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from drivers.sim.line import Line

_KNOTS_PER_M_S = 3600 / 1852
_SLOW_M_S = 0.3
"""Below this speed a receiver gives no course."""

_GEOID_SEP_M = -12.1
"""EGM96 geoid above the ellipsoid at Wuhan."""

_DILUTION_UNKNOWN = "99.99"
_UNUSED_IN_VIEW = 2
"""Low satellites that are seen and not used, per system."""


class Satellite(msgspec.Struct, frozen=True):
    """One satellite: number in its system, elevation and azimuth in degrees, C/N0 in dB-Hz."""

    sv: int
    elevation: int
    azimuth: int
    cn0: int


# The first ones are used first.  Signal 1 of both: L1 C/A and B1I.  C40 has no C/N0: real receivers
# send such a field empty now and then, and a reader must bear it.
GPS_SKY = (
    Satellite(6, 62, 338, 44),
    Satellite(9, 48, 215, 42),
    Satellite(11, 37, 68, 40),
    Satellite(16, 25, 134, 36),
    Satellite(20, 18, 42, 34),
    Satellite(29, 12, 302, 30),
    Satellite(4, 55, 172, 43),
    Satellite(3, 41, 261, 41),
    Satellite(17, 33, 12, 38),
    Satellite(7, 22, 190, 35),
    Satellite(26, 15, 245, 32),
    Satellite(30, 9, 108, 28),
    Satellite(31, 7, 325, 26),
    Satellite(1, 6, 155, 24),
)
BEIDOU_SKY = (
    Satellite(19, 45, 120, 38),
    Satellite(22, 60, 200, 41),
    Satellite(36, 20, 310, 30),
    Satellite(40, 15, 50, 0),
    Satellite(44, 10, 50, 25),
    Satellite(60, 12, 60, 22),
    Satellite(1, 43, 132, 37),
    Satellite(3, 53, 187, 40),
    Satellite(2, 37, 238, 36),
    Satellite(6, 66, 8, 42),
    Satellite(9, 58, 334, 41),
    Satellite(16, 70, 352, 43),
    Satellite(27, 31, 92, 39),
    Satellite(30, 26, 275, 34),
)
N_SAT_MAX = 24
"""Twelve of each system: what one GSA sentence holds."""

GPS, BEIDOU = ("GP", 1, GPS_SKY), ("GB", 4, BEIDOU_SKY)
"""Talker of GSV, system id of GSA, sky."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver's antenna feels: degrees WGS-84, m, m/s, degrees true."""

    lat: float = 30.5930667
    lon: float = 114.30585
    alt: float = 23.4
    """Above mean sea level, m."""
    speed: float = 0.0
    track: float | None = None
    n_sat: int = 18
    hdop: float = 0.72
    valid: bool = True


def sentence(*fields: str) -> bytes:
    """`$`, the fields, `*`, checksum, CR LF."""
    body = ",".join(fields).encode("ascii")
    checksum = 0
    for byte in body:
        checksum ^= byte
    return b"$%s*%02X\r\n" % (body, checksum)


def _angle(degrees: float, digits: int, hemispheres: str) -> tuple[str, str]:
    """ddmm.mmmmm and its letter; rounded in one step, so that no 60.00000 minutes appear."""
    units = math.floor(abs(degrees) * 60 * 100_000 + 0.5)
    whole, rest = divmod(units, 60 * 100_000)
    minutes, fraction = divmod(rest, 100_000)
    letter = hemispheres[1] if degrees < 0 else hemispheres[0]
    return f"{whole:0{digits}d}{minutes:02d}.{fraction:05d}", letter


def _clock(when: datetime) -> str:
    return f"{when:%H%M%S}.{when.microsecond // 10_000:02d}"


def rmc(state: State, when: datetime, talker: str = "GN") -> bytes:
    """Recommended minimum, with the navigational status V of a receiver that gives none."""
    if not state.valid:
        return sentence(f"{talker}RMC", "", "V", *[""] * 9, "N", "V")
    speed, track = _motion(state)
    place = (*_angle(state.lat, 2, "NS"), *_angle(state.lon, 3, "EW"))
    date = f"{when:%d%m%y}"
    return sentence(f"{talker}RMC", _clock(when), "A", *place, speed, track, date, "", "", "A", "V")


def gga(state: State, when: datetime, talker: str = "GN", geoid_sep: float = _GEOID_SEP_M) -> bytes:
    """Fix data; quality 1 (standard positioning) or 0."""
    if not state.valid:
        return sentence(f"{talker}GGA", *[""] * 5, "0", "00", _DILUTION_UNKNOWN, *[""] * 6)
    place = (*_angle(state.lat, 2, "NS"), *_angle(state.lon, 3, "EW"))
    quality = ("1", f"{state.n_sat:02d}", f"{state.hdop:.2f}")
    height = (f"{state.alt:.1f}", "M", f"{geoid_sep:.1f}", "M")
    return sentence(f"{talker}GGA", _clock(when), *place, *quality, *height, "", "")


def gsa(state: State, satellites: Sequence[Satellite], system: int, talker: str = "GN") -> bytes:
    """Dilution of precision and the satellites used of one system (at most 12)."""
    if not state.valid:
        unknown = [_DILUTION_UNKNOWN] * 3
        return sentence(f"{talker}GSA", "A", "1", *[""] * 12, *unknown, str(system))
    used = [f"{satellite.sv:02d}" for satellite in satellites]
    vdop = state.hdop * 1.58
    dilutions = (math.hypot(state.hdop, vdop), state.hdop, vdop)
    return sentence(
        f"{talker}GSA",
        "A",
        "3" if state.n_sat >= 4 else "2",
        *used,
        *[""] * (12 - len(used)),
        *(f"{dilution:.2f}" for dilution in dilutions),
        str(system),
    )


def gsv(satellites: Sequence[Satellite], talker: str, signal: str = "1") -> list[bytes]:
    """Satellites in view of one system, four a sentence; C/N0 is empty where it is not tracked."""
    groups = [satellites[first : first + 4] for first in range(0, len(satellites), 4)] or [()]
    return [
        sentence(
            f"{talker}GSV",
            str(len(groups)),
            str(index),
            f"{len(satellites):02d}",
            *(
                field
                for satellite in group
                for field in (
                    f"{satellite.sv:02d}",
                    f"{satellite.elevation:02d}",
                    f"{satellite.azimuth:03d}",
                    f"{satellite.cn0:02d}" if satellite.cn0 else "",
                )
            ),
            signal,
        )
        for index, group in enumerate(groups, 1)
    ]


def vtg(state: State, talker: str = "GN") -> bytes:
    """Course and speed over ground."""
    if not state.valid:
        return sentence(f"{talker}VTG", *[""] * 8, "N")
    speed, track = _motion(state)
    km_h = f"{state.speed * 3.6:.2f}"
    return sentence(f"{talker}VTG", track, "T", "", "M", speed, "N", km_h, "K", "A")


def gst(state: State, when: datetime, talker: str = "GN") -> bytes:
    """Error statistics in m, one sigma, in fixed proportion to HDOP."""
    if not state.valid:
        return sentence(f"{talker}GST", *[""] * 8)
    rms, major, minor = (f"{state.hdop * factor:.1f}" for factor in (1.7, 2.9, 1.95))
    deviations = (f"{state.hdop * factor:.1f}" for factor in (2.5, 2.25, 4.5))
    return sentence(f"{talker}GST", _clock(when), rms, major, minor, "45.0", *deviations)


def zda(state: State, when: datetime, talker: str = "GN") -> bytes:
    """UTC date and time, zone 00:00."""
    if not state.valid:
        return sentence(f"{talker}ZDA", *[""] * 6)
    return sentence(
        f"{talker}ZDA", _clock(when), f"{when:%d}", f"{when:%m}", f"{when:%Y}", "00", "00"
    )


def _motion(state: State) -> tuple[str, str]:
    """Speed in knots and course, empty when slow or unknown."""
    moving = state.track is not None and state.speed >= _SLOW_M_S
    # After rounding: 359.96 must not become 360.0.
    course = f"{round(state.track or 0.0, 1) % 360:.1f}" if moving else ""
    return f"{state.speed * _KNOTS_PER_M_S:.2f}", course


def epoch(
    state: State, when: datetime, *, beidou: bool = True, geoid_sep: float = _GEOID_SEP_M
) -> list[bytes]:
    """All sentences of one epoch, in the order in which a receiver sends them."""
    talker = "GN" if beidou else "GP"
    n_beidou = (state.n_sat + 1) // 2 if beidou else 0
    systems = [(GPS, state.n_sat - n_beidou)] + ([(BEIDOU, n_beidou)] if beidou else [])
    sent = [rmc(state, when, talker), gga(state, when, talker, geoid_sep)]
    sent += [gsa(state, sky[:used], system, talker) for (_, system, sky), used in systems]
    for (gsv_talker, _, sky), used in systems:
        sent += gsv(sky[: used + _UNUSED_IN_VIEW] if state.valid else (), gsv_talker)
    return [*sent, vtg(state, talker), gst(state, when, talker), zda(state, when, talker)]


class Twin:
    """One receiver on `line`; an epoch at each full `1 / rate_hz` of `utc()`.

    `beidou=False` plays a GPS-only receiver (talker GP, at most 12 satellites).
    """

    def __init__(
        self,
        line: Line,
        *,
        rate_hz: float = 1.0,
        beidou: bool = True,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        geoid_sep: float = _GEOID_SEP_M,
    ) -> None:
        if not 0.1 <= rate_hz <= 10:
            raise ValueError(f"rate_hz is {rate_hz}, expected 0.1 to 10")
        self._line = line
        self._period = timedelta(seconds=1 / rate_hz)
        self._beidou = beidou
        self._utc = utc
        self._geoid_sep = geoid_sep
        self.state = State() if beidou else State(n_sat=9)

    def set(self, **values: float | None) -> None:
        """lat, lon (degrees), alt (m), speed (m/s), track (degrees), n_sat, hdop, valid.

        A lat or lon of None is `valid=False`, a fix lost until `valid=True`; a track of None is no
        course.
        ValueError: an unknown name or a value that no receiver gives.
        """
        for name, value in values.items():
            if name not in State.__struct_fields__:
                known = ", ".join(State.__struct_fields__)
                raise ValueError(f"a GNSS receiver has no {name!r}, only {known}")
            self._check(name, value)
        lost = any(values.get(name, 0.0) is None for name in ("lat", "lon"))
        changes: dict[str, float | None] = {
            name: value for name, value in values.items() if value is not None or name == "track"
        }
        if lost:
            changes["valid"] = False
        if "n_sat" in changes:
            changes["n_sat"] = int(changes["n_sat"] or 0)
        if "valid" in changes:
            changes["valid"] = bool(changes["valid"])
        self.state = msgspec.structs.replace(self.state, **changes)

    def epoch(self, when: datetime) -> list[bytes]:
        """The sentences of the epoch `when` (UTC), with the values as they are now."""
        return epoch(self.state, when, beidou=self._beidou, geoid_sep=self._geoid_sep)

    async def run(self) -> None:
        """Speak until cancelled."""
        last: datetime | None = None
        while True:
            now = self._utc()
            due = _grid_after(now, self._period)
            # A sleep may end just before its time by this clock: then the same epoch is due again.
            if due == last:
                due += self._period
            await asyncio.sleep((due - now).total_seconds())
            last = due
            for sent in self.epoch(due):
                await self._line.write(sent)

    def _check(self, name: str, value: float | None) -> None:
        if value is None:
            if name in ("lat", "lon", "track"):
                return
            raise ValueError(f"{name} is None, expected a number")
        n_sat_max = N_SAT_MAX if self._beidou else N_SAT_MAX // 2
        low, high = {
            "lat": (-90.0, 90.0),
            "lon": (-180.0, 180.0),
            "alt": (-500.0, 100_000.0),
            "speed": (0.0, 515.0),
            "track": (0.0, 360.0),
            "n_sat": (0, n_sat_max),
            "hdop": (0.0, 99.99),
            "valid": (0, 1),
        }[name]
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}, expected {low} to {high}")


def _grid_after(now: datetime, period: timedelta) -> datetime:
    """The next multiple of `period` within the day of `now`, later than `now`."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((now - midnight) // period + 1) * period
