"""Gill WindSonic and MaxiMet: the manuals' frames, every status, the twins' faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.gill import COLUMNS, FRAME_MAX, IGNORED, Config, Decoder, Driver
from drivers.sim import gill as sim
from drivers.sim.line import Line

from . import trials

GOOD, FAULT, STALE = Quality.GOOD, Quality.FAULT, Quality.STALE

SONIC = Config(mount="fixed")
FRAME = b"\x02Q,229,002.74,M,00,\x0316\r\n"
ROWS: list[trials.Row] = [
    ("wind_speed", 2.74, "m/s", GOOD, 60.0),
    ("wind_direction", 229.0, "deg", GOOD, None),
]

GMX300 = Config(
    mount="fixed",
    model="maximet",
    columns=tuple(
        "NODE PRESS PASL PSTN RH TEMP DEWPOINT AH HEATIDX AIRDENS WBTEMP SUNR SNOON SUNS SUNP TWIC"
        " TWIN TWIA XTILT YTILT ZORIENT USERINF TIME VOLT STATUS CHECK".split()
    ),
)
GMX300_FRAME = (
    b"\x02Q,0999.5,0999.5,0999.5,040,+023.3,+009.1,08.45,,1.2,+015.1,07:58,12:08,16:19,162:+15,"
    b"16:57,17:39,18:19,+00,+01,+1,,2018-01-16T10:55:38.5,+05.1,0000,\x031F\r\n"
)
GMX300_ROWS: list[trials.Row] = [
    ("pressure", 999.5, "hPa", GOOD, None),
    ("pressure_sea_level", 999.5, "hPa", GOOD, None),
    ("pressure_station", 999.5, "hPa", GOOD, None),
    ("humidity", 40.0, "%RH", GOOD, None),
    ("temperature", 23.3, "Cel", GOOD, None),
    ("dew_point", 9.1, "Cel", GOOD, None),
    ("absolute_humidity", 8.45, "g/m3", GOOD, None),
    ("air_density", 1.2, "kg/m3", GOOD, None),
    ("wet_bulb", 15.1, "Cel", GOOD, None),
    ("supply_voltage", 5.1, "V", GOOD, None),
]
GMX240_COLUMNS = tuple(
    "NODE DIR SPEED CDIR CSPEED PRECIPT PRECIPI GPSLOCATION TIME VOLT STATUS".split()
)
GMX240_FRAME = (
    b"\x02Q,180,000.06,133,000.21,00000.000,000.000,+50.763060:-001.540268:+0001.60,"
    b"2017-11-02T15:07:27.6,+05.0,0004,\x0331\r\n"
)


def vehicle(columns: tuple[str, ...] = GMX240_COLUMNS) -> Config:
    return Config(mount="vehicle", model="maximet", columns=columns)


def read(text: str, config: Config = SONIC) -> list[trials.Row]:
    return trials.rows(Decoder(config).feed(sim.frame(text), 0.0))


@pytest.mark.parametrize(
    ("config", "frame", "expected"), [(SONIC, FRAME, ROWS), (GMX300, GMX300_FRAME, GMX300_ROWS)]
)
def test_the_manuals_frames(config: Config, frame: bytes, expected: list[trials.Row]) -> None:
    trials.same_however_cut(lambda: Decoder(config), frame * 3, expected * 3)
    decoder = Decoder(config)
    decoder.feed(frame * 3, 0.0)
    assert (decoder.counters.frames, decoder.counters.bytes_dropped) == (3, 0)


def test_the_gmx240_s_frame_has_a_status_that_accuses_the_wind() -> None:
    trials.same_however_cut(
        lambda: Decoder(vehicle()),
        GMX240_FRAME,
        [
            ("wind_direction_apparent", None, "deg", FAULT, None),
            ("wind_speed_apparent", None, "m/s", FAULT, 60.0),
            ("wind_direction", None, "deg", FAULT, None),
            ("wind_speed", None, "m/s", FAULT, 60.0),
            ("rain", 0.0, "mm", GOOD, None),
            ("rain_intensity", 0.0, "mm/h", GOOD, None),
            ("supply_voltage", 5.0, "V", GOOD, None),
        ],
    )


def test_on_a_vehicle_only_the_corrected_columns_are_true_wind() -> None:
    text = "Q,010,008.00,200,003.50,00000.000,000.000,,,+05.0,0000,"
    got = {row[0]: row[1] for row in read(text, vehicle())}
    assert got["wind_direction_apparent"] == 10.0
    assert got["wind_speed_apparent"] == 8.0
    assert got["wind_direction"] == 200.0
    assert got["wind_speed"] == 3.5


def test_a_sonic_on_a_vehicle() -> None:
    got = trials.rows(Decoder(Config(mount="vehicle")).feed(FRAME, 0.0))
    assert [row[0] for row in got] == ["wind_speed_apparent", "wind_direction_apparent"]


@pytest.mark.parametrize(
    ("text", "speed"),
    [("10.00,N", 5.1444), ("010.00,P", 4.4704), ("036.00,K", 10.0), ("0984.25,F", None),
     ("984.25,F", 5.0), ("010.00,M", 10.0)],
)  # fmt: skip
def test_every_unit(text: str, speed: float | None) -> None:
    assert read(f"Q,090,{text},00,")[0][1] == speed


@pytest.mark.parametrize("status", ["01", "02", "04", "08", "09", "10", "7F"])
def test_every_fault_of_a_sonic(status: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read(f"Q,229,002.74,M,{status},") == [
        ("wind_speed", None, "m/s", FAULT, 60.0),
        ("wind_direction", None, "deg", FAULT, None),
    ]
    assert f"gill windsonic: status {status}: " in caplog.text


def test_blocked_axes_send_empty_fields(caplog: pytest.LogCaptureFixture) -> None:
    assert [(row[1], row[3]) for row in read("Q,,,M,04,")] == [(None, FAULT)] * 2
    assert "gill windsonic: status 04: axes 1 and 2 failed: Q,,,M,04," in caplog.text


@pytest.mark.parametrize(
    ("status", "quality"), [("60", GOOD), ("62", GOOD), ("51", Quality.WARMUP)]
)
def test_a_status_that_leaves_the_wind_alone(status: str, quality: Quality) -> None:
    got = read(f"Q,229,002.74,M,{status},")
    assert [(row[1], row[3]) for row in got] == [(2.74, quality), (229.0, quality)]


def test_in_a_calm_the_last_direction_is_stale() -> None:
    decoder = Decoder(SONIC)

    def direction(text: str) -> tuple[float | None, Quality]:
        row = trials.rows(decoder.feed(sim.frame(text), 0.0))[1]
        return row[1], row[3]

    assert direction("Q,,000.03,M,00,") == (None, STALE)
    assert direction("Q,229,002.74,M,00,") == (229.0, GOOD)
    assert direction("Q,,000.00,M,00,") == (229.0, STALE)
    assert direction("Q,,002.00,M,00,") == (None, FAULT)


@pytest.mark.parametrize(
    ("speed", "value", "quality"),
    [("060.00", 60.0, Quality.OVER_RANGE), ("075.10", None, FAULT), ("059.99", 59.99, GOOD)],
)
def test_the_end_of_the_range(speed: str, value: float | None, quality: Quality) -> None:
    row = read(f"Q,229,{speed},M,00,")[0]
    assert (row[1], row[3]) == (value, quality)


@pytest.mark.parametrize(
    "text",
    ["Q,+000.11,-000.04,M,00,", "Q,229,2.74,X,00,", "IIMWV,1,R", "Q,229,002.74,M,00", "", ",,,,"],
)  # fmt: skip
def test_another_layout_is_a_fault_and_no_wind(text: str) -> None:
    assert [(row[1], row[3]) for row in read(text)] == [(None, FAULT)] * 2


def test_other_nodes_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    assert read("A,229,002.74,M,00,") == []
    assert "gill windsonic: a node A speaks, configured is Q" in caplog.text


SHORT = Config(
    mount="fixed",
    model="maximet",
    columns=("NODE", "DIR", "SPEED", "PRESS", "RH", "TEMP", "WINDSTAT", "AVGSPEED", "STATUS"),
)


@pytest.mark.parametrize(
    ("status", "windstat", "faulty"),
    [
        ("0000", "0000", set()),
        ("0001", "0000", {"wind_speed", "wind_direction", "wind_speed_mean"}),
        ("0010", "0000", {"temperature"}),
        ("0040", "0000", {"humidity"}),
        ("0080", "0000", {"pressure"}),
        ("0100", "0000", set()),
        ("0000", "0004", {"wind_speed", "wind_direction", "wind_speed_mean"}),
        ("0000", "0200", set()),
        ("8000", "0000", {"wind_speed", "wind_direction", "wind_speed_mean", "pressure",
                          "humidity", "temperature"}),
    ],
)  # fmt: skip
def test_every_status_of_a_maximet(status: str, windstat: str, faulty: set[str]) -> None:
    got = read(f"Q,090,003.20,1013.2,065,+023.5,{windstat},003.00,{status},", SHORT)
    assert {row[0] for row in got if row[3] is FAULT} == faulty
    assert all((row[1] is None) == (row[3] is FAULT) for row in got)


def test_a_mean_that_still_builds_is_warm_up() -> None:
    got = read("Q,090,003.20,1013.2,065,+023.5,0100,003.00,0000,", SHORT)
    assert {row[0]: row[3] for row in got}["wind_speed_mean"] is Quality.WARMUP


@pytest.mark.parametrize(
    "text",
    ["Q,090,003.20,1013.2,065,+023.5,0000,003.00,", "Q,090,003.20,1013.2,065,+023.5,0,0,0,0000,",
     "Q,090,003.20,1013.2,065,+023.5,0000,003.00,00,"],
)  # fmt: skip
def test_columns_that_do_not_fit_are_a_fault(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert {(row[1], row[3]) for row in read(text, SHORT)} == {(None, FAULT)}
    assert "configured are 9" in caplog.text


def test_units_of_a_maximet() -> None:
    config = Config(
        mount="fixed", model="maximet", columns=("TEMP", "PRESS", "PRECIPT", "CSPEED", "STATUS"),
        wind_unit="kn", pressure_unit="inHg", temperature_unit="F", rain_unit="in",
    )  # fmt: skip
    got = read("+050.0,29.92,1.000,10.00,0000,", config)
    assert [row[1] for row in got] == [10.0, 1013.2076, 25.4, 5.1444]


@pytest.mark.parametrize(("config", "frame"), [(SONIC, FRAME), (GMX300, GMX300_FRAME)])
def test_a_flipped_bit(config: Config, frame: bytes) -> None:
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(config), frame, around=frame)


@given(st.binary(max_size=200))
def test_garbage_is_never_raised(data: bytes) -> None:
    decoder = Decoder(SONIC)
    decoder.feed(data, 0.0)
    decoder.feed(FRAME, 1.0)
    assert trials.rows(decoder.feed(FRAME, 1.0))[-2:] == ROWS


@given(st.text("Q,0123456789.+-MNAF:T", max_size=120))
def test_any_text_in_a_right_frame_is_never_raised(text: str) -> None:
    read(text)
    read(text, GMX300)
    read(text, SHORT)


def test_a_frame_without_end_is_bounded() -> None:
    decoder = Decoder(SONIC)
    decoder.feed(b"\x02" + b"Q" * 5000, 0.0)
    assert decoder.counters.bytes_dropped >= 5001 - FRAME_MAX


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "missing required field `mount`"),
        ({"mount": "fixed", "node": "q"}, 'node: expected one letter from A to Z, read "q"'),
        ({"mount": "fixed", "full_scale": 0}, "full_scale: expected more than 0, read 0"),
        ({"mount": "fixed", "columns": ["DIR"]}, "columns: only a maximet has them"),
        ({"mount": "fixed", "model": "maximet"},
         "columns: missing; expected the words behind the MaxiMet's REPORT"),
        ({"mount": "fixed", "model": "maximet", "columns": ["TMP", "STATUS"]},
         'columns: "TMP" is not known; write "-" to pass a column over'),
        ({"mount": "fixed", "model": "maximet", "columns": ["TEMP"]},
         "columns: STATUS is missing: without it a broken sensor would go unnoticed"),
        ({"mount": "fixed", "model": "maximet", "columns": ["DIR", "CDIR", "STATUS"]},
         'columns: DIR and CDIR are both wind_direction; write "-" for one of them'),
        ({"mount": "vehicle", "model": "maximet", "columns": ["DIR", "CDIR", "STATUS"]},
         "columns: CDIR without CSPEED is turned by the compass, yet not true wind"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def test_no_word_of_report_is_in_two_tables() -> None:
    assert not IGNORED & COLUMNS.keys()


MAXIMET = Config(
    mount="fixed", model="maximet",
    columns=tuple(sim.REPORT.replace("CDIR", "-").split()),
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "config", "quantity"),
    [("windsonic", SONIC, "wind_speed"), ("maximet", MAXIMET, "temperature")],
)
async def test_twin_with_every_fault(
    tmp_path: Path, model: str, config: Config, quantity: str
) -> None:
    async with Line(tmp_path / "gill") as line:
        twin = sim.Twin(line, model=model, period_s=0.02)
        await trials.stands_all_faults(line, twin, Driver(config), quantity, (35.0, 12.5))
        assert not twin.heard


async def test_broken_sensors_of_both_twins(tmp_path: Path) -> None:
    async with Line(tmp_path / "gill") as line:
        twin = sim.Twin(line, model="maximet", period_s=0.02)
        async with trials.playing(line, twin, Driver(MAXIMET)) as got:
            twin.set(temperature=None)
            await got.reads("temperature", None, FAULT)
            twin.set(temperature=5.0, wind_speed=0.0)
            await got.reads("wind_direction", 229.0, STALE)
            await got.reads("temperature", 5.0)
        assert {s.quality for s in got.of("pressure")} == {GOOD}


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "gill") as line:
        twin = sim.Twin(line, period_s=0.02)
        await trials.comes_back_when_replugged(
            line, twin, lambda: Driver(SONIC), "wind_speed", (3.5, 7.0)
        )
