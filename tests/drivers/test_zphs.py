"""Winsen ZPHS01B: the checked frame, its twin's faults, what cannot be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.ninebyte import QUESTION
from drivers.sim import zphs as sim
from drivers.sim.line import Line
from drivers.zphs import QUANTITIES, Config, Decoder, Driver

from . import trials

CHECKED = bytes.fromhex(
    "FF 86 00 0C 00 23 00 32 02 60 01 02 DF 00 41 00 25 00 23 00 02 00 05 00 00 45"
)
ROWS: list[trials.Row] = [
    ("pm1", 12.0, "ug/m3", Quality.GOOD, 1000.0),
    ("pm2_5", 35.0, "ug/m3", Quality.GOOD, 1000.0),
    ("pm10", 50.0, "ug/m3", Quality.GOOD, 1000.0),
    ("co2", 608.0, "ppm", Quality.GOOD, 5000.0),
    ("voc_grade", 1.0, "/", Quality.GOOD, None),
    ("temperature", 23.5, "Cel", Quality.GOOD, None),
    ("humidity", 65.0, "%RH", Quality.GOOD, None),
    # 0.037 mg/m3 at 20 C.
    ("ch2o", 0.029642, "ppm", Quality.GOOD, None),
    ("co", 3.5, "ppm", Quality.GOOD, 500.0),
    ("o3", 0.02, "ppm", Quality.GOOD, 10.0),
    ("no2", 0.05, "ppm", Quality.GOOD, 10.0),
]


def test_the_checked_frame() -> None:
    trials.same_however_cut(Decoder, CHECKED, ROWS)
    trials.same_however_cut(Decoder, CHECKED * 3, ROWS * 3)
    assert [row[0] for row in ROWS] == list(QUANTITIES)


def test_the_echo_of_the_question_is_no_noise() -> None:
    decoder = Decoder()
    assert trials.rows(decoder.feed(QUESTION + CHECKED, 0.0)) == ROWS
    assert decoder.counters.bytes_dropped == 0


def test_some_quantities_and_another_offset() -> None:
    config = Config(quantities=("co", "temperature"), temperature_offset=435)
    assert [row[:2] for row in trials.rows(Decoder(config).feed(CHECKED, 0.0))] == [
        ("temperature", 30.0), ("co", 3.5)]  # fmt: skip
    assert config.measures() == ("co", "temperature")


def test_what_no_board_can_feel_is_a_fault() -> None:
    twin = sim.Twin(Line(Path("unused")))
    twin.set(temperature=None, humidity=120.0, voc_grade=7, co=900.0)
    got = {row[0]: row[1:] for row in trials.rows(Decoder().feed(twin.reply(), 0.0))}
    assert got["temperature"] == (None, "Cel", Quality.FAULT, None)
    assert got["humidity"] == (None, "%RH", Quality.FAULT, None)
    assert got["voc_grade"] == (None, "/", Quality.FAULT, None)
    assert got["co"] == (900.0, "ppm", Quality.OVER_RANGE, 500.0)


def test_warm_up() -> None:
    decoder = Decoder(Config(warmup_s=180.0, quantities=("co",)))
    assert trials.rows(decoder.feed(CHECKED, 10.0))[0][3] is Quality.WARMUP
    assert trials.rows(decoder.feed(CHECKED, 190.0))[0][3] is Quality.GOOD


def test_a_flipped_bit() -> None:
    trials.never_wrong_for_a_flipped_bit(Decoder, CHECKED)
    trials.never_wrong_for_a_flipped_bit(Decoder, CHECKED, around=CHECKED)


@given(st.binary(max_size=200))
def test_garbage_is_never_raised_and_holds_nothing_back(data: bytes) -> None:
    decoder = Decoder()
    decoder.feed(data, 0.0)
    decoder.settle()
    assert trials.rows(decoder.feed(CHECKED, 1.0)) == ROWS


def test_a_false_header_holds_the_reply_back_until_the_line_is_quiet() -> None:
    decoder = Decoder()
    early = decoder.feed(b"\xff\x86" + CHECKED, 0.0)
    assert trials.rows(early + decoder.settle()) == ROWS
    assert decoder.counters.bytes_dropped == 2


@pytest.mark.parametrize("echo", [False, True])
async def test_twin_with_every_fault(tmp_path: Path, echo: bool) -> None:
    config = Config(period_s=0.06, timeout_s=0.3)
    async with Line(tmp_path / "board") as line:
        twin = sim.Twin(line, echo=echo)
        # An echo is a frame of its own on the twin's line.
        slack = 8 if echo else 1
        await trials.stands_all_faults(
            line, twin, Driver(config), "co", (35.0, 12.5), slack=slack, checked=not echo
        )
        assert set(twin.commands) == {QUESTION}


async def test_unplugged_and_back(tmp_path: Path) -> None:
    config = Config(period_s=0.05)
    async with Line(tmp_path / "board") as line:
        await trials.comes_back_when_replugged(
            line, sim.Twin(line), lambda: Driver(config), "no2", (0.05, 1.5)
        )


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"quantities": ["pm25"]}, 'quantities: expected some of pm1, pm2_5, pm10, co2,'),
        ({"quantities": []}, "quantities: expected at least one"),
        ({"period_s": 0, "temperature_offset": -1},
         "period_s: expected more than 0, read 0\ntemperature_offset: expected 0 or more, read -1"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)
