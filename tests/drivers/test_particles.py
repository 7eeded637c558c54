"""Plantower and Winsen particle sensors: the datasheets' frames, their twins' faults."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.particles import Config, Decoder, Driver
from drivers.sim import particles as sim
from drivers.sim.line import Line

from . import trials
from .ptys import pty, run_until

PMS = bytes.fromhex(
    "42 4D 00 1C 00 14 00 23 00 32 00 12 00 1F 00 2C 0B B8 03 84 00 96 00 0C 00 02 00 00 97 00 03"
    " F6"
)
ZH03B = bytes.fromhex("42 4D 00 14 00 00 00 00 00 00 00 14 00 23 00 32 00 00 00 00 00 00 01 0C")
NOW = Config(warmup_s=0.0)


def mass(*values: float, quality: Quality = Quality.GOOD) -> list[trials.Row]:
    names = ("pm1", "pm2_5", "pm10")
    return [
        (name, value, "ug/m3", quality, 1000.0) for name, value in zip(names, values, strict=True)
    ]


CHECKED = [(PMS, mass(18.0, 31.0, 44.0)), (ZH03B, mass(20.0, 35.0, 50.0))]


@pytest.mark.parametrize(("frame", "expected"), CHECKED)
def test_the_checked_frames(frame: bytes, expected: list[trials.Row]) -> None:
    trials.same_however_cut(lambda: Decoder(NOW), frame, expected)
    trials.same_however_cut(lambda: Decoder(NOW), frame * 3, expected * 3)


def test_factory_dust_and_counts() -> None:
    got = trials.rows(Decoder(Config(scale="factory", counts=True, warmup_s=0)).feed(PMS, 0.0))
    assert got[:3] == mass(20.0, 35.0, 50.0)
    assert [row[:3] for row in got[3:]] == [
        ("pn0_3", 30.0, "1/cm3"), ("pn0_5", 9.0, "1/cm3"), ("pn1", 1.5, "1/cm3"),
        ("pn2_5", 0.12, "1/cm3"), ("pn5", 0.02, "1/cm3"), ("pn10", 0.0, "1/cm3"),
    ]  # fmt: skip


def test_states(caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder()
    assert trials.rows(decoder.feed(PMS, 5.0)) == mass(18, 31, 44, quality=Quality.WARMUP)
    assert trials.rows(decoder.feed(PMS, 35.0)) == mass(18, 31, 44)
    full = sim.frame([0, 0, 0, 999, 1000, 1200, 0, 0, 0, 0, 0, 0, 0x9700])
    assert [row[3] for row in trials.rows(decoder.feed(full, 36.0))] == [
        Quality.GOOD, Quality.OVER_RANGE, Quality.OVER_RANGE]  # fmt: skip
    broken = sim.frame([0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0x9702])
    got = trials.rows(decoder.feed(broken * 2, 37.0))
    assert {(row[1], row[3]) for row in got} == {(None, Quality.FAULT)}
    assert [r.getMessage() for r in caplog.records] == ["particles: the sensor reports error 02"]


@pytest.mark.parametrize("frame", [PMS, ZH03B])
def test_a_flipped_bit(frame: bytes) -> None:
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(NOW), frame)
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(NOW), frame, around=frame)


@given(st.binary(max_size=200))
def test_garbage_is_never_raised_and_soon_over(data: bytes) -> None:
    decoder = Decoder(NOW)
    decoder.feed(data, 0.0)
    decoder.feed(PMS, 1.0)
    assert trials.rows(decoder.feed(PMS, 2.0))[-3:] == CHECKED[0][1]


async def test_nothing_is_written() -> None:
    async with pty() as (master, device):
        # Once the port is open: what came before it is flushed.
        asyncio.get_running_loop().call_later(0.05, os.write, master, PMS)
        await run_until(Driver(NOW), device, lambda got: len(got) >= 3)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)


@pytest.mark.parametrize("model", sim.MODELS)
async def test_twin_with_every_fault(tmp_path: Path, model: str) -> None:
    async with Line(tmp_path / "pm") as line:
        twin = sim.Twin(line, model=model, period_s=0.02)
        await trials.stands_all_faults(line, twin, Driver(NOW), "pm2_5", (35.0, 120.0))


async def test_a_broken_twin(tmp_path: Path) -> None:
    async with Line(tmp_path / "pm") as line:
        twin = sim.Twin(line, period_s=0.02)
        async with trials.playing(line, twin, Driver(NOW)) as got:
            await got.reads("pm10", 15.0)
            twin.set(pm10=None)
            await got.reads("pm10", None, Quality.FAULT)


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "pm") as line:
        await trials.comes_back_when_replugged(
            line, sim.Twin(line, period_s=0.02), lambda: Driver(NOW), "pm2_5", (35.0, 7.0)
        )


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"scale": "cf1"}, "Invalid enum value 'cf1'"),
        ({"full_scale": 0, "warmup_s": -1},
         "full_scale: expected more than 0, read 0\nwarmup_s: expected 0 or more, read -1"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)
