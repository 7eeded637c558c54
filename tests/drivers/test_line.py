"""Instruments that send lines of text: patterns, columns, checksums, state words, torn lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality, Span
from drivers.line import Config, Decoder, Driver, Field
from drivers.sim import text as sim
from drivers.sim.line import Fault, Line

from . import trials

MIGHTYOHM = Config(
    pattern=r"CPS, \d+, CPM, (?P<cpm>\d+), uSv/hr, (?P<dose>\d+\.\d+), (SLOW|FAST|INST)",
    fields={
        "dose": Field(quantity="dose_rate", unit="uSv/h"),
        "cpm": Field(quantity="count_rate", unit="1/min"),
    },
)
GAS_BOX = Config(
    columns=5,
    checksum="xor-nmea",
    fields={"3": Field(quantity="cl2", unit="ppm", full_scale=20.0)},
    status="5",
    states={"OK": Quality.GOOD, "WARM": Quality.WARMUP, "OVER": Quality.OVER_RANGE},
)
PROBE = Config(
    columns=2,
    separator=";",
    question="?M\r\n",
    fields={
        "1": Field(quantity="temperature", unit="Cel", valid_min=-40.0, valid_max=60.0),
        "2": Field(quantity="humidity", unit="%RH", valid_min=0.0, valid_max=100.0),
    },
)
COUNTER = b"CPS, 1, CPM, 22, uSv/hr, 0.12, SLOW\r\n"
COUNTED: list[trials.Row] = [
    ("dose_rate", 0.12, "uSv/h", Quality.GOOD, None),
    ("count_rate", 22.0, "1/min", Quality.GOOD, None),
]
CL2 = sim.sealed("GAS,CL2,1.25,PPM,OK")


def cl2(value: float | None, quality: Quality = Quality.GOOD) -> trials.Row:
    return ("cl2", value, "ppm", quality, 20.0)


def test_mightyohm_by_pattern() -> None:
    data = COUNTER[5:] + COUNTER * 2
    trials.same_however_cut(lambda: Decoder(MIGHTYOHM), data, COUNTED * 2)
    decoder = Decoder(MIGHTYOHM)
    decoder.feed(COUNTER * 3, 0.0)
    # The first line may be half a line.
    assert decoder.counters.bytes_dropped == len(COUNTER) - 2
    assert decoder.counters.frames == 2


def test_mightyohm_by_columns() -> None:
    config = Config(columns=7, fields={"6": Field(quantity="dose_rate", unit="uSv/h")})
    got = trials.rows(Decoder(config).feed(COUNTER * 2, 0.0))
    assert got == COUNTED[:1]


def test_a_sentence_that_we_did_not_seal() -> None:
    config = Config(
        columns=6, checksum="xor-nmea", fields={"4": Field(quantity="wind_speed", unit="m/s")}
    )
    got = Decoder(config).feed(b"$WIMWV,214.8,R,3.2,M,A*2E\r\n", 0.0)
    assert trials.rows(got) == [("wind_speed", 3.2, "m/s", Quality.GOOD, None)]


def test_lines_with_a_checksum_are_believed_from_the_first_on() -> None:
    assert CL2 == b"$GAS,CL2,1.25,PPM,OK*39\r\n"
    trials.same_however_cut(lambda: Decoder(GAS_BOX), CL2, [cl2(1.25)])
    for line in (b"GAS,CL2,1.25,PPM,OK*39\r", b"!GAS,CL2,1.25,PPM,OK*39\n"):
        assert trials.rows(Decoder(GAS_BOX).feed(line, 0.0)) == [cl2(1.25)]
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(GAS_BOX), CL2)
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(GAS_BOX), CL2, around=CL2)
    wrong = Decoder(GAS_BOX)
    assert wrong.feed(CL2[:-3] + b"3\r\nGAS,CL2,1.25,PPM,OK\r\n", 0.0) == []
    assert wrong.counters.bad_checksums == 1


@pytest.mark.parametrize(
    ("word", "value", "quality"),
    [
        ("OK", 1.5, Quality.GOOD),
        ("WARM", 1.5, Quality.WARMUP),
        ("OVER", 1.5, Quality.OVER_RANGE),
        ("FAIL", None, Quality.FAULT),
        ("ok", None, Quality.FAULT),
        ("", None, Quality.FAULT),
    ],
)
def test_words_of_state(word: str, value: float | None, quality: Quality) -> None:
    got = Decoder(GAS_BOX).feed(sim.sealed(f"GAS,CL2,1.5,PPM,{word}"), 0.0)
    assert trials.rows(got) == [cl2(value, quality)]


@pytest.mark.parametrize(
    ("text", "value", "quality"),
    [
        ("20.0", 20.0, Quality.OVER_RANGE),
        ("-2.5", -2.5, Quality.UNDER_RANGE),
        ("-1.0", -1.0, Quality.GOOD),
        ("1.2e0", 1.2, Quality.GOOD),
        ("", None, Quality.FAULT),
        ("----", None, Quality.FAULT),
        ("nan", None, Quality.FAULT),
        ("1e999", None, Quality.FAULT),
        ("1_0", None, Quality.FAULT),
        ("1,5", None, Quality.FAULT),
    ],
)
def test_numbers(text: str, value: float | None, quality: Quality) -> None:
    config = msgspec.structs.replace(GAS_BOX, columns=None, pattern=r"(?P<v>.*)/(?P<w>.*)",
                                     fields={"v": GAS_BOX.fields["3"]}, status="w")  # fmt: skip
    got = Decoder(config).feed(sim.sealed(f"{text}/OK"), 0.0)
    assert trials.rows(got) == [cl2(value, quality)]


def test_scale_offset_ppb_and_a_decimal_comma() -> None:
    config = Config(
        columns=2, separator=";", decimal=",", question="R\r",
        fields={
            "1": Field(quantity="o3", unit="ppb", full_scale=1000.0),
            "2": Field(quantity="temperature", unit="Cel", scale=0.1, offset=-50.0),
        },
    )  # fmt: skip
    assert trials.rows(Decoder(config).feed(b"37,5; 735\r", 0.0)) == [
        ("o3", 0.0375, "ppm", Quality.GOOD, 1.0),
        ("temperature", 23.5, "Cel", Quality.GOOD, None),
    ]
    assert [row[1] for row in trials.rows(Decoder(config).feed(b"37.5;1.000,5\r", 0.0))] == [
        None, None]  # fmt: skip


def test_implausible_is_a_fault() -> None:
    got = trials.rows(Decoder(PROBE).feed(b"123.5;-1\r\n", 0.0))
    assert got == [
        ("temperature", None, "Cel", Quality.FAULT, None),
        ("humidity", None, "%RH", Quality.FAULT, None),
    ]


def test_what_a_pause_has_torn_apart_is_dropped() -> None:
    config = Config(pattern=r"(?P<v>\d+)", fields={"v": Field(quantity="noise", unit="dB")})
    decoder = Decoder(config)
    assert decoder.feed(b"57\r\n58\r\n5", 0.0) != []
    # The rest of that line has been lost; 559 would be wrong.
    assert [row[1] for row in trials.rows(decoder.feed(b"59\r\n", 1.0))] == [59.0]
    assert decoder.counters.bytes_dropped == 3


def test_warm_up() -> None:
    config = msgspec.structs.replace(GAS_BOX, warmup_s=60.0)
    decoder = Decoder(config)
    assert trials.rows(decoder.feed(CL2, 0.0)) == [cl2(1.25, Quality.WARMUP)]
    assert trials.rows(decoder.feed(CL2, 60.0)) == [cl2(1.25)]


@given(st.binary(max_size=700))
def test_garbage_is_never_raised_and_soon_over(data: bytes) -> None:
    decoder = Decoder(GAS_BOX)
    decoder.feed(data, 0.0)
    assert trials.rows(decoder.feed(b"\r\n" + CL2, 0.1))[-1] == cl2(1.25)
    counted = Decoder(MIGHTYOHM)
    counted.feed(data, 0.0)
    assert trials.rows(counted.feed(b"\r\n" + COUNTER * 2, 0.1))[-2:] == COUNTED


def test_a_flood_without_a_line_end_is_not_kept() -> None:
    decoder = Decoder(GAS_BOX)
    for _ in range(50):
        decoder.feed(b"x" * 4096, 0.0)
    assert decoder.counters.bytes_dropped >= 50 * 4096 - 257


async def test_a_checked_twin_with_every_fault(tmp_path: Path) -> None:
    async with Line(tmp_path / "box") as line:
        twin = sim.Twin(line, format="checked", period_s=0.02)
        driver = Driver(msgspec.structs.replace(GAS_BOX, pause_s=0.01))
        await trials.stands_all_faults(line, twin, driver, "cl2", (1.25, 12.5))
        assert twin.heard == b""


async def test_a_twin_without_a_checksum(tmp_path: Path) -> None:
    async with Line(tmp_path / "tube") as line:
        twin = sim.Twin(line, period_s=0.02)
        driver = Driver(msgspec.structs.replace(MIGHTYOHM, pause_s=0.01))
        # Its last character spoilt, SLOW is no word that the pattern knows.
        await trials.stands_all_faults(
            line, twin, driver, "count_rate", (22.0, 30000.0), checked=False
        )


async def test_an_asked_twin_with_faults(tmp_path: Path) -> None:
    config = msgspec.structs.replace(PROBE, period_s=0.06, timeout_s=0.3)
    async with Line(tmp_path / "probe") as line:
        twin = sim.Twin(line, format="asked")
        # Neither checksum nor pattern: a spoilt last digit cannot be seen.
        await trials.stands_all_faults(
            line, twin, Driver(config), "temperature", (23.5, -7.5), slack=2, checked=False,
            faults=(Fault.CUT_FRAME,),
        )  # fmt: skip
        assert set(twin.heard.split(b"\r\n")) == {b"?M", b""}


async def test_states_of_the_twin(tmp_path: Path) -> None:
    async with Line(tmp_path / "box") as line:
        twin = sim.Twin(line, format="checked", period_s=0.02, warm=False)
        async with trials.playing(line, twin, Driver(GAS_BOX)) as got:
            await got.reads("cl2", 0.0, Quality.WARMUP)
            twin.warm = True
            await got.reads("cl2", 0.0)
            twin.set(cl2=33.0)
            await got.reads("cl2", 20.0, Quality.OVER_RANGE)
            twin.set(cl2=None)
            await got.reads("cl2", None, Quality.FAULT)


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "box") as line:
        await trials.comes_back_when_replugged(
            line,
            sim.Twin(line, format="checked", period_s=0.02),
            lambda: Driver(GAS_BOX),
            "cl2",
            (1.25, 7.0),
        )


ONE = {"1": {"quantity": "noise", "unit": "dB"}}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "missing required field `fields`"),
        ({"fields": {}, "columns": 1}, "fields: expected at least one"),
        ({"fields": ONE}, "pattern: expected either a pattern or the number of columns"),
        ({"fields": ONE, "columns": 1, "pattern": "x"},
         "pattern: expected either a pattern or the number of columns"),
        ({"fields": ONE, "pattern": "(?P<v>"}, "pattern: not a regular expression: missing )"),
        ({"fields": ONE, "pattern": "(?P<v>.)"}, 'fields: expected one of v, read "1"'),
        ({"fields": {"3": ONE["1"]}, "columns": 2}, 'fields: expected one of 1, 2, read "3"'),
        ({"fields": {"1": {"quantity": "Noise", "unit": "", "scale": 0}}, "columns": 1},
         'fields: 1: quantity: expected a name like dose_rate, read "Noise"\n'
         "fields: 1: unit: expected a unit, read nothing\n"
         "fields: 1: scale: expected a number other than 0"),
        ({"fields": {"1": {**ONE["1"], "valid_min": 9, "valid_max": 3, "full_scale": 0}},
          "columns": 1},
         "fields: 1: full_scale: expected more than 0, read 0\n"
         "fields: 1: valid_min: expected less than valid_max 3, read 9"),
        ({"fields": ONE, "columns": 1, "status": "2"}, 'status: expected one of 1, read "2"'),
        ({"fields": ONE, "columns": 1, "states": {"OK": "good"}},
         "states: expected with status, and only then"),
        ({"fields": ONE, "columns": 1, "states": {"OK": "fine"}}, "Invalid enum value 'fine'"),
        ({"fields": ONE, "columns": 1, "decimal": ","},
         'separator: expected another sign than decimal ","'),
        ({"fields": ONE, "columns": 1, "max_length": 4, "question": "µ", "pause_s": 0},
         "pause_s: expected more than 0, read 0\nmax_length: expected 8 to 1024, read 4\n"
         "question: expected ASCII characters"),
        ({"fields": {"1": {**ONE["1"], "units": "dB"}}, "columns": 1}, "unknown field `units`"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def test_it_says_what_it_measures() -> None:
    assert MIGHTYOHM.measures() == ("dose_rate", "count_rate")
    ozone = Field(quantity="o3", unit="ppb", full_scale=1000.0)
    assert Config(columns=1, fields={"1": ozone}).spans() == (
        Span(quantity="o3", unit="ppm", full_scale=1.0),
    )
