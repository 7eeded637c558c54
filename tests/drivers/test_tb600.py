"""EC Sense TB600: the maker's frame, its twin's faults, and the one word that may be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers import Quality
from drivers.ninebyte import QUESTION
from drivers.sim import tb600 as sim
from drivers.sim.line import Line
from drivers.tb600 import Config, Decoder, Driver

from . import trials

SHEET = bytes.fromhex("FF 86 2C 88 03 E8 27 10 A4")
CO = Config(gas="co", decimals=1)


def reading(value: int, mass: int = 0, full: int = 1000) -> bytes:
    return sim.frame(0x86, *mass.to_bytes(2), *full.to_bytes(2), *value.to_bytes(2))


def test_the_maker_s_frame() -> None:
    row = ("co", 1000.0, "ppm", Quality.OVER_RANGE, 1000.0)
    trials.same_however_cut(lambda: Decoder(CO), SHEET * 3, [row] * 3)
    trials.same_however_cut(
        lambda: Decoder(CO), reading(125) * 2, [("co", 12.5, "ppm", Quality.GOOD, 1000.0)] * 2
    )


def test_ppb_are_published_as_ppm() -> None:
    config = Config(gas="ch2o", decimals=0, unit="ppb")
    got = trials.rows(Decoder(config).feed(reading(37, full=5000) * 2, 0.0))
    assert got == [("ch2o", 0.037, "ppm", Quality.GOOD, 5.0)] * 2


def test_a_configured_range_and_warm_up() -> None:
    config = Config(gas="co", decimals=1, full_scale=500.0, warmup_s=60.0)
    decoder = Decoder(config)
    assert [row[3] for row in trials.rows(decoder.feed(reading(5100) * 2, 0.0))] == ["warmup"] * 2
    assert trials.rows(decoder.feed(reading(5100), 61.0)) == [
        ("co", 510.0, "ppm", Quality.OVER_RANGE, 500.0)
    ]


@pytest.mark.parametrize("value", [0, 1, 125, 9990])
def test_a_flipped_bit(value: int) -> None:
    frame = reading(value, mass=value * 2)
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(CO), frame, around=frame * 2)


@given(st.integers(1, 8), st.integers(0, 0x270F), st.integers(0, 0xFEFF))
@example(7, 0x14FF, 0)
def test_equal_frames_are_never_read_from_their_middle(start: int, value: int, mass: int) -> None:
    got = trials.rows(Decoder(CO).feed((reading(value, mass) * 5)[start:], 0.0))
    assert {row[1] for row in got} == {value / 10}


@given(st.binary(max_size=200))
def test_garbage_is_never_raised(data: bytes) -> None:
    decoder = Decoder(CO)
    decoder.feed(data, 0.0)
    decoder.feed(SHEET * 2, 1.0)
    assert decoder.feed(SHEET, 1.0)


@pytest.mark.parametrize("mode", ["active", "query"])
async def test_twin_with_every_fault(tmp_path: Path, mode: Literal["active", "query"]) -> None:
    config = Config(gas="co", decimals=1, mode=mode, period_s=0.06, timeout_s=0.3)
    async with Line(tmp_path / "gas") as line:
        twin = sim.Twin(line, mode=mode, period_s=0.02)
        await trials.stands_all_faults(line, twin, Driver(config), "co", (35.0, 12.5))
        assert set(twin.commands) == ({QUESTION} if mode == "query" else set())


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = sim.Twin(line, period_s=0.02)
        await trials.comes_back_when_replugged(line, twin, lambda: Driver(CO), "co", (35.0, 7.0))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"decimals": 1}, "missing required field `gas`"),
        ({"gas": "co"}, "missing required field `decimals`"),
        ({"gas": "CO", "decimals": 4},
         'gas: expected a formula in lower case like cl2, read "CO"\n'
         "decimals: expected 0 to 3, read 4"),
        ({"gas": "co", "decimals": 1, "full_scale": 0, "warmup_s": -1},
         "full_scale: expected more than 0, read 0\nwarmup_s: expected 0 or more, read -1"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)
