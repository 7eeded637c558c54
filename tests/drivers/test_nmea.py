"""drivers/nmea.py: sentences to fixes, epochs, what must not be believed, and a real pty."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import os
import pty
import tty
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import Fix, Quality
from drivers.nmea import INSTRUMENT, Config, Decoder, Driver
from drivers.port import PortError, open_port
from tests.drivers.nmea_lines import decode, gga, one, rmc, s

GOLDEN = b"""\
$GNRMC,023042.00,A,3035.58400,N,11418.35100,E,0.05,,241126,,,A,V*22\r
$GNGGA,023042.00,3035.58400,N,11418.35100,E,1,18,0.72,23.4,M,-12.1,M,,*55\r
$GNGNS,023042.00,3035.58400,N,11418.35100,E,AANAN,18,0.72,23.4,-12.1,,,V*44\r
$GNGSA,A,3,06,09,11,16,,,,,,,,,1.35,0.72,1.14,1*0F\r
$GNGSA,A,3,19,22,36,40,,,,,,,,,1.35,0.72,1.14,4*0B\r
$GBGSV,2,1,06,19,45,120,38,22,60,200,41,36,20,310,30,40,15,050,,1*70\r
$GBGSV,2,2,06,44,10,050,25,60,12,060,22,1*70\r
$GNVTG,,T,,M,0.05,N,0.09,K,A*31\r
$GNGST,023042.00,1.2,2.1,1.4,45.0,1.8,1.6,3.2*75\r
$GNZDA,023042.00,24,11,2026,00,00*7F\r
$GNGLL,3035.58400,N,11418.35100,E,023042.00,A,A*76\r
$GNTXT,01,01,02,ANTSTATUS=OK*25\r
"""
NO_FIX = b"$GNRMC,,V,,,,,,,,,,N,V*37\r\n"
WUHAN = (30.5930667, 114.3058500)


def test_the_golden_sentences() -> None:
    fix = one(GOLDEN)
    assert fix.lat == pytest.approx(WUHAN[0], abs=1e-7)
    assert fix.lon == pytest.approx(WUHAN[1], abs=1e-7)
    assert fix == Fix(
        mode=3,
        at=1.0,
        time="2026-11-24T02:30:42.000Z",
        lat=fix.lat,
        lon=fix.lon,
        alt=23.4,
        geoid_sep=-12.1,
        speed=0.05 * 1852 / 3600,
        eph=round(2 * (1.8**2 + 1.6**2) ** 0.5, 3),
        eph_basis="gst",
        hdop=0.72,
        n_sat=18,
        n_seen=6,
        status="autonomous",
        talker="GN",
    )


def test_golden_byte_by_byte() -> None:
    decoder = Decoder()
    fixes = [fix for byte in GOLDEN for fix in decoder.feed(bytes((byte,)), 1.0)]
    assert fixes + decoder.flush(1.0) == decode(GOLDEN)
    assert decoder.counters.frames == 12
    assert decoder.counters.bytes_dropped == decoder.counters.bad_checksums == 0


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, len(GOLDEN)), max_size=20))
def test_golden_in_random_cuts(cuts: list[int]) -> None:
    decoder = Decoder()
    fixes: list[Fix] = []
    for a, b in itertools.pairwise([0, *sorted(cuts), len(GOLDEN)]):
        fixes += decoder.feed(GOLDEN[a:b], 1.0)
    assert fixes + decoder.flush(1.0) == decode(GOLDEN)


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=300), st.integers(0, len(GOLDEN)))
def test_garbage_inside_never_raises_and_never_invents(noise: bytes, index: int) -> None:
    for fix in decode(GOLDEN[:index] + noise + GOLDEN[index:]):
        if fix.mode > 1:
            assert fix.lat == pytest.approx(WUHAN[0], abs=1e-7)
            assert fix.lon == pytest.approx(WUHAN[1], abs=1e-7)


_FIELD = st.text(st.sampled_from("0123456789.-ANSEWVM:x "), max_size=11)


@settings(deadline=None)  # the machine may be busy
@given(
    st.sampled_from(["RMC", "GGA", "GNS", "GSA", "GSV", "VTG", "GST", "ZDA", "GLL", "TXT"]),
    st.sampled_from(["GP", "BD", "GB", "GN", "QZ", "PQ", "XX"]),
    st.lists(_FIELD, max_size=24),
)
def test_any_fields_behind_a_right_checksum(kind: str, talker: str, fields: list[str]) -> None:
    for fix in decode(s(",".join([talker + kind, *fields])) * 2 + GOLDEN):
        assert fix.mode in (1, 2, 3)
        assert fix.lat is None or -90 <= fix.lat <= 90
        assert fix.lon is None or -180 <= fix.lon <= 180
        assert (fix.lat is None) == (fix.mode == 1)


def test_every_bad_checksum_is_counted_and_none_is_believed() -> None:
    lines = GOLDEN.split(b"\r\n")[:-1]
    broken = b"\r\n".join(line[:-2] + b"00" for line in lines) + b"\r\n"
    decoder = Decoder()
    assert decoder.feed(broken, 1.0) + decoder.flush(1.0) == []
    assert decoder.counters.bad_checksums == len(lines)


@pytest.mark.parametrize("talker", ["GP", "BD", "GB", "GA", "GL", "GQ", "QZ", "GI"])
def test_every_talker(talker: str) -> None:
    fix = one(golden_of(talker))
    assert (fix.mode, fix.talker, fix.n_seen) == (3, talker, 2)


def golden_of(talker: str) -> bytes:
    return s(
        f"{talker}RMC,023042.00,A,3035.58400,N,11418.35100,E,0.05,,241126,,,A,V",
        f"{talker}GGA,023042.00,3035.58400,N,11418.35100,E,1,08,0.72,23.4,M,-12.1,M,,",
        f"{talker}GSV,1,1,02,201,45,120,38,202,60,200,41",
    )


# --- no fix ---


def test_no_fix_differs_from_silence_and_comes_at_most_once_a_second() -> None:
    decoder = Decoder()
    ats: list[float] = []
    for tenth in range(0, 50, 2):
        at = tenth / 10
        fixes = decoder.feed(NO_FIX, at) + decoder.flush(at + 0.1)
        assert all(fix.mode == 1 and fix.status == "none" and fix.lat is None for fix in fixes)
        ats += [fix.at for fix in fixes]
    assert ats == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_losing_the_fix_is_said_at_once() -> None:
    decoder = Decoder()
    data = s(rmc("023001.00"), rmc("023001.20", status="V", mode="N"), rmc("023001.40"))
    data += s(rmc("023001.60", status="V", mode="N"))
    fixes = decoder.feed(data, 1.0) + decoder.flush(1.5)
    assert [fix.mode for fix in fixes] == [2, 1, 2, 1]


@pytest.mark.parametrize(
    "body",
    [
        "GPGGA,023042.00,,,,,0,00,99.99,,,,,,",
        "GPGGA,023042.00,3035.58400,,11418.35100,,1,08,0.72,23.4,M,-12.1,M,,",  # no letters
        "GPGGA,023042.00,3035.58400,N,11418.35100,E,1,00,0.72,23.4,M,-12.1,M,,",  # of no satellite
        "GPGGA,023042.00,,,,,1,08,0.72,23.4,M,-12.1,M,,",
        "GPGGA,023042.00,0000.00000,N,00000.00000,E,1,08,0.72,23.4,M,-12.1,M,,",  # null island
        "GPGGA,023042.00,9959.40000,N,11418.35100,E,1,08,0.72,23.4,M,-12.1,M,,",
        "GPGGA,023042.00,9000.00100,N,11418.35100,E,1,08,0.72,23.4,M,-12.1,M,,",
        "GPGGA,023042.00,3035.58400,N,19918.35100,E,1,08,0.72,23.4,M,-12.1,M,,",
        "GPGGA,023042.00,3075.58400,N,11418.35100,E,1,08,0.72,23.4,M,-12.1,M,,",  # 75 minutes
        "GPGGA,023042.00,30x5.1,N,11418.35100,E,1,08,0.72,23.4,M,-12.1,M,,",
        "GPGGA,023042.00,3035.58400,E,11418.35100,N,1,08,0.72,23.4,M,-12.1,M,,",
        "GPRMC,023042.00,V,3035.58400,N,11418.35100,E,0.05,,241126,,,N,V",
        "GPRMC,023042.00,A,3035.58400,N,11418.35100,E,0.05,,241126,,,N,V",
        "GNGNS,023042.00,3035.58400,N,11418.35100,E,NNNNN,18,0.72,23.4,-12.1,,,V",
        "GPGLL,3035.58400,N,11418.35100,E,023042.00,V,N",
    ],
)
def test_a_position_that_must_not_be_believed(body: str) -> None:
    fix = one(s(body))
    assert (fix.mode, fix.lat, fix.lon, fix.status) == (1, None, None, "none")


def test_rmc_warns_against_a_stale_gga() -> None:
    assert one(s(rmc("023042.00", status="V", mode="N"), gga("023042.00"))).mode == 1


def test_gsa_says_no_fix() -> None:
    gsa = "GNGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99,1"
    fix = one(s(rmc("023042.00"), gsa))
    assert (fix.mode, fix.lat, fix.status) == (1, None, "none")


def test_minutes_without_decimals_are_a_position() -> None:
    fix = one(s("GPRMC,023042,A,3035,S,11418,W,,,241126,,"))
    assert fix.lat == pytest.approx(-30 - 35 / 60)
    assert fix.lon == pytest.approx(-114 - 18 / 60)


# --- status and quality ---


@pytest.mark.parametrize(
    ("quality", "status"),
    [
        ("1", "autonomous"),
        ("2", "dgnss"),
        ("3", "pps"),
        ("4", "rtk_fixed"),
        ("5", "rtk_float"),
        ("6", "dr"),
        ("7", "manual"),
        ("8", "simulated"),
    ],
)
def test_gga_quality(quality: str, status: str) -> None:
    fix = one(s(gga("023042.00", quality=quality)))
    assert (fix.mode, fix.status) == (3, status)
    assert fix.quality == (Quality.SIMULATED if status == "simulated" else Quality.GOOD)


@pytest.mark.parametrize(
    ("mode", "rmc_status", "status"),
    [
        ("D", "A", "dgnss"),
        ("R", "A", "rtk_fixed"),
        ("F", "A", "rtk_float"),
        ("P", "A", "pps"),
        # The standard has status V with these three: they are fixes, and not live ones.
        ("E", "V", "dr"),
        ("M", "V", "manual"),
        ("S", "V", "simulated"),
        ("S", "A", "simulated"),
    ],
)
def test_rmc_mode(mode: str, rmc_status: str, status: str) -> None:
    fix = one(s(rmc("023042.00", status=rmc_status, mode=mode)))
    assert (fix.mode, fix.status) == (2, status)


def test_a_simulator_never_hides_behind_another_sentence() -> None:
    fix = one(s(rmc("023042.00", mode="S"), gga("023042.00", quality="1")))
    assert (fix.status, fix.quality, fix.eph) == ("simulated", Quality.SIMULATED, None)
    gns = "GNGNS,023042.00,3035.58400,N,11418.35100,E,{},18,0.72,23.4,-12.1,,,V"
    assert one(s(gns.format("NNNSN"))).quality == Quality.SIMULATED
    assert one(s(gns.format("ARNAN"))).status == "rtk_fixed"


def test_nav_status_unsafe_is_flagged_and_v_is_not() -> None:
    assert one(s(rmc("023042.00"))).flags == ()
    assert one(s(rmc("023042.00")[:-1] + "U")).flags == ("nav_unsafe",)
    gns = "GNGNS,023042.00,3035.58400,N,11418.35100,E,AANAN,18,0.72,23.4,-12.1,,,C"
    assert one(s(gns)).flags == ("nav_caution",)


def test_the_antenna_is_flagged_until_it_is_well() -> None:
    decoder = Decoder()
    texts = ["GNTXT,01,01,01,ANTSTATUS=OPEN", "GPTXT,01,01,01,ANTENNA OK", "GNTXT,01,01,01,x"]
    flags: list[tuple[str, ...]] = []
    for second, text in enumerate(texts):
        fixes = decoder.feed(s(text, rmc(f"02300{second}.00")), 1.0) + decoder.flush(1.0)
        flags += [fix.flags for fix in fixes]
    assert flags == [("antenna_open",), (), ()]


# --- error estimate and satellites ---


def test_eph_from_hdop_by_status() -> None:
    assert one(s(gga("023042.00"))).eph == pytest.approx(2 * 0.72 * 4.0)
    assert one(s(gga("023042.00", quality="4"))).eph == pytest.approx(2 * 0.72 * 0.03, abs=1e-3)
    assert one(s(gga("023042.00")), Config(uere_m=2.5)).eph == pytest.approx(2 * 0.72 * 2.5)
    fix = one(s(gga("023042.00", hdop="99.99")))
    assert (fix.hdop, fix.eph, fix.eph_basis) == (None, None, None)
    assert one(s(gga("023042.00", quality="6"))).eph is None


def test_a_satellite_of_two_signals_is_one_satellite_and_a_signal_is_none() -> None:
    gsv = (
        "GBGSV,2,1,05,19,45,120,38,22,60,200,41,36,20,310,30,40,15,050,,1",
        "GBGSV,2,2,05,44,10,050,25,1",
        "GBGSV,1,1,02,19,45,120,38,22,60,200,41,5",
        "GPGSV,1,1,02,19,45,120,38,03,60,200,41,1",
    )
    assert one(s(*gsv, rmc("023042.00"))).n_seen == 7


def test_a_sky_that_is_no_longer_told_is_not_counted() -> None:
    decoder = Decoder()
    decoder.feed(s("GPGSV,1,1,01,19,45,120,38"), 1.0)
    decoder.feed(s(rmc("023042.00")), 12.0)
    assert decoder.flush(12.3)[0].n_seen is None


def test_an_impossible_altitude_is_dropped_and_said() -> None:
    fix = one(s(gga("023042.00", alt="12000.0")))
    assert (fix.alt, fix.flags) == (None, ("altitude_rejected",))
    assert fix.lat is not None


def test_speed_and_course_from_vtg_where_rmc_is_absent() -> None:
    fix = one(s(gga("023042.00"), "GNVTG,360.0,T,,M,,N,3.6,K,A"))
    assert fix.speed == pytest.approx(1.0)
    assert fix.track == 0.0


# --- configuration ---


def test_configuration_from_toml() -> None:
    config = msgspec.toml.decode("uere_m = 2.5\nnot_before = 2026-06-01", type=Config)
    assert config == Config(uere_m=2.5, not_before=dt.date(2026, 6, 1))
    with pytest.raises(msgspec.ValidationError, match="uere_m"):
        msgspec.convert({"uere_m": 0.0}, Config)
    with pytest.raises(msgspec.ValidationError, match="unknown field `uere`"):
        msgspec.convert({"uere": 1.0}, Config)
    assert INSTRUMENT.baudrate == 9600


# --- the driver, over a real pty ---


async def play(pieces: Sequence[bytes], count: int) -> tuple[list[Fix], Driver]:
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    device = os.ttyname(slave)
    driver, fixes, enough = Driver(Config(quiet_s=0.05)), list[Fix](), asyncio.Event()

    def emit(fix: object) -> None:
        assert isinstance(fix, Fix)
        fixes.append(fix)
        if len(fixes) >= count:
            enough.set()

    try:
        async with open_port(device) as port:
            running = asyncio.create_task(driver.run(port, emit))
            for piece in pieces:
                await asyncio.get_running_loop().run_in_executor(None, os.write, master, piece)
            async with asyncio.timeout(10):
                await enough.wait()
            os.close(slave)
            os.close(master)
            master = slave = -1
            with pytest.raises(PortError, match="device lost"):
                await running
    finally:
        for fd in (master, slave):
            if fd >= 0:
                os.close(fd)
    return fixes, driver


async def test_the_driver_closes_an_epoch_when_the_line_is_quiet() -> None:
    fixes, driver = await play([b"\xff\xfe junk", GOLDEN[:100], GOLDEN[100:]], 1)
    assert [(fix.mode, fix.time) for fix in fixes] == [(3, "2026-11-24T02:30:42.000Z")]
    assert driver.counters.frames == 12
    assert driver.counters.bytes_dropped == len(b"\xff\xfe junk")


async def test_the_driver_says_no_fix() -> None:
    fixes, _ = await play([NO_FIX], 1)
    assert [fix.mode for fix in fixes] == [1]
