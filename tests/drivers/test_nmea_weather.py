"""Weather in NMEA 0183: every sentence, apparent wind to true wind, the twin's faults."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Fix, Quality, Sample
from drivers.nmea_weather import Config, Decoder, Driver
from drivers.sim import nmea_weather as sim
from drivers.sim.line import Line
from drivers.truewind import Motion

from ..waiting import until
from . import trials

GOOD, FAULT, STALE = Quality.GOOD, Quality.FAULT, Quality.STALE
FIXED = Config(mount="fixed")
VEHICLE = Config()

MWV = b"$WIMWV,214.8,R,3.2,M,A*2E\r\n"
MDA = (
    b"$WIMDA,29.92,I,1.0132,B,23.5,C,,,65.2,,16.6,C,214.8,T,218.0,M,6.2,N,3.2,M*6D\r\n"
)  # fmt: skip
XDR = b"$WIXDR,C,23.5,C,TAIR,H,65.2,P,RH,P,1.0132,B,BARO*4A\r\n"

WIND: list[trials.Row] = [
    ("wind_speed", 3.2, "m/s", GOOD, 60.0),
    ("wind_direction", 214.8, "deg", GOOD, None),
]
APPARENT: list[trials.Row] = [
    ("wind_speed_apparent", 3.2, "m/s", GOOD, 60.0),
    ("wind_direction_apparent", 214.8, "deg", GOOD, None),
]
AIR: list[trials.Row] = [
    ("pressure", 1013.2, "hPa", GOOD, None),
    ("temperature", 23.5, "Cel", GOOD, None),
    ("humidity", 65.2, "%RH", GOOD, None),
    ("dew_point", 16.6, "Cel", GOOD, None),
]
XDR_ROWS = [AIR[1], AIR[2], AIR[0]]


def told(*bodies: str, config: Config = VEHICLE) -> list[trials.Row]:
    """Rows of the last of these sentences."""
    decoder = Decoder(config)
    rows: list[trials.Row] = []
    for body in bodies:
        rows = trials.rows(decoder.feed(sim.sentence(*body.split(",")), 0.0))
    return rows


def by_name(rows: list[trials.Row]) -> dict[str, tuple[float | None, Quality]]:
    return {row[0]: (row[1], row[3]) for row in rows}


@pytest.mark.parametrize(
    ("config", "data", "expected"),
    [
        (FIXED, MWV, WIND), (VEHICLE, MWV, APPARENT),
        (VEHICLE, MDA, [*AIR, *WIND]), (VEHICLE, XDR, XDR_ROWS),
        (FIXED, MWV + MDA + XDR, [*WIND, *AIR, *WIND, *XDR_ROWS]),
    ],
)  # fmt: skip
def test_checked_sentences(config: Config, data: bytes, expected: list[trials.Row]) -> None:
    trials.same_however_cut(lambda: Decoder(config), data * 2, expected * 2)
    decoder = Decoder(config)
    decoder.feed(data * 2, 0.0)
    assert decoder.counters.bytes_dropped == 0


def test_the_twin_s_sentences_are_the_checked_ones() -> None:
    assert sim.sentence("WIMWV", "214.8", "R", "3.2", "M", "A") == MWV


@pytest.mark.parametrize(
    ("unit", "speed"), [("K", 10.0), ("M", 36.0), ("N", 18.52), ("S", 16.0934), ("X", None)]
)
def test_units_of_mwv(unit: str, speed: float | None) -> None:
    row = told(f"WIMWV,090.0,R,36.0,{unit},A", config=FIXED)[0]
    assert (row[1], row[3]) == (speed, GOOD if speed else FAULT)


@pytest.mark.parametrize("config", [FIXED, VEHICLE])
@pytest.mark.parametrize(
    "body", ["WIMWV,214.8,R,3.2,M,V", "WIMWV,,R,,M,V", "WIMWV,400.0,R,3.2,M,A",
             "WIMWV,12.3.4,R,5.0,M,A", "WIMWV,nan,R,inf,M,A"],
)  # fmt: skip
def test_wind_that_is_void_or_malformed_is_a_fault(config: Config, body: str) -> None:
    rows = told(body, config=config)
    assert len(rows) == 2
    assert FAULT in {row[3] for row in rows}
    assert not any("direction" in row[0] and row[3] is GOOD for row in rows)


def test_a_fixed_mast_may_be_turned() -> None:
    rows = told("WIMWV,350.0,R,3.2,M,A", config=Config(mount="fixed", offset_deg=20.0))
    assert rows[1][:2] == ("wind_direction", 10.0)


def test_in_a_calm_the_last_direction_is_stale() -> None:
    rows = told("WIMWV,090.0,R,3.2,M,A", "WIMWV,,R,0.0,M,A", config=FIXED)
    assert by_name(rows) == {"wind_speed": (0.0, GOOD), "wind_direction": (90.0, STALE)}


@pytest.mark.parametrize("compass", ["HCHDT,90.0,T", "HCTHS,90.0,A", "HCHDG,94.5,,,4.5,W"])
def test_with_heading_and_speed_apparent_wind_becomes_true(compass: str) -> None:
    # 10 m/s to the east, nose to the east, 14 m/s felt from ahead: 4 m/s from the east.
    rows = told(compass, "GPVTG,90.0,T,,M,19.438,N,36.0,K,A", "WIMWV,0.0,R,14.0,M,A")
    got = by_name(rows)
    assert got["wind_speed_apparent"] == (14.0, GOOD)
    assert got["wind_direction_apparent"] == (0.0, GOOD)
    assert got["wind_speed"][0] == pytest.approx(4.0, abs=2e-3)
    assert got["wind_direction"][0] == pytest.approx(90.0, abs=0.05)
    assert got["wind_speed"][1] is got["wind_direction"][1] is GOOD


@given(
    st.floats(0.5, 30), st.floats(0, 359.9), st.floats(0.6, 40), st.floats(0, 359.9),
    st.floats(0, 359.9),
)  # fmt: skip
def test_what_the_mast_felt_is_undone(
    wind: float, wind_from: float, speed: float, track: float, heading: float
) -> None:
    felt, angle = sim.felt(wind, wind_from, speed, track, heading)
    motion = Motion(hold_s=3.0, standing_m_s=0.5, course_as_heading=False)
    motion.turn("HDT", heading, 0.0)
    motion.move(speed, track, 0.0)
    got = motion.true_wind(felt, angle, 1.0)
    assert got.speed == pytest.approx(wind, abs=1e-6)
    assert got.direction is not None
    apart = math.radians(got.direction - wind_from)
    assert math.cos(apart) == pytest.approx(1.0, abs=1e-9)


MOVING = "GPRMC,1,A,3035.5,N,11418.3,E,20.0,90.0,241126,,,A"
STANDING = "GPRMC,1,A,3035.5,N,11418.3,E,0.1,,241126,,,A"
FELT = "WIMWV,10.0,R,8.0,M,A"


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        ([], "speed"),
        (["HCHDT,90.0,T"], "speed"),
        ([MOVING], "heading"),
        (["HCHDT,,T", MOVING], "heading"),
        (["HCTHS,90.0,V", MOVING], "heading"),
        (["HCTHS,90.0,M", MOVING], "heading"),
        (["HCHDG,90.0,,,,", MOVING], "heading"),
        (["HCHDM,90.0,M", MOVING], "heading"),
        (["HCHDT,90.0,T", MOVING.replace(",A,", ",V,", 1)], "speed"),
        (["HCHDT,90.0,T", "GPVTG,,T,,M,20.0,N,37.0,K,A"], "course"),
        (["HCHDT,90.0,T", "GPVTG,90.0,T,,M,20.0,N,37.0,K,N"], "speed"),
        (["HCHDT,90.0,T", "GPVTG,90.0,T,,M,20.0,N,37.0,K,M"], "speed"),
    ],
)
def test_without_it_true_wind_is_not_told(
    before: list[str], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = told(*before, FELT)
    assert set(by_name(rows)) == {"wind_speed_apparent", "wind_direction_apparent"}
    assert f"nmea_weather: no {missing}: without it true wind is not known: $WIMWV" in caplog.text


def test_a_vehicle_that_stands_feels_true_wind() -> None:
    assert by_name(told(STANDING, FELT))["wind_speed"] == (8.0, GOOD)
    assert "wind_direction" not in by_name(told(STANDING, FELT))
    assert by_name(told(STANDING, "HCHDT,355.0,T", FELT))["wind_direction"] == (5.0, GOOD)


def test_once_told_it_says_that_it_no_longer_knows() -> None:
    assert by_name(told(STANDING, FELT, MOVING, FELT))["wind_speed"] == (None, STALE)
    decoder = Decoder(VEHICLE)
    for body in (MOVING, "HCHDT,90.0,T", FELT):
        decoder.feed(sim.sentence(*body.split(",")), 0.0)
    decoder.feed(sim.sentence(*MOVING.split(",")), 10.0)
    got = by_name(trials.rows(decoder.feed(sim.sentence(*FELT.split(",")), 10.0)))
    assert got["wind_speed"] == got["wind_direction"] == (None, FAULT)
    assert got["wind_speed_apparent"] == (8.0, GOOD)


def test_a_void_sensor_takes_true_wind_with_it() -> None:
    got = by_name(told(STANDING, FELT, "WIMWV,,R,,M,V"))
    assert got["wind_speed"] == (None, FAULT)


def test_a_course_is_a_heading_only_where_the_configuration_says_so() -> None:
    config = Config(course_as_heading=True)
    assert by_name(told(MOVING, FELT, config=config))["wind_speed"][1] is GOOD
    slow = MOVING.replace("20.0", "1.5")
    assert "wind_speed" not in by_name(told(slow, FELT, config=config))


def test_a_simulator_s_motion_makes_simulated_wind() -> None:
    simulated = MOVING.replace(",A,", ",V,", 1)[:-1] + "S"
    got = by_name(told(simulated, "HCHDT,90.0,T", FELT))
    assert got["wind_speed"][1] is got["wind_direction"][1] is Quality.SIMULATED
    assert got["wind_speed_apparent"][1] is GOOD
    got = by_name(told(STANDING, "HCTHS,90.0,S", FELT))
    assert got["wind_direction"] == (100.0, Quality.SIMULATED)


@pytest.mark.parametrize(
    ("before", "config", "direction"),
    [
        (["HCHDG,90.0,2.0,E,4.5,W"], VEHICLE, 97.5),
        (["HCHDM,90.0,M"], Config(variation_deg=-4.0), 96.0),
        ([STANDING.replace(",,,A", ",5.0,E,A"), "HCHDG,90.0,,,,"], VEHICLE, 105.0),
    ],
)
def test_a_magnetic_heading_needs_a_variation(
    before: list[str], config: Config, direction: float
) -> None:
    got = by_name(told(*before, STANDING, FELT, config=config))
    assert got["wind_direction"] == (direction, GOOD)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("WIMWD,214.8,T,218.0,M,6.2,N,3.2,M", {"wind_speed": 3.2, "wind_direction": 214.8}),
        ("WIMWD,214.8,T,,M,10.0,N,,M", {"wind_speed": 5.1444, "wind_direction": 214.8}),
        ("WIMWD,,T,218.0,M,,N,3.2,M", {"wind_speed": 3.2}),
        ("WIMWD,,T,,M,,N,,M", {}),
        ("WIMWD,,,,,,,,", {}),
    ],
)
def test_mwd(body: str, expected: dict[str, float]) -> None:
    assert {row[0]: row[1] for row in told(body)} == expected


def test_mwd_s_magnetic_direction_with_a_variation() -> None:
    rows = told("WIMWD,,T,218.0,M,,N,3.2,M", config=Config(variation_deg=-4.0))
    assert by_name(rows)["wind_direction"] == (214.0, GOOD)


def test_wind_that_the_instrument_made_true_is_not_contradicted() -> None:
    mwd = "WIMWD,214.8,T,218.0,M,6.2,N,3.2,M"
    assert set(by_name(told("HCHDT,90.0,T", MOVING, mwd, FELT))) == {
        "wind_speed_apparent", "wind_direction_apparent"
    }  # fmt: skip
    assert told(mwd, config=Config(trust_true=False)) == []


def test_mwv_t_counts_from_ahead() -> None:
    """Theoretical wind: its angle is no direction before a heading is added."""
    body = "WIMWV,350.0,T,3.2,M,A"
    assert by_name(told(body)) == {"wind_speed": (3.2, GOOD)}
    assert by_name(told("HCHDT,20.0,T", body))["wind_direction"] == (10.0, GOOD)
    assert told("HCHDT,20.0,T", body, config=Config(trust_true=False)) == []


@pytest.mark.parametrize(
    ("quad", "row"),
    [
        ("C,74.3,F,TAIR", ("temperature", 23.5, "Cel", GOOD, None)),
        ("P,101320,P,Barometer", ("pressure", 1013.2, "hPa", GOOD, None)),
        ("P,1009.5,H,BARO", ("pressure", 1009.5, "hPa", GOOD, None)),
        ("A,-2.5,D,PTCH", ("pitch", -2.5, "deg", GOOD, None)),
        ("C,23.5,K,TAIR", ("temperature", None, "Cel", FAULT, None)),
        ("C,2 3,C,TAIR", ("temperature", None, "Cel", FAULT, None)),
        ("H,652,P,RH", ("humidity", None, "%RH", FAULT, None)),
    ],
)
def test_xdr(quad: str, row: trials.Row) -> None:
    assert told(f"WIXDR,{quad}") == [row]


def test_xdr_s_names_can_be_configured(caplog: pytest.LogCaptureFixture) -> None:
    body = "WIXDR,C,23.3,C,0,H,50.1,P,0,P,1009.5,H,0,C,24.0,C,1,C,,C,9"
    config = Config(
        transducers={"C 0": "temperature", "H 0": "humidity", "p 0": "pressure", "C 1": ""}
    )
    assert {row[0]: row[1] for row in told(body, config=config)} == {
        "temperature": 23.3, "humidity": 50.1, "pressure": 1009.5
    }  # fmt: skip
    assert not caplog.records
    assert told(body) == []
    assert 'transducer "C 0" has no quantity: name it in transducers: $WIXDR' in caplog.text


def test_mda_without_bar_is_read_in_inches() -> None:
    rows = told("WIMDA,29.92,I,,,,,,,,,,,,,,,,,,")
    assert rows == [("pressure", 1013.2076, "hPa", GOOD, None)]
    assert told("WIMDA,29.92,I,101.32,B,,,,,,,,,,,,,,,,")[0][3] is FAULT


def test_a_position_only_where_it_is_asked_for() -> None:
    data = sim.sentence(
        "GPRMC", "103000.00", "A", "3035.58400", "N", "11418.35100", "E", "0.1", "", "241126",
        "", "", "A",
    )  # fmt: skip
    assert [*Decoder(VEHICLE).feed(data, 0.0), *Decoder(VEHICLE).flush(1.0)] == []
    decoder = Decoder(Config(position=True))
    assert decoder.feed(data, 0.0) == []
    assert decoder.pending
    (fix,) = decoder.flush(1.0)
    assert isinstance(fix, Fix)
    assert fix.lat == pytest.approx(30.593067, abs=1e-6)
    assert not decoder.pending


BURST = b"".join(
    sim.sentence(*body.split(",")) for body in (MOVING, "HCHDT,90.0,T", FELT)
) + MDA + XDR  # fmt: skip


def test_a_flipped_bit() -> None:
    for data in (MWV, MDA, XDR):
        trials.never_wrong_for_a_flipped_bit(lambda: Decoder(FIXED), data, around=data)


def test_a_flipped_bit_never_makes_apparent_wind_true() -> None:
    burst = BURST[: BURST.index(MDA)]
    clean = Decoder(VEHICLE)
    good = {(r[0], r[1]) for r in trials.rows(clean.feed(burst * 2, 0.0)) if r[3] is GOOD}
    for bit in range(8 * len(burst)):
        spoilt = bytearray(burst)
        spoilt[bit // 8] ^= 1 << bit % 8
        rows = trials.rows(Decoder(VEHICLE).feed(bytes(spoilt), 0.0))
        assert {(row[0], row[1]) for row in rows if row[3] is GOOD} <= good, f"bit {bit}"


@given(st.binary(max_size=200))
def test_garbage_is_never_raised(data: bytes) -> None:
    decoder = Decoder(FIXED)
    decoder.feed(data, 0.0)
    decoder.flush(0.5)
    decoder.feed(b"\r\n" + XDR, 1.0)
    assert trials.rows(decoder.feed(XDR, 1.0) + decoder.flush(2.0))[-3:] == XDR_ROWS


@given(
    st.sampled_from(["RMC", "VTG", "HDT", "THS", "HDG", "HDM", "MWV", "MWD", "MDA", "XDR"]),
    st.lists(st.sampled_from(["", "1", "-", "9e9", "A", "T", "M", "R", "0.1", "360", "C"]),
             max_size=24),
)  # fmt: skip
def test_any_fields_are_never_raised(kind: str, fields: list[str]) -> None:
    decoder = Decoder(VEHICLE)
    for body in ("HCHDT,90.0,T", STANDING):
        decoder.feed(sim.sentence(*body.split(",")), 0.0)
    decoder.feed(sim.sentence(f"WI{kind}", *fields), 0.0)
    for sample in decoder.feed(sim.sentence(*FELT.split(",")), 0.0):
        assert isinstance(sample, Sample)
        assert sample.value is None or math.isfinite(sample.value)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"mount": "boat"}, "Invalid enum value 'boat'"),
        ({"hold_s": 0}, "hold_s: expected more than 0, read 0"),
        ({"variation_deg": 400}, "variation_deg: expected -180 to 360, read 400"),
        ({"transducers": {"X": "Deck Heat"}},
         'transducers: X: expected a quantity like temperature, read "Deck Heat"'),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


@pytest.mark.parametrize("quantity", ["temperature", "wind_speed"])
async def test_twin_with_every_fault(tmp_path: Path, quantity: str) -> None:
    async with Line(tmp_path / "wx") as line:
        twin = sim.Twin(line, period_s=0.02)
        # Six sentences take turns; the fault may hit any of them.
        await trials.stands_all_faults(
            line, twin, Driver(Config(quiet_s=0.01)), quantity, (15.0, 12.5), slack=18
        )


@pytest.mark.parametrize("compass", ["hdt", "ths", "hdg"])
async def test_true_wind_from_a_twin_that_moves(tmp_path: Path, compass: str) -> None:
    async with Line(tmp_path / "wx") as line:
        twin = sim.Twin(line, compass=compass, period_s=0.02)
        twin.set(wind_speed=6.0, wind_direction=60.0, speed=12.0, track=45.0, heading=50.0)
        async with trials.playing(line, twin, Driver(VEHICLE)) as got:
            await until(lambda: bool(got.of("wind_direction")), "true wind is told")
            wind, direction = got.of("wind_speed")[-1], got.of("wind_direction")[-1]
            assert wind.value == pytest.approx(6.0, abs=0.02)
            assert direction.value == pytest.approx(60.0, abs=0.2)
            felt = got.of("wind_speed_apparent")[-1].value
            assert felt is not None
            assert felt > 15.0
            twin.set(wind_speed=None)
            await got.reads("wind_speed", None, FAULT)


async def test_a_twin_whose_compass_is_lost(tmp_path: Path) -> None:
    async with Line(tmp_path / "wx") as line:
        twin = sim.Twin(line, period_s=0.02)
        twin.set(speed=12.0, track=45.0, heading=50.0)
        async with trials.playing(line, twin, Driver(VEHICLE)) as got:
            await until(lambda: bool(got.of("wind_direction")), "true wind is told")
            twin.set(heading=None)
            await got.reads("wind_direction", None, FAULT)
            await got.reads("wind_speed", None, FAULT)


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "wx") as line:
        twin = sim.Twin(line, period_s=0.02)
        await trials.comes_back_when_replugged(
            line, twin, lambda: Driver(VEHICLE), "temperature", (15.0, 7.0)
        )
