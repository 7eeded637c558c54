"""Reports of a positioning receiver put together: all that it says of one instant is one Fix.

Pure: time is an argument.  An epoch is the set of reports with the same UTC time, and reports
without a time join the epoch that is open.  It is closed, and its Fix given, at the first of

* all that the last two epochs brought is here too (so a Fix waits for no timer and no next epoch);
* a report of another time, or one that this epoch has already had from the same talker;
* `flush`: the line fell quiet.

What comes after that for the same instant is its tail: it makes no second Fix, but is learned.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, deque
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from . import Fix, Quality

_T = TypeVar("_T")

ROLLOVER_DAYS = 7168
"""1024 weeks: the GPS week number has ten bits (IS-GPS-200)."""
NO_FIX_PERIOD_S = 0.9
"""Fixes of mode 1 come at most once a second; a little less, so that jitter does not halve it."""
REPORTS_MAX = 64
"""A receiver that never gives a time cannot fill the memory."""

UERE_M = {
    "autonomous": 4.0,
    "pps": 2.5,
    "dgnss": 2.5,  # GGA 2 is SBAS as often as a base station: the worse of the two
    "rtk_float": 0.3,
    "rtk_fixed": 0.03,
}
"""Range error, m, one sigma, that HDOP multiplies, by status; a status not here has none."""

_POSITION_RANK = {"GLL": 0, "RMC": 1, "GNS": 2, "GGA": 3}
_STATUS_RANK = (
    "simulated",
    "manual",
    "dr",
    "rtk_fixed",
    "rtk_float",
    "pps",
    "dgnss",
    "autonomous",
)
"""The first of these that a report of the epoch says is the epoch's: what is not a live
measurement must not hide behind a sentence that cannot say so."""
_ONCE = frozenset({"RMC", "GGA", "GNS", "GLL", "ZDA", "GST", "UBX"})
_HEADINGS = frozenset({"HDT", "THS", "AVR", "UNI"})
"""Kinds of `nmea_extra` that give a heading, as often as they like in an epoch; UBX is PUBX,00."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one sentence says, checked and in our units; None where it says nothing."""

    kind: str
    """RMC, GGA ...: the sentence's formatter."""
    talker: str
    at: float
    second: float | None = None
    """UTC second of the day, 0 to 86401 (a leap second)."""
    date: dt.date | None = None
    valid: bool | None = None
    """Whether it says that the position is valid."""
    lat: float | None = None
    lon: float | None = None
    alt: float | None = None
    geoid_sep: float | None = None
    speed: float | None = None
    track: float | None = None
    hdop: float | None = None
    mode: int | None = None
    n_sat: int | None = None
    satellites: frozenset[str] = frozenset()
    status: str | None = None
    sigma: float | None = None
    """Horizontal error, m, one sigma (distance root mean square)."""
    accuracy: float | None = None
    """The receiver's own estimate of its horizontal error, m, one sigma."""
    heading: float | None = None
    """Where the line between two antennas points, degrees true."""
    flags: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return self.talker + self.kind

    @property
    def key(self) -> int | None:
        """The instant in hundredths: some receivers give one more digit in GLL than in GGA."""
        return None if self.second is None else round(self.second * 100)


class Calendar:
    """The date of each instant, also of those whose sentences give only a time of day."""

    def __init__(self, not_before: dt.date) -> None:
        self._not_before = not_before
        self._date: dt.date | None = None
        self._second = 0.0
        self._corrected = False

    def hint(self, second: float | None, date: dt.date) -> None:
        """A date without a fix comes from the receiver's own clock: better than none, no more."""
        if self._date is None and second is not None and date >= self._not_before:
            self._date, self._second = date, second

    def stamp(self, second: float | None, date: dt.date | None) -> tuple[str | None, list[str]]:
        """ISO 8601 UTC and the flags that go with it; None while no date is known."""
        if second is None:
            return None, []
        if date is not None:
            self._date = self._rolled(date)
        elif self._date is not None and second < self._second - 43200:
            self._date += dt.timedelta(days=1)
        if self._date is None:
            return None, []
        self._second = second
        flags = ["week_rollover_corrected"] if self._corrected else []
        milliseconds = round(second * 1000)
        if second >= 86400:
            # No datetime of any language can hold 23:59:60.
            milliseconds = 86_399_999
            flags.append("leap_second")
        moment = dt.datetime.combine(self._date, dt.time()) + dt.timedelta(
            milliseconds=milliseconds
        )
        return moment.isoformat(timespec="milliseconds") + "Z", flags

    def _rolled(self, date: dt.date) -> dt.date:
        self._corrected = date < self._not_before
        while date < self._not_before:
            date += dt.timedelta(days=ROLLOVER_DAYS)
        return date


class _Epoch:
    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.counts: Counter[str] = Counter()
        self.key: int | None = None
        self.closed = False
        self.quiet = False

    def add(self, report: Report) -> None:
        if self.key is None:
            self.key = report.key
        if len(self.reports) < REPORTS_MAX:
            self.reports.append(report)
        self.counts[report.address] += 1

    def needed(self) -> Counter[str]:
        """The sentences that the Fix depends on: for no others does it wait."""
        kinds = {address[-3:] for address in self.counts}
        wanted = {"RMC", "GGA", "GNS", "GSA", "GST", "UBX", *_HEADINGS}
        if "RMC" not in kinds:
            wanted.add("VTG")
        if not kinds & {"RMC", "GGA", "GNS"}:
            wanted.add("GLL")
        return Counter(
            {a: 1 if a[-3:] in _HEADINGS else n for a, n in self.counts.items() if a[-3:] in wanted}
        )


class Assembler:
    """Reports in, one Fix an epoch out."""

    def __init__(self, *, uere_m: float, not_before: dt.date) -> None:
        self._uere_m = UERE_M | {"autonomous": uere_m}
        self._calendar = Calendar(not_before)
        self._epoch = _Epoch()
        self._before = _Epoch()
        self._history: deque[Counter[str]] = deque(maxlen=2)
        self._first = ""
        self._no_fix_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether `flush` would do anything."""
        return bool(self._epoch.counts) and not self._epoch.quiet

    def add(self, report: Report) -> list[Fix]:
        fixes: list[Fix] = []
        if self._begins(report):
            fixes += self._close()
            self._history.append(self._epoch.needed())
            quiet, self._before, self._epoch = self._epoch.quiet, self._epoch, _Epoch()
            if quiet:
                self._first = report.address
        if report.kind == "ZDA" and report.date is not None:
            self._calendar.hint(report.second, report.date)
        joined = self._epoch.key is None and report.key is not None
        self._epoch.add(report)
        if joined and self._continues_the_one_before():
            self._epoch.closed = True
        if not self._epoch.closed and self._is_complete():
            fixes += self._close()
        return fixes

    def flush(self) -> list[Fix]:
        """The line is quiet, or at its end: nothing more will come for this epoch."""
        fixes = self._close()
        self._epoch.quiet = bool(self._epoch.counts)
        return fixes

    def _begins(self, report: Report) -> bool:
        epoch = self._epoch
        if not epoch.counts:
            return False
        if report.kind in _ONCE and epoch.counts[report.address]:
            return True
        if report.key is not None and epoch.key is not None:
            return report.key != epoch.key
        if report.key is not None:
            return epoch.quiet
        # Without a time: what the receiver sends first after a pause begins its next epoch.
        return epoch.quiet or (epoch.closed and report.address == self._first)

    def _continues_the_one_before(self) -> bool:
        """A pause of the host in the middle of an epoch is not the end of it."""
        epoch, before = self._epoch, self._before
        repeated = any(a[-3:] in _ONCE and before.counts[a] for a in epoch.counts)
        return before.closed and epoch.key == before.key and not repeated

    def _is_complete(self) -> bool:
        if len(self._history) < 2:
            return False
        expected = self._history[0] | self._history[1]
        return bool(expected) and expected <= self._epoch.counts

    def _close(self) -> list[Fix]:
        epoch = self._epoch
        if epoch.closed or not epoch.counts:
            return []
        epoch.closed = True
        if all(report.valid is None for report in epoch.reports):
            return []  # satellites, dilutions or the time alone say nothing of a position
        fix = self._fix(epoch.reports)
        if fix.mode > 1:
            self._no_fix_at = None
        elif self._no_fix_at is not None and fix.at - self._no_fix_at < NO_FIX_PERIOD_S:
            return []
        else:
            self._no_fix_at = fix.at
        return [fix]

    def _fix(self, reports: list[Report]) -> Fix:
        positions = [r for r in reports if r.valid and r.lat is not None]
        dops = [r.mode for r in reports if r.mode is not None]
        warned = any(r.kind == "RMC" and r.valid is False for r in reports)
        flags = [flag for r in reports for flag in r.flags]
        at = reports[0].at
        if not positions or warned or (dops and max(dops) < 2):
            n_sat = _first(r.n_sat for r in reports)
            return Fix(mode=1, at=at, status="none", n_sat=n_sat, flags=_unique(flags))
        ranked = sorted(reports, key=lambda r: -_POSITION_RANK.get(r.kind, -1))
        place = max(positions, key=lambda r: _POSITION_RANK[r.kind])
        alt = _first(r.alt for r in ranked if r.valid)
        status = _status(reports)
        dates = sorted((r for r in reports if r.date is not None), key=lambda r: r.kind != "ZDA")
        time, time_flags = self._calendar.stamp(
            _first(r.second for r in ranked), dates[0].date if dates else None
        )
        hdop = _first(r.hdop for r in ranked)
        eph, basis = self._error(reports, hdop, status)
        return Fix(
            mode=max(dops) if dops else 3 if alt is not None else 2,
            at=at,
            time=time,
            lat=place.lat,
            lon=place.lon,
            alt=alt,
            geoid_sep=_first(r.geoid_sep for r in ranked if r.valid),
            speed=_first(r.speed for r in ranked),
            track=_first(r.track for r in ranked),
            heading=_first(r.heading for r in reversed(reports)),
            eph=eph,
            eph_basis=basis,
            hdop=hdop,
            n_sat=_used(reports),
            status=status,
            quality=Quality.SIMULATED if status == "simulated" else Quality.GOOD,
            flags=_unique(flags + time_flags),
            talker=place.talker,
        )

    def _error(
        self, reports: list[Report], hdop: float | None, status: str
    ) -> tuple[float | None, str | None]:
        """95 % radius, m: twice the distance root mean square, which is one sigma."""
        sigma = _first(r.sigma for r in reports)
        if sigma is not None:
            return round(2 * sigma, 3), "gst"
        accuracy = _first(r.accuracy for r in reports)
        if accuracy is not None:
            return round(2 * accuracy, 3), "hacc"
        uere = self._uere_m.get(status)
        if hdop is None or uere is None:
            return None, None
        return round(2 * hdop * uere, 3), "hdop"


def _status(reports: list[Report]) -> str:
    said = {r.status for r in reports}
    return next((status for status in _STATUS_RANK if status in said), "autonomous")


def _used(reports: list[Report]) -> int | None:
    """GGA stops at 12 in strict receivers, and GSA lists 12 a sentence: the larger is nearer."""
    counted = [r.n_sat for r in reports if r.n_sat is not None]
    listed = len(frozenset().union(*(r.satellites for r in reports)))
    return max([*counted, listed]) if counted or listed else None


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _unique(flags: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flags))
