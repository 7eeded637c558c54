"""Vaisala WXT: the guide's lines and checksums, every unit letter, its twin's faults."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.sim import wxt as sim
from drivers.sim.line import Fault, Line
from drivers.wxt import FIELDS, LINE_MAX, Config, Decoder, Driver, crc3

from . import trials

FIXED = Config(mount="fixed")
GOOD = Quality.GOOD

LINE = (
    b"0R0,Dn=095D,Dm=274D,Dx=352D,Sn=0.3M,Sm=5.8M,Sx=9.6M,Ta=17.9C,Ua=73.7P,Pa=1005.8H,"
    b"Rc=13.02M,Rd=12480s,Ri=0.0M,Hc=0.0M,Hd=0s,Hi=0.0M,Th=18.0C,Vh=12.1N,Vs=12.1V,Vr=3.631V"
)
ROWS: list[trials.Row] = [
    ("wind_direction_min", 95.0, "deg", GOOD, None),
    ("wind_direction", 274.0, "deg", GOOD, None),
    ("wind_direction_max", 352.0, "deg", GOOD, None),
    ("wind_speed_min", 0.3, "m/s", GOOD, 60.0),
    ("wind_speed", 5.8, "m/s", GOOD, 60.0),
    ("wind_speed_max", 9.6, "m/s", GOOD, 60.0),
    ("temperature", 17.9, "Cel", GOOD, None),
    ("humidity", 73.7, "%RH", GOOD, None),
    ("pressure", 1005.8, "hPa", GOOD, None),
    ("rain", 13.02, "mm", GOOD, None),
    ("rain_duration", 12480.0, "s", GOOD, None),
    ("rain_intensity", 0.0, "mm/h", GOOD, None),
    ("hail", 0.0, "hits/cm2", GOOD, None),
    ("hail_duration", 0.0, "s", GOOD, None),
    ("hail_intensity", 0.0, "hits/cm2/h", GOOD, None),
    ("heater_temperature", 18.0, "Cel", GOOD, None),
    ("heater_voltage", 12.1, "V", GOOD, None),
    ("supply_voltage", 12.1, "V", GOOD, None),
    ("reference_voltage", 3.631, "V", GOOD, None),
]


def with_crc(line: bytes) -> bytes:
    small = line[:1] + b"r" + line[2:]
    return small + crc3(small)


def read(line: bytes, config: Config = FIXED) -> list[trials.Row]:
    return trials.rows(Decoder(config).feed(line + b"\r\n", 0.0))


def one(field: str) -> tuple[float | None, str, Quality]:
    ((_, value, unit, quality, _),) = read(f"0R0,{field}".encode())
    return value, unit, quality


def test_the_guide_s_checksums() -> None:
    """`Goe` for the question, `IU~` for the line that tells it."""
    assert crc3(b"0r1") == b"Goe"
    assert crc3(b"0tX,Use chksum Goe") == b"IU~"
    assert sim.checksum("0r1") == "Goe"


@pytest.mark.parametrize("line", [LINE, with_crc(LINE)])
def test_a_composite_line(line: bytes) -> None:
    data = (line + b"\r\n") * 2
    trials.same_however_cut(lambda: Decoder(FIXED), data, ROWS * 2)
    decoder = Decoder(FIXED)
    decoder.feed(data, 0.0)
    assert decoder.counters.bytes_dropped == 0
    assert decoder.counters.frames == 2


def test_any_order_and_a_field_that_nobody_knows(caplog: pytest.LogCaptureFixture) -> None:
    line = b"0R5,Vr=3.600V,Zz=1.5Q,Id=HEL_1,Ta=-3.5C"
    assert read(line)[0][:2] == ("reference_voltage", 3.6)
    assert read(line)[1][:2] == ("temperature", -3.5)
    assert "wxt 0: field Zz is not known: 0R5,Vr=3.600V" in caplog.text


@pytest.mark.parametrize(
    ("field", "value", "unit"),
    [
        ("Sm=36.0K", 10.0, "m/s"), ("Sm=10.0S", 4.4704, "m/s"), ("Sm=10.0N", 5.1444, "m/s"),
        ("Sm=10.0M", 10.0, "m/s"), ("Dm=360D", 0.0, "deg"),
        ("Ta=50.0F", 10.0, "Cel"), ("Ta=-40.0F", -40.0, "Cel"), ("Ta=-5.3C", -5.3, "Cel"),
        ("Pa=101320.0P", 1013.2, "hPa"), ("Pa=1.0132B", 1013.2, "hPa"),
        ("Pa=760.0M", 1013.2502, "hPa"), ("Pa=29.92I", 1013.2076, "hPa"),
        ("Rc=0.500I", 12.7, "mm"), ("Ri=0.10I", 2.54, "mm/h"), ("Rp=2.0M", 2.0, "mm/h"),
        ("Hc=6.4516I", 1.0, "hits/cm2"), ("Hi=12.9032I", 2.0, "hits/cm2/h"),
        ("Vh=12.0W", 12.0, "V"), ("Vh=12.0F", 12.0, "V"), ("Vh=12.0V", 12.0, "V"),
        ("Ua=102.0P", 100.0, "%RH"),
    ],
)  # fmt: skip
def test_every_unit(field: str, value: float, unit: str) -> None:
    assert one(field) == (value, unit, GOOD)


@pytest.mark.parametrize(
    ("field", "value", "quality"),
    [
        ("Sm=0.0#", None, Quality.FAULT),
        ("Ta=#", None, Quality.FAULT),
        ("Ta=17.9K", None, Quality.FAULT),
        ("Hc=4.0H", None, Quality.FAULT),
        ("Sm=61.3M", 61.3, Quality.OVER_RANGE),
        ("Sm=76.0M", None, Quality.FAULT),
        ("Ta=179.0C", None, Quality.FAULT),
        ("Pa=100.58H", None, Quality.FAULT),
        ("Ua=106.0P", None, Quality.FAULT),
        ("Dm=361D", None, Quality.FAULT),
    ],
)
def test_what_is_no_good_value(field: str, value: float | None, quality: Quality) -> None:
    got = one(field)
    assert (got[0], got[2]) == (value, quality)


def test_an_unknown_unit_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    Decoder(FIXED).feed(b"0R2,Ta=17.9K\r\n" * 3, 0.0)
    told = [r.getMessage() for r in caplog.records]
    assert told == ["wxt 0: unit K of temperature is not known: 0R2,Ta=17.9K"]


def test_on_a_vehicle_its_wind_is_apparent() -> None:
    names = [row[0] for row in read(LINE, Config(mount="vehicle"))]
    assert names[:6] == [
        "wind_direction_apparent_min", "wind_direction_apparent", "wind_direction_apparent_max",
        "wind_speed_apparent_min", "wind_speed_apparent", "wind_speed_apparent_max",
    ]  # fmt: skip
    assert names[6:] == [row[0] for row in ROWS[6:]]


@pytest.mark.parametrize("kept", [*range(1, 200, 7), 12, 28])
def test_a_line_cut_and_joined_to_the_next_gives_the_next_alone(kept: int) -> None:
    other = LINE.replace(b"095D", b"111D")
    got = read(LINE[:kept] + other)
    assert got == [("wind_direction_min", 111.0, "deg", GOOD, None), *ROWS[1:]]


@pytest.mark.parametrize(
    "line", [b"0R0", b"0R0,", b"0R0,Ta=17.9", b"0R2,Ta=1..9C", b"0R2,Ta=17.9C,Ta=18.0C", b"0R2,=9C",
             b"0R2,Ta=\xb17.9C", b"0R2,Ta=C", b"0r2,Ta=17.9CAAA", b"xR2,Ta", b"0R9,Ta=17.9C"],
)  # fmt: skip
def test_a_malformed_line_gives_nothing(line: bytes) -> None:
    assert read(line) == []


def test_with_crc_demanded_no_other_line_is_believed() -> None:
    config = Config(mount="fixed", crc=True)
    assert read(LINE, config) == []
    assert read(with_crc(LINE), config) == ROWS
    decoder = Decoder(config)
    decoder.feed(with_crc(LINE).replace(b"17.9", b"17.8") + b"\r\n", 0.0)
    assert decoder.counters.bad_checksums == 1


@pytest.mark.parametrize("line", [with_crc(b"0r2,Ta=17.9C,Ua=73.7P,Pa=1005.8H"), with_crc(LINE)])
def test_a_flipped_bit_with_crc(line: bytes) -> None:
    trials.never_wrong_for_a_flipped_bit(
        lambda: Decoder(Config(mount="fixed", crc=True)), line + b"\r\n", around=line + b"\r\n"
    )
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(FIXED), line + b"\r\n")


def test_without_crc_the_wire_has_no_check() -> None:
    """What drivers/README.md says of it: 17.9 and 17.8 differ by one bit."""
    assert read(b"0R2,Ta=17.8C") == [("temperature", 17.8, "Cel", GOOD, None)]


def test_errors_and_strangers_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert read(b"0TX,Unknown cmd error") == []
    assert read(b"0tX,Use chksum GoeIU~") == []
    assert read(b"1R2,Ta=17.9C") == []
    assert [r.getMessage() for r in caplog.records] == [
        "wxt 0: it answers 0TX,Unknown cmd error",
        "wxt 0: it answers 0tX,Use chksum GoeIU~",
        "wxt 0: a transmitter 1 speaks, configured is 0",
    ]


@given(st.binary(max_size=300))
def test_garbage_is_never_raised(data: bytes) -> None:
    decoder = Decoder(FIXED)
    decoder.feed(data, 0.0)
    decoder.feed(b"\r\n" + LINE + b"\r\n", 1.0)
    assert trials.rows(decoder.feed(LINE + b"\r\n", 1.0)) == ROWS


@given(st.text("0R,TaPmSr=#.1CM\r", max_size=120))
def test_what_looks_like_it_is_never_raised(text: str) -> None:
    Decoder(FIXED).feed(text.encode() + b"\r\n", 0.0)


def test_a_line_without_end_is_bounded() -> None:
    decoder = Decoder(FIXED)
    assert decoder.feed(b"0R0," * 10_000, 0.0) == []
    assert decoder.counters.bytes_dropped >= 40_000 - LINE_MAX - 1


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "missing required field `mount`"),
        ({"mount": "fixed", "address": "01"}, 'address: expected one digit or letter, read "01"'),
        ({"mount": "fixed", "messages": []}, "messages: expected at least one of 0, 1, 2, 3, 5"),
        ({"mount": "fixed", "period_s": 0}, "period_s: expected more than 0, read 0"),
        ({"mount": "roof"}, "Invalid enum value 'roof'"),
    ],
)
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def test_the_only_words_that_are_ever_said() -> None:
    assert Config(mount="fixed").questions() == [b"0R0\r\n"]
    assert Config(mount="fixed", crc=True, messages=(1, 2)).questions() == [
        b"0r1Goe\r\n", b"0r2" + crc3(b"0r2") + b"\r\n"
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["poll", "auto"])
async def test_twin_with_every_fault(tmp_path: Path, mode: Literal["poll", "auto"]) -> None:
    config = Config(mount="fixed", mode=mode, crc=True, messages=(2,), period_s=0.06, timeout_s=0.3)
    async with Line(tmp_path / "wxt") as line:
        twin = sim.Twin(line, mode=mode, crc=True, period_s=0.02)
        # In automatic mode the four messages take turns, and one in four has the temperature.
        slack = 1 if mode == "poll" else 9
        await trials.stands_all_faults(
            line, twin, Driver(config), "temperature", (35.0, 12.5), slack=slack
        )
        assert set(twin.commands) == ({f"0r2{sim.checksum('0r2')}"} if mode == "poll" else set())


@pytest.mark.parametrize("fault", [Fault.GARBAGE, Fault.CUT_FRAME])
async def test_twin_without_crc(tmp_path: Path, fault: Fault) -> None:
    async with Line(tmp_path / "wxt") as line:
        twin = sim.Twin(line, mode="auto", period_s=0.02)
        driver = Driver(Config(mount="fixed", mode="auto"))
        twin.set(temperature=20.5)
        async with trials.playing(line, twin, driver) as got:
            await got.reads("temperature", 20.5)
            line.inject(fault, 4)
            twin.set(temperature=-7.5)
            await got.reads("temperature", -7.5)
        assert {s.value for s in got.of("temperature")} == {20.5, -7.5}
        assert {s.value for s in got.of("pressure")} == {1005.8}
        assert driver.counters.bytes_dropped > 0


async def test_a_failed_sensor_is_a_fault_and_heals(tmp_path: Path) -> None:
    async with Line(tmp_path / "wxt") as line:
        twin = sim.Twin(line)
        driver = Driver(Config(mount="fixed", period_s=0.05))
        async with trials.playing(line, twin, driver) as got:
            twin.set(wind_speed=None)
            await got.reads("wind_speed", None, Quality.FAULT)
            twin.set(wind_speed=3.2)
            await got.reads("wind_speed", 3.2)
        assert {s.quality for s in got.of("humidity")} == {GOOD}
        assert {name for name, _ in FIELDS.values()} >= {s.quantity for _, s in got.samples}


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "wxt") as line:
        twin = sim.Twin(line)
        await trials.comes_back_when_replugged(
            line, twin, lambda: Driver(Config(mount="fixed", period_s=0.05)),
            "temperature", (35.0, 7.0),
        )  # fmt: skip
