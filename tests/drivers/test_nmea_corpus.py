"""Captures of real receivers, played whole, and the fixes compared with gpsd's.

The captures lie beside the checkout and are not ours to keep; without them this is skipped.
A TPV is a report after each sentence, a Fix is one of an epoch: so each TPV that has a position
must have a Fix of the same time and the same place, however many TPVs share it.
"""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import msgspec
import pytest

from drivers import Fix, Quality
from drivers.nmea import Config, Decoder

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "gnss"
LOGS = sorted(CORPUS.glob("*.log")) if CORPUS.is_dir() else []
DEGREES = 1e-6
SAME_TIME_S = 0.0051
"""Some receivers give GLL a digit more than GGA: an epoch is one hundredth of a second."""

NOT_BEFORE = {"neo-m8n": dt.date(2019, 1, 1)}
"""gpsd takes this capture of March 2015 for one with a week number that rolled over."""

RIGHT_TO_DIFFER = {
    "mtk-3301": (1, "GGA quality 0 is no fix; gpsd believes its position"),
    "tr737A+": (1, "GGA quality 0, and GSA says no fix; gpsd believes its position"),
}
"""TPVs of a capture that have no Fix of ours, and why."""

JOINED = {"ublox-lea-5h": 1}
"""Fixes of an epoch that the capture cuts short and that gpsd therefore never reports."""

pytestmark = pytest.mark.skipif(
    not LOGS, reason="no captures: ../shared/corpus/gnss is not beside this checkout"
)


class Tpv(msgspec.Struct):
    mode: int
    lat: float | None = None
    lon: float | None = None
    time: dt.datetime | None = None


def capture(log: Path) -> bytes:
    """What the receiver sent: lines that begin with # are the submitter's."""
    lines = log.read_bytes().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"#"))


def decode(log: Path, size: int | None = None) -> list[Fix]:
    decoder = Decoder(Config(not_before=NOT_BEFORE.get(log.stem, dt.date(1980, 1, 6))))
    data = capture(log)
    step = size or len(data)
    fixes: list[Fix] = []
    for start in range(0, len(data), step):
        fixes += decoder.feed(data[start : start + step], 1.0)
    return fixes + decoder.flush(1.0)


def tpvs(log: Path) -> list[Tpv]:
    lines = log.with_suffix(".log.chk").read_bytes().splitlines()
    reports = [msgspec.json.decode(line, type=Tpv) for line in lines if b'"class":"TPV"' in line]
    return [tpv for tpv in reports if tpv.mode >= 2 and tpv.lat is not None]


def same_place(tpv: Tpv, fix: Fix) -> bool:
    assert fix.lat is not None
    assert fix.lon is not None
    assert tpv.lat is not None
    assert tpv.lon is not None
    return abs(fix.lat - tpv.lat) < DEGREES and abs(fix.lon - tpv.lon) < DEGREES


def same_time(tpv: Tpv, fix: Fix) -> bool:
    """gpsd knows no date before the first RMC or ZDA; our epoch has it all the same."""
    if tpv.time is None:
        return True
    if fix.time is None:
        return False
    return abs((dt.datetime.fromisoformat(fix.time) - tpv.time).total_seconds()) < SAME_TIME_S


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_fixes_are_those_of_gpsd(log: Path) -> None:
    fixes = [fix for fix in decode(log) if fix.mode > 1]
    missed = [
        tpv
        for tpv in tpvs(log)
        if not any(same_time(tpv, fix) and same_place(tpv, fix) for fix in fixes)
    ]
    count, reason = RIGHT_TO_DIFFER.get(log.stem, (0, ""))
    assert len(missed) == count, reason or missed


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_nothing_is_invented(log: Path) -> None:
    """Each Fix is gpsd's too, but for the last one, which gpsd, without a pause, never closes, and
    for a receiver's demonstration mode, which gpsd takes for no fix and we give as simulated."""
    reports = tpvs(log)
    fixes = [fix for fix in decode(log) if fix.mode > 1][:-1]
    unknown = [
        fix
        for fix in fixes
        if fix.quality is not Quality.SIMULATED and not any(same_place(tpv, fix) for tpv in reports)
    ]
    assert len(unknown) == JOINED.get(log.stem, 0), unknown


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_one_fix_an_epoch_in_order(log: Path) -> None:
    times = [fix.time for fix in decode(log) if fix.mode > 1 and fix.time is not None]
    assert all(a < b for a, b in itertools.pairwise(times)), times


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_cuts_change_nothing(log: Path) -> None:
    whole = decode(log)
    assert decode(log, 1) == whole
    assert decode(log, 61) == whole
