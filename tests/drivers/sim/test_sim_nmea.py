"""drivers/sim/nmea.py: the known-good sentences, edges of angles and time, and the receiver on a
real pty."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.checksum import xor8
from drivers.sim import nmea
from drivers.sim.line import Fault, Line
from drivers.sim.nmea import Satellite, State, Twin
from tests.drivers.sim.client import client, receive

WHEN = datetime(2026, 11, 24, 2, 30, 42, tzinfo=UTC)
SLOW = State(speed=0.05 * 1852 / 3600, track=123.0)
BURST_MAX = 960
"""Characters that 9600 baud carry in a second."""


def body(sentence: bytes) -> list[str]:
    """Fields, after the checksum has been verified by other code than the twin's."""
    assert sentence.startswith(b"$")
    assert sentence.endswith(b"\r\n")
    inner, _, checksum = sentence[1:-2].partition(b"*")
    assert int(checksum, 16) == xor8(inner)
    return inner.decode("ascii").split(",")


def names(burst: list[bytes]) -> list[str]:
    return [body(sentence)[0] for sentence in burst]


@pytest.mark.parametrize(
    ("made", "golden"),
    [
        (
            nmea.rmc(SLOW, WHEN),
            "$GNRMC,023042.00,A,3035.58400,N,11418.35100,E,0.05,,241126,,,A,V*22",
        ),
        (
            nmea.gga(SLOW, WHEN),
            "$GNGGA,023042.00,3035.58400,N,11418.35100,E,1,18,0.72,23.4,M,-12.1,M,,*55",
        ),
        (nmea.vtg(SLOW), "$GNVTG,,T,,M,0.05,N,0.09,K,A*31"),
        (nmea.gst(SLOW, WHEN), "$GNGST,023042.00,1.2,2.1,1.4,45.0,1.8,1.6,3.2*75"),
        (nmea.zda(SLOW, WHEN), "$GNZDA,023042.00,24,11,2026,00,00*7F"),
        (nmea.rmc(State(valid=False), WHEN), "$GNRMC,,V,,,,,,,,,,N,V*37"),
    ],
)
def test_known_good_sentences(made: bytes, golden: str) -> None:
    assert made == golden.encode() + b"\r\n"


def test_known_good_satellites() -> None:
    burst = nmea.epoch(State(n_sat=8), WHEN)
    assert [sentence for sentence in burst if sentence[3:6] == b"GSA"] == [
        b"$GNGSA,A,3,06,09,11,16,,,,,,,,,1.35,0.72,1.14,1*0F\r\n",
        b"$GNGSA,A,3,19,22,36,40,,,,,,,,,1.35,0.72,1.14,4*0B\r\n",
    ]
    assert [sentence for sentence in burst if sentence[1:6] == b"GBGSV"] == [
        b"$GBGSV,2,1,06,19,45,120,38,22,60,200,41,36,20,310,30,40,15,050,,1*70\r\n",
        b"$GBGSV,2,2,06,44,10,050,25,60,12,060,22,1*70\r\n",
    ]


def test_an_epoch_has_what_a_receiver_sends() -> None:
    burst = nmea.epoch(State(), WHEN)
    assert list(dict.fromkeys(names(burst))) == [
        "GNRMC", "GNGGA", "GNGSA", "GPGSV", "GBGSV", "GNVTG", "GNGST", "GNZDA",
    ]  # fmt: skip
    assert set(names(nmea.epoch(State(n_sat=9), WHEN, beidou=False))) == {
        "GPRMC", "GPGGA", "GPGSA", "GPGSV", "GPVTG", "GPGST", "GPZDA",
    }  # fmt: skip


@pytest.mark.parametrize("n_sat", range(nmea.N_SAT_MAX + 1))
def test_the_sky_agrees_with_the_number_of_satellites(n_sat: int) -> None:
    burst = nmea.epoch(State(n_sat=n_sat), WHEN)
    fields = [body(sentence) for sentence in burst]
    used = {(line[-1], sv) for line in fields if line[0] == "GNGSA" for sv in line[3:15] if sv}
    seen = {
        (("1" if line[0] == "GPGSV" else "4"), sv)
        for line in fields
        if line[0].endswith("GSV")
        for sv in line[4:-1:4]
    }
    assert len(used) == n_sat
    assert used < seen
    assert len(seen) == n_sat + 4
    assert sum(map(len, burst)) <= BURST_MAX
    assert all(len(line) == 19 for line in fields if line[0] == "GNGSA")


def test_each_sky_is_possible() -> None:
    for sky in (nmea.GPS_SKY, nmea.BEIDOU_SKY):
        assert len({satellite.sv for satellite in sky}) == len(sky) == 14
        for satellite in sky:
            assert 5 <= satellite.elevation <= 90
            assert 0 <= satellite.azimuth < 360
    assert nmea.gsv([], "GP") == [b"$GPGSV,1,1,00,1*64\r\n"]
    assert body(nmea.gsv([Satellite(7, 5, 9, 0)], "GB", "B")[0])[4:] == ["07", "05", "009", "", "B"]


def test_without_a_fix_nothing_of_the_old_one_is_said() -> None:
    fields = [body(sentence) for sentence in nmea.epoch(State(valid=False), WHEN)]
    by_name = {line[0]: line for line in fields}
    assert by_name["GNGGA"] == ["GNGGA", *[""] * 5, "0", "00", "99.99", *[""] * 6]
    assert by_name["GNGSA"][:4] == ["GNGSA", "A", "1", ""]
    assert by_name["GNVTG"] == ["GNVTG", *[""] * 8, "N"]
    assert by_name["GNGST"] == ["GNGST", *[""] * 8]
    assert by_name["GNZDA"] == ["GNZDA", *[""] * 6]
    assert by_name["GPGSV"] == ["GPGSV", "1", "1", "00", "1"]


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        (0.0, 0.0, ["0000.00000", "N", "00000.00000", "E"]),
        (-30.5, -114.25, ["3030.00000", "S", "11415.00000", "W"]),
        # 59.999999 minutes round up to the next degree and never to 60.
        (29.99999999, 113.99999999, ["3000.00000", "N", "11400.00000", "E"]),
        (90.0, 180.0, ["9000.00000", "N", "18000.00000", "E"]),
        (5.000001, 7.000001, ["0500.00006", "N", "00700.00006", "E"]),
    ],
)
def test_angles(lat: float, lon: float, expected: list[str]) -> None:
    assert body(nmea.rmc(State(lat=lat, lon=lon), WHEN))[3:7] == expected


def test_another_reader_reads_what_was_set() -> None:
    """pynmea2 as oracle: written by others from the same standard."""
    pynmea2 = pytest.importorskip("pynmea2")
    state = State(lat=30.6123456, lon=114.2987654, speed=12.5, track=271.34, alt=41.2)
    when = datetime(2026, 12, 31, 23, 59, 59, 900_000, tzinfo=UTC)
    read = {
        sentence[3:6]: pynmea2.parse(sentence.decode(), check=True)
        for sentence in nmea.epoch(state, when)
    }
    rmc = read[b"RMC"]
    assert rmc.latitude == pytest.approx(state.lat, abs=1e-7)
    assert rmc.longitude == pytest.approx(state.lon, abs=1e-7)
    assert rmc.spd_over_grnd * 1852 / 3600 == pytest.approx(12.5, abs=0.005)
    assert rmc.true_course == pytest.approx(271.3)
    assert rmc.datetime == when
    assert read[b"GGA"].altitude == 41.2
    assert read[b"VTG"].spd_over_grnd_kmph == 45.0


def test_a_course_never_reads_360() -> None:
    assert body(nmea.rmc(State(speed=5.0, track=359.96), WHEN))[8] == "0.0"
    assert body(nmea.rmc(State(speed=5.0, track=None), WHEN))[8] == ""


def test_set_changes_what_is_named_and_nothing_else() -> None:
    twin = Twin(Line(Path("unused")))
    before = twin.state
    twin.set(speed=3.0, track=90.0, n_sat=11.0)
    assert twin.state == State(
        lat=before.lat, lon=before.lon, alt=before.alt, speed=3.0, track=90.0, n_sat=11
    )
    twin.set(track=None, lat=None)
    assert twin.state.track is None
    assert not twin.state.valid
    assert twin.state.lat == before.lat
    twin.set(valid=True)
    assert twin.state.valid is True


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"altitude": 3.0}, "a GNSS receiver has no 'altitude', only lat, lon, alt"),
        ({"lat": 91.0}, "lat is 91.0, expected -90.0 to 90.0"),
        ({"lon": float("nan")}, "lon is nan, expected -180.0 to 180.0"),
        ({"n_sat": 25}, "n_sat is 25, expected 0 to 24"),
        ({"hdop": None}, "hdop is None, expected a number"),
    ],
)
def test_what_no_receiver_gives_is_refused(values: dict[str, Any], sentence: str) -> None:
    twin = Twin(Line(Path("unused")))
    before = twin.state
    with pytest.raises(ValueError, match=sentence):
        twin.set(speed=9.0, **values)
    assert twin.state == before
    with pytest.raises(ValueError, match="n_sat is 13, expected 0 to 12"):
        Twin(Line(Path("unused")), beidou=False).set(n_sat=13)
    with pytest.raises(ValueError, match=r"rate_hz is 50, expected 0\.1 to 10"):
        Twin(Line(Path("unused")), rate_hz=50)


async def test_epochs_stand_on_the_grid_of_utc_each_once(tmp_path: Path) -> None:
    async with Line(tmp_path / "gnss") as line:
        twin = Twin(line, rate_hz=10)
        running = asyncio.create_task(twin.run())
        times: list[datetime] = []
        with client(line.link) as fd:
            received = b""
            while received.count(b"GNZDA") < 6:
                received += await receive(fd, 1)
        running.cancel()
        for sentence in received.split(b"\r\n")[:-1]:
            if sentence.startswith(b"$GNZDA"):
                clock, day, month, year = body(sentence + b"\r\n")[1:5]
                text = f"{year}{month}{day} {clock}0000"
                times.append(datetime.strptime(text, "%Y%m%d %H%M%S.%f").replace(tzinfo=UTC))
    assert abs(datetime.now(UTC) - times[-1]) < timedelta(seconds=5)
    steps = {after - before for before, after in itertools.pairwise(times)}
    assert min(steps) >= timedelta(milliseconds=100)
    assert all(step % timedelta(milliseconds=100) == timedelta(0) for step in steps)
    assert all(when.microsecond % 100_000 == 0 for when in times)


async def test_a_stopped_clock_does_not_make_it_run_away(tmp_path: Path) -> None:
    """Epochs go on, a period apart, whatever the clock of the test says."""
    async with Line(tmp_path / "gnss") as line:
        running = asyncio.create_task(Twin(line, rate_hz=10, utc=lambda: WHEN).run())
        with client(line.link) as fd:
            line.inject(Fault.CUT_FRAME)
            received = b""
            while received.count(b"GNZDA") < 2:
                received += await receive(fd, 1)
        running.cancel()
    assert received.startswith(b"$GNRMC,023042.10,A")
    assert b"$GNZDA,023042.10," in received
