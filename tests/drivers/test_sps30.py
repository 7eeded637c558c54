"""Sensirion SPS30: the datasheet's frames, stuffing, and that nothing is started unasked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.sim import sps30 as sim
from drivers.sim.line import Line
from drivers.sps30 import READ, START, Config, Decoder, Driver, question, unstuffed

from . import trials

CHECKED = bytes.fromhex(
    "7E 00 03 00 28 41 A0 00 00 42 0C 00 00 42 28 00 00 42 48 00 00 43 0C 00 00 43 20 00 00 43 25"
    " 00 00 43 26 00 00 43 26 80 00 3F 0C CC CD 61 7E"
)
NO_NEW_DATA = bytes.fromhex("7E 00 03 00 00 FC 7E")
NOT_STARTED = bytes.fromhex("7E 00 00 43 00 BC 7E")
STARTED = bytes.fromhex("7E 00 00 00 00 FF 7E")
NOW = Config(warmup_s=0.0)


def mass(*values: float | None, quality: Quality = Quality.GOOD) -> list[trials.Row]:
    names = ("pm1", "pm2_5", "pm4", "pm10")
    return [
        (name, value, "ug/m3", quality, 1000.0) for name, value in zip(names, values, strict=True)
    ]


ROWS = mass(20.0, 35.0, 42.0, 50.0)


def test_the_checked_frames() -> None:
    trials.same_however_cut(lambda: Decoder(NOW), CHECKED, ROWS)
    trials.same_however_cut(lambda: Decoder(NOW), CHECKED + NO_NEW_DATA + CHECKED, ROWS * 2)
    assert question(0, READ).hex() == "7e000300fc7e"
    assert question(0, START, b"\x01\x03").hex() == "7e0000020103f97e"
    for frame in (NO_NEW_DATA, STARTED, bytes.fromhex("7E 00 01 00 FE 7E")):
        assert Decoder(NOW).feed(frame, 0.0) == []


def test_counts() -> None:
    got = trials.rows(Decoder(Config(counts=True, warmup_s=0)).feed(CHECKED, 0.0))
    assert [row[:3] for row in got[4:]] == [
        ("pn0_5", 140.0, "1/cm3"), ("pn1", 160.0, "1/cm3"), ("pn2_5", 165.0, "1/cm3"),
        ("pn4", 166.0, "1/cm3"), ("pn10", 166.5, "1/cm3"), ("particle_size", 0.55, "um"),
    ]  # fmt: skip


@given(st.lists(st.floats(0, 900, width=32), min_size=10, max_size=10))
def test_whatever_is_stuffed_is_read(values: list[float]) -> None:
    frame = sim.frame(0, 3, 0, 40, *struct.pack(">10f", *values))
    got = Decoder(NOW).feed(frame, 0.0)
    assert [row[1] for row in trials.rows(got)] == [float(f"{v:.7g}") for v in values[:4]]


def test_stuffing_by_the_table() -> None:
    assert unstuffed(bytes.fromhex("01 7D5E 7D5D 7D31 7D33")) == bytes.fromhex("017E7D1113")
    assert unstuffed(b"\x7d\x00") is None
    assert unstuffed(b"\x01\x7d") is None
    assert question(0x11, 0x7E) == sim.frame(0x11, 0x7E, 0)


def test_states(caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder()
    assert trials.rows(decoder.feed(CHECKED, 1.0)) == mass(20, 35, 42, 50, quality=Quality.WARMUP)
    assert trials.rows(decoder.feed(CHECKED, 31.0)) == ROWS
    fault = mass(None, None, None, None, quality=Quality.FAULT)
    assert trials.rows(decoder.feed(sim.frame(0, 3, 0x43, 0), 32.0)) == fault
    assert decoder.stopped
    data = CHECKED[5:-2]
    assert trials.rows(decoder.feed(sim.frame(0, 3, 0x80, 40, *data), 33.0)) == fault
    assert not decoder.stopped
    assert trials.rows(decoder.feed(sim.frame(0, 3, 0, 4, 1, 2, 3, 4), 33.0)) == fault
    assert [r.getMessage() for r in caplog.records] == [
        "sps30: command 03: state 43 (not allowed in the current state): start = true would start"
        " it",
        "sps30: command 03: state 80 (a device error)",
    ]
    wild = struct.pack(">10f", float("nan"), -1.0, 1000.0, float("inf"), *[0.0] * 6)
    got = trials.rows(decoder.feed(sim.frame(0, 3, 0, 40, *wild), 34.0))
    assert [row[1] for row in got] == [None, None, 1000.0, None]
    assert got[2][3] is Quality.OVER_RANGE


def test_another_address_and_an_echo() -> None:
    decoder = Decoder(Config(address=2, warmup_s=0))
    assert decoder.feed(CHECKED, 0.0) == []
    assert not decoder.answered
    decoder = Decoder(NOW)
    assert trials.rows(decoder.feed(question(0, READ) + CHECKED, 0.0)) == ROWS
    assert decoder.counters.bytes_dropped == 0


def test_a_flipped_bit() -> None:
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(NOW), CHECKED)
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(NOW), CHECKED, around=CHECKED)


def test_a_wrong_checksum_is_counted() -> None:
    decoder = Decoder(NOW)
    assert trials.rows(decoder.feed(CHECKED[:-2] + b"\x62\x7e" + CHECKED, 0.0)) == ROWS
    assert decoder.counters.bad_checksums == 1


@given(st.binary(max_size=300))
def test_garbage_is_never_raised_and_holds_nothing_back(data: bytes) -> None:
    decoder = Decoder(NOW)
    decoder.feed(data, 0.0)
    decoder.expect()
    assert trials.rows(decoder.feed(CHECKED, 1.0)) == ROWS


async def test_twin_with_every_fault(tmp_path: Path) -> None:
    config = Config(warmup_s=0.0, period_s=0.06, timeout_s=0.3)
    async with Line(tmp_path / "pm") as line:
        twin = sim.Twin(line, result_s=0.0)
        # What the line spoils is the last byte: the closing flag.
        await trials.stands_all_faults(
            line, twin, Driver(config), "pm2_5", (35.0, 120.0), checked=False
        )
        assert set(twin.commands) == {b"\x03"}


async def test_it_is_started_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with Line(tmp_path / "pm") as line:
        twin = sim.Twin(line, measuring=False, result_s=0.0)
        config = Config(warmup_s=0.0, period_s=0.05)
        async with trials.playing(line, twin, Driver(config)) as got:
            await got.reads("pm10", None, Quality.FAULT)
        assert set(twin.commands) == {b"\x03"}
        starting = Config(start=True, warmup_s=0.0, period_s=0.05)
        async with trials.playing(line, twin, Driver(starting)) as got:
            await got.reads("pm10", 15.0)
            # Its supply failed for a moment.
            twin.measuring = False
            await got.reads("pm10", None, Quality.FAULT)
            await got.reads("pm10", 15.0)
        assert set(twin.commands) == {b"\x03", b"\x00\x01\x03"}
        assert list(twin.commands).count(b"\x00\x01\x03") == 2


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "pm") as line:
        await trials.comes_back_when_replugged(
            line,
            sim.Twin(line, result_s=0.0),
            lambda: Driver(Config(warmup_s=0.0, period_s=0.05)),
            "pm2_5",
            (35.0, 7.0),
        )


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"start": "yes"}, "Expected `bool`, got `str`"),
        ({"address": 255, "period_s": 0, "warmup_s": -1},
         "address: expected 0 to 254, read 255\nperiod_s: expected more than 0, read 0\n"
         "warmup_s: expected 0 or more, read -1"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)
