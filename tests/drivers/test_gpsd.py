"""gpsd as a source: its JSON, our twin with every fault, and a real gpsd on the same line."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Fix, Quality, Sample
from drivers.gpsd import LINE_MAX, WATCH, Config, Decoder, Driver
from drivers.ports import open_port
from drivers.sim.gpsd import Twin, encode
from drivers.sim.line import Fault, Line
from drivers.sim.netline import NetLine

from ..waiting import until

DEVICE = "/dev/ttyUSB0"
TIME = "2026-11-24T02:30:42.000Z"
# As gpsd 3.22 writes them for a receiver on NMEA.
TPV = (
    b'{"class":"TPV","device":"/dev/ttyUSB0","mode":3,"time":"2026-11-24T02:30:42.000Z","ept":0.005'
    b',"lat":30.593066667,"lon":114.305850000,"altHAE":11.3000,"altMSL":23.4000,"alt":23.4000,'
    b'"epx":6.294,"epy":10.947,"epv":29.210,"track":211.5000,"magtrack":216.2,"magvar":-4.7,'
    b'"speed":1.030,"climb":0.100,"eps":21.89,"epc":58.42,"geoidSep":-12.100,"eph":17.290,'
    b'"sep":29.640}\r\n'
)
SKY = (
    b'{"class":"SKY","device":"/dev/ttyUSB0","xdop":0.42,"ydop":0.73,"vdop":1.27,"tdop":0.81,'
    b'"hdop":0.91,"gdop":1.68,"pdop":1.56,"nSat":3,"uSat":2,"satellites":['
    b'{"PRN":1,"el":53.0,"az":280.0,"ss":36.0,"used":true,"gnssid":0,"svid":1},'
    b'{"PRN":319,"el":29.0,"az":301.0,"ss":24.0,"used":true,"gnssid":3,"svid":19},'
    b'{"PRN":336,"el":7.0,"az":10.0,"used":false,"gnssid":3,"svid":36}]}\r\n'
)
GST = (
    b'{"class":"GST","device":"/dev/ttyUSB0","time":"2026-11-24T02:30:42.000Z","rms":1.200,'
    b'"major":2.100,"minor":1.400,"orient":45.000,"lat":1.800,"lon":1.600,"alt":3.200}\r\n'
)
VERSION = b'{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}\r\n'


def tpv(**changes: Any) -> bytes:
    table = json.loads(TPV) | changes
    return encode({key: value for key, value in table.items() if value is not None})


def decode(data: bytes, size: int = 1 << 20, **keys: Any) -> list[Fix]:
    decoder = Decoder(Config(**keys))
    fixes = []
    for start in range(0, len(data), size):
        fixes += decoder.feed(data[start : start + size], 5.0)
    return fixes + decoder.flush(5.0)


def only(data: bytes, **keys: Any) -> Fix:
    (fix,) = decode(data, **keys)
    return fix


# --- messages ---


EXPECTED = Fix(
    mode=3, at=5.0, time=TIME, lat=30.593066667, lon=114.30585, alt=23.4, geoid_sep=-12.1,
    speed=1.03, track=211.5, eph=4.817, eph_basis="gst", hdop=0.91, n_sat=2, n_seen=3,
)  # fmt: skip


def test_whole_byte_by_byte_and_in_random_cuts() -> None:
    data = VERSION + SKY + TPV + GST
    assert decode(data) == [EXPECTED]
    assert decode(data, 1) == [EXPECTED]
    for seed in range(20):
        assert decode(data, random.Random(seed).randint(2, 200)) == [EXPECTED]


def test_all_but_class_and_mode_may_be_missing() -> None:
    assert only(b'{"class":"TPV","mode":1}\n') == Fix(mode=1, at=5.0, status="none")
    assert only(b'{"class":"TPV","mode":0}\n').mode == 1
    assert only(b'{"class":"TPV","mode":2}\n').mode == 1
    assert only(b'{"class":"TPV","mode":2,"lat":30.5,"lon":114.3}\n') == Fix(
        mode=2, at=5.0, lat=30.5, lon=114.3
    )


@pytest.mark.parametrize(
    ("changes", "eph", "basis"),
    [
        ({}, 17.29, "gpsd"),
        ({"eph": None}, 12.627, "gpsd"),
        ({"eph": None, "epx": None}, None, None),
    ],
)
def test_its_own_estimate_where_no_gst_comes(
    changes: dict[str, Any], eph: float | None, basis: str | None
) -> None:
    fix = only(tpv(**changes))
    assert (fix.eph, fix.eph_basis) == (eph, basis)


def test_a_gst_of_another_instant_is_not_this_fixs() -> None:
    assert only(GST + tpv(time="2026-11-24T02:30:43.000Z")).eph_basis == "gpsd"
    assert only(GST + tpv()).eph_basis == "gst"


@pytest.mark.parametrize(
    ("status", "word", "quality"),
    [
        (None, "autonomous", Quality.GOOD),
        (0, "autonomous", Quality.GOOD),
        (1, "autonomous", Quality.GOOD),
        (2, "dgnss", Quality.GOOD),
        (3, "rtk_fixed", Quality.GOOD),
        (4, "rtk_float", Quality.GOOD),
        (5, "dr", Quality.GOOD),
        (6, "autonomous", Quality.GOOD),
        (7, "manual", Quality.GOOD),
        (8, "simulated", Quality.SIMULATED),
        (9, "pps", Quality.GOOD),
    ],
)
def test_status(status: int | None, word: str, quality: Quality) -> None:
    fix = only(tpv(status=status))
    assert (fix.status, fix.quality) == (word, quality)


@pytest.mark.parametrize(
    "changes",
    [
        {"lat": 90.1}, {"lon": -180.1}, {"lat": 0.0, "lon": 0.0}, {"lat": "30.5"}, {"lon": None},
        {"lat": True}, {"mode": 1}, {"mode": None}, {"mode": 4},
    ],
)  # fmt: skip
def test_what_is_no_place(changes: dict[str, Any]) -> None:
    assert only(tpv(**changes)).lat is None


@pytest.mark.parametrize(
    ("changes", "member", "value"),
    [
        ({"altMSL": 12_000}, "alt", None),
        ({"altMSL": None, "altHAE": None}, "alt", 23.4),
        ({"altMSL": None}, "alt", None),
        ({"track": 360.0}, "track", 0.0),
        ({"track": 361.0}, "track", None),
        ({"speed": -1.0}, "speed", None),
        ({"time": 1795487442.0}, "time", None),
        ({"time": "2026-11-24T23:59:60.000Z"}, "time", None),
        ({"time": "2026-11-24T02:30:42Z"}, "time", TIME),
    ],
)
def test_members_out_of_range(changes: dict[str, Any], member: str, value: object) -> None:
    assert getattr(only(tpv(**changes)), member) == value


def test_satellites_of_versions_that_do_not_count_them() -> None:
    table = json.loads(SKY)
    del table["nSat"], table["uSat"]
    fix = only(encode(table) + TPV)
    assert (fix.n_sat, fix.n_seen) == (2, 3)
    # A SKY of dilutions alone, as some versions send between, forgets no satellite.
    fix = only(encode(table) + b'{"class":"SKY","hdop":0.8}\n' + TPV)
    assert fix.n_sat == 2


def test_an_old_sky_is_not_this_fixs() -> None:
    decoder = Decoder()
    decoder.feed(SKY, 0.0)
    decoder.feed(TPV, 11.0)
    (fix,) = decoder.flush(11.0)
    assert (fix.n_sat, fix.n_seen, fix.hdop) == (None, None, None)


def test_a_heading() -> None:
    attitude = b'{"class":"ATT","device":"/dev/ttyUSB0","heading":91.5,"mag_st":"N"}\n'
    assert only(attitude + TPV).heading == 91.5
    assert only(TPV + attitude).heading == 91.5
    decoder = Decoder()
    decoder.feed(attitude, 0.0)
    decoder.feed(TPV, 2.0)
    assert decoder.flush(2.0)[0].heading is None


def test_a_repeated_tpv_is_one_fix() -> None:
    later = tpv(time="2026-11-24T02:30:43.000Z", lat=30.59307)
    assert [fix.time for fix in decode(TPV + TPV + SKY + TPV + later)] == [
        TIME, "2026-11-24T02:30:43.000Z",
    ]  # fmt: skip


def test_the_last_tpv_of_an_instant_counts() -> None:
    first = tpv(mode=2, altMSL=None, altHAE=None, alt=None)
    assert only(first + TPV + SKY + GST) == EXPECTED


def test_no_fix_once_a_second() -> None:
    decoder = Decoder()
    none = b'{"class":"TPV","mode":1}\n'
    got = [
        fix
        for tenth in range(25)
        for fix in decoder.feed(none, tenth / 10) + decoder.flush(tenth / 10)
    ]
    assert [fix.at for fix in got] == [0.0, 0.9, 1.8]


def test_one_receiver_of_several(caplog: pytest.LogCaptureFixture) -> None:
    other = tpv(device="/dev/ttyACM0", lat=31.0, time="2026-11-24T02:30:42.500Z")
    nothing = tpv(device="/dev/ttyS9", mode=1, time=None)
    with caplog.at_level(logging.WARNING):
        assert [fix.lat for fix in decode(nothing + TPV + other)] == [None, 30.593066667]
    assert [r.getMessage() for r in caplog.records] == [
        "gpsd has more receivers than /dev/ttyUSB0; not listened to: /dev/ttyACM0"
    ]
    assert [fix.lat for fix in decode(TPV + other, device="/dev/ttyACM0")] == [31.0]
    decoder = Decoder()
    decoder.feed(TPV, 0.0)
    decoder.feed(other, 20.0)
    assert [fix.lat for fix in decoder.flush(20.0)] == [31.0]


def test_what_gpsd_says_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        decode(
            b'{"class":"VERSION","proto_major":2}\n{"class":"DEVICES","devices":[]}\n'
            b'{"class":"ERROR","message":"no"}\n{"class":"ERROR","message":"no"}\n'
        )
        decode(b"".join(b'{"class":"ERROR","message":"%d"}\n' % n for n in range(99)))
    said = [r.getMessage() for r in caplog.records]
    assert said[:3] == [
        "gpsd speaks protocol 2, expected 3",
        "gpsd has no receiver",
        "gpsd says: no",
    ]
    assert len(said) == 3 + 16


def test_noise_in_front_of_a_line_hides_it_not() -> None:
    decoder = Decoder()
    noise = b'\xff$!BM\x01 {"class":'
    decoder.feed(noise + TPV + b"[1,2]\n" + b"\n\r\n" + b'{"class":5}\n', 5.0)
    (fix,) = decoder.flush(5.0)
    assert fix.lat == 30.593066667
    assert decoder.counters.frames == 1
    assert decoder.counters.bad_checksums == 4
    assert decoder.counters.bytes_dropped == len(noise) + 6 + 12


def test_a_line_without_an_end_has_a_ceiling() -> None:
    decoder = Decoder()
    for _ in range(40):
        decoder.feed(b"x" * 8192, 0.0)
        assert decoder._framer.waiting <= LINE_MAX + 8192
    assert decoder.counters.bytes_dropped > 200_000
    decoder.feed(b"\n" + TPV, 5.0)
    assert len(decoder.flush(5.0)) == 1


@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    decode(data + b"\n")
    decode(b'{"class":"TPV",' + data + b"}\n")
    decode(b"[" * 5000 + data + b"\n")


@given(
    st.dictionaries(
        st.sampled_from([*json.loads(TPV), "status", "satellites", "nSat", "heading"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
    ),
    st.sampled_from(["TPV", "SKY", "GST", "ATT", "VERSION", "DEVICES", "ERROR"]),
)
def test_members_of_any_type_never_raise(table: dict[str, Any], kind: str) -> None:
    for fix in decode(json.dumps(table | {"class": kind}).encode() + b"\n" + TPV):
        assert fix.mode == 1 or (fix.lat is not None and abs(fix.lat) <= 90)


# --- the twin ---


class Got:
    def __init__(self) -> None:
        self.fixes: list[Fix] = []

    def take(self, fix: Sample | Fix) -> None:
        assert isinstance(fix, Fix)
        self.fixes.append(fix)

    async def lat(self, value: float | None) -> None:
        start = len(self.fixes)
        await until(lambda: any(f.lat == value for f in self.fixes[start:]), f"lat is {value}")


@contextlib.asynccontextmanager
async def reading(name: str, got: Got) -> AsyncIterator[Driver]:
    driver = Driver(Config(quiet_s=0.02))
    async with open_port(name) as port:
        task = asyncio.create_task(driver.run(port, got.take))
        try:
            yield driver
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def playing(line: Line, **options: Any) -> AsyncIterator[Twin]:
    twin = Twin(line, **{"rate_hz": 25, **options})
    task = asyncio.create_task(twin.run())
    yield twin
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_every_fault_of_the_twin() -> None:
    got = Got()
    async with NetLine() as line, playing(line, gst=True) as twin:
        async with reading(line.name, got) as driver:
            twin.set(lat=30.5)
            await got.lat(30.5)
            meant = {30.593067, 30.5}
            faults = (Fault.GARBAGE, Fault.CUT_FRAME, Fault.BAD_CHECKSUM)
            for count, (fault, n) in enumerate(itertools.product(faults, (1, 3))):
                dropped, bad = driver.counters.bytes_dropped, driver.counters.bad_checksums
                value = 30.5 + (count + 1) / 1000
                meant.add(value)
                line.inject(fault, n)
                frames = line.counters.frames
                twin.set(lat=value)
                await got.lat(value)
                # A period has four lines, and the fix waits for the one after it.
                assert line.counters.frames - frames <= n + 2 * 3 + 3, fault
                await until(lambda: driver.counters.bad_checksums > bad, f"{fault} is counted")  # noqa: B023
                assert driver.counters.bytes_dropped > dropped
            twin.set(valid=0.0)
            await got.lat(None)
            line.inject(Fault.SILENCE)
            kept = line.counters.bytes_dropped
            await until(lambda: line.counters.bytes_dropped > kept, "it is silent")
            twin.set(valid=1.0, lat=31.0)
            line.inject(Fault.RESTORE)
            await got.lat(31.0)
        assert {fix.lat for fix in got.fixes} <= meant | {None, 31.0}
        assert set(twin.requests) == {WATCH.decode().rstrip(";\n")}
    assert {fix.eph_basis for fix in got.fixes if fix.mode > 1} <= {"gst", "gpsd"}


async def test_the_twin_says_all_that_it_is_told() -> None:
    got = Got()
    async with NetLine() as line, playing(line, gst=True) as twin:
        async with reading(line.name, got):
            twin.set(lat=30.6, speed=8.0, track=90.0, heading=91.0, n_sat=9, sigma=1.0, status=2)
            await got.lat(30.6)
            fix = got.fixes[-1]
    assert (fix.speed, fix.track, fix.heading, fix.eph, fix.eph_basis) == (
        8.0,
        90.0,
        91.0,
        2.0,
        "gst",
    )
    assert (fix.status, fix.mode, fix.alt) == ("dgnss", 3, 23.4)
    # The satellites of this period come behind its fix.
    assert fix.n_sat in (18, 9)


async def test_unplugged_and_plugged_in_again() -> None:
    got = Got()
    async with NetLine() as line, playing(line) as twin:
        async with open_port(line.name) as port:
            task = asyncio.create_task(Driver(Config()).run(port, got.take))
            await got.lat(30.593067)
            line.inject(Fault.UNPLUG)
            with pytest.raises(OSError, match="connection lost"):
                await asyncio.wait_for(task, 5)
        twin.set(lat=30.7)
        line.inject(Fault.REPLUG)
        async with reading(line.name, got):
            await got.lat(30.7)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda line: Twin(line, rate_hz=0), "rate_hz is 0, expected above 0 and up to 100"),
        (lambda line: Twin(line).set(wind=1.0), "gpsd does not report 'wind', only lat"),
        (lambda line: Twin(line).set(lat=float("nan")), "lat is nan, expected a finite number"),
    ],
)
async def test_options_that_the_twin_refuses(
    wrong: Callable[[Line], object], sentence: str
) -> None:
    async with NetLine() as line:
        with pytest.raises(ValueError, match=sentence):
            wrong(line)
