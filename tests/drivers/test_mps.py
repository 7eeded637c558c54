"""NevadaNano MPS: the checked frames, a frozen sensor, and that nothing is started unasked."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.mps import GASES, QUESTION, START, Config, Decoder, Driver
from drivers.sim import mps as sim
from drivers.sim.line import Line

from . import trials

CHECKED = bytes.fromhex(
    "01 00 1C 00 A9 9E D2 04 00 00 00 00 48 41 03 00 00 00 00 00 BC 41 D7 A3 CA 42 66 66 82 42"
    " CD CC 5C 41"
)
ROWS: list[trials.Row] = [
    ("combustible", 12.5, "%LEL", Quality.GOOD, 100.0),
    ("gas_class", 3.0, "/", Quality.GOOD, None),
    ("temperature", 23.5, "Cel", Quality.GOOD, None),
    ("pressure", 1013.2, "hPa", Quality.GOOD, None),
    ("humidity", 65.2, "%RH", Quality.GOOD, None),
]
LEL = ("combustible", None, "%LEL", Quality.FAULT, 100.0)


def answer(cycle: int, lel: float = 12.5, gas: int = 3, status: int = 0, **air: float) -> bytes:
    values = {"t": 23.5, "p": 101.32, "rh": 65.2, **air}
    payload = struct.pack("<ifIffff", cycle, lel, gas, values["t"], values["p"], values["rh"], 13.8)
    return sim.frame(1, status, payload)


def started(**keys: Any) -> Decoder:
    """A decoder that has seen the number before the checked frame's."""
    decoder = Decoder(Config(**keys))
    decoder.feed(answer(1233), 0.0)
    return decoder


def test_the_checked_frames() -> None:
    assert answer(1234) == CHECKED
    trials.same_however_cut(Decoder, answer(1233) + CHECKED, ROWS)
    trials.same_however_cut(Decoder, answer(1233) + CHECKED + answer(1235), ROWS * 2)
    assert QUESTION.hex() == "010000000000ed76"
    assert {name: data.hex() for name, data in START.items()} == {
        "iso": "610001000000579302", "iec": "61000100000035b722"}  # fmt: skip


def test_a_result_counts_once_and_not_before_the_number_has_moved() -> None:
    decoder = Decoder()
    assert decoder.feed(answer(7), 0.0) == []
    assert decoder.feed(answer(7), 2.0) == []
    assert len(decoder.feed(answer(8), 4.0)) == 5
    assert decoder.feed(answer(8), 6.0) == []
    # It has restarted, and may not measure any more.
    assert decoder.feed(answer(0), 8.0) == []
    assert len(decoder.feed(answer(1), 10.0)) == 5


def test_a_number_that_stands_still_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    decoder = started()
    assert trials.rows(decoder.feed(CHECKED, 2.0)) == ROWS
    assert [trials.rows(decoder.feed(CHECKED, t)) for t in (4.0, 11.9)] == [[], []]
    assert [trials.rows(decoder.feed(CHECKED, t)) for t in (12.0, 14.0)] == [[LEL], [LEL]]
    assert [r.getMessage() for r in caplog.records] == [
        "mps: its result 1234 has not changed for 10 s: it does not measure"
        ' (start = "iso" in the configuration would start it)'
    ]
    assert trials.rows(decoder.feed(answer(1235), 16.0)) == ROWS


@pytest.mark.parametrize("status", [0x20, 0x3F, 0xFF, 3])
def test_an_error_with_a_payload_is_a_fault_without_a_value(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert trials.rows(started().feed(answer(1234, status=status), 2.0)) == [LEL]
    assert f"status {status:02X}" in caplog.text
    assert trials.rows(started().feed(sim.frame(1, status), 2.0)) == [LEL]


@pytest.mark.parametrize(
    ("lel", "gas", "value", "quality"),
    [
        (12.5, 253, 12.5, Quality.GOOD),
        (0.0, 254, 0.0, Quality.UNDER_RANGE),
        (100.0, 255, 100.0, Quality.OVER_RANGE),
        (130.0, 6, 130.0, Quality.OVER_RANGE),
        (-12.0, 0, -12.0, Quality.UNDER_RANGE),
        (12.5, 17, None, Quality.FAULT),
        (float("nan"), 3, None, Quality.FAULT),
        (float("inf"), 3, None, Quality.FAULT),
    ],
)
def test_ends_of_the_range(lel: float, gas: int, value: float | None, quality: Quality) -> None:
    row = trials.rows(started().feed(answer(1234, lel, gas), 2.0))[0]
    assert row == ("combustible", value, "%LEL", quality, 100.0)


def test_air_that_no_sensor_can_feel_is_a_fault() -> None:
    data = answer(1234, t=float("nan"), p=0.0, rh=140.0)
    got = trials.rows(started().feed(data, 2.0))
    assert [row[1:4:2] for row in got[2:]] == [(None, Quality.FAULT)] * 3
    assert got[0] == ROWS[0]


def test_warm_up_keeps_the_value() -> None:
    got = trials.rows(started(warmup_s=60.0).feed(CHECKED, 2.0))
    assert got[0] == ("combustible", 12.5, "%LEL", Quality.WARMUP, 100.0)


def test_a_flipped_bit() -> None:
    trials.never_wrong_for_a_flipped_bit(started, CHECKED, around=b"")
    trials.never_wrong_for_a_flipped_bit(started, CHECKED, around=answer(1235, gas=3))


@given(st.binary(max_size=200))
def test_garbage_is_never_raised_and_holds_nothing_back(data: bytes) -> None:
    decoder = Decoder()
    decoder.feed(data, 0.0)
    decoder.expect()
    decoder.feed(answer(0x7FFFFFF0), 1.0)
    assert trials.rows(decoder.feed(answer(0x7FFFFFFF), 2.0)) == ROWS


def test_an_echo_is_no_noise() -> None:
    for question in (QUESTION, *START.values()):
        for cut in range(len(question)):
            decoder = started()
            got = decoder.feed(question[:cut], 2.0) + decoder.feed(question[cut:] + CHECKED, 2.0)
            assert trials.rows(got) == ROWS
            assert decoder.counters.bytes_dropped == 0


async def test_twin_with_every_fault(tmp_path: Path) -> None:
    config = Config(period_s=0.06, timeout_s=0.3)
    async with Line(tmp_path / "mps") as line:
        twin = sim.Twin(line, cycle_s=0.01)
        await trials.stands_all_faults(
            line, twin, Driver(config), "combustible", (12.5, 40.0), slack=2
        )
        assert set(twin.commands) == {(1, b"")}


async def test_a_frozen_twin_and_one_with_a_hardware_error(tmp_path: Path) -> None:
    config = Config(period_s=0.05, frozen_s=0.2)
    async with Line(tmp_path / "mps") as line:
        twin = sim.Twin(line, cycle_s=0.01)
        async with trials.playing(line, twin, Driver(config)) as got:
            await got.reads("combustible", 0.0)
            twin.frozen = True
            await got.reads("combustible", None, Quality.FAULT)
            twin.frozen = False
            await got.reads("combustible", 0.0)
            twin.set(combustible=None)
            await got.reads("combustible", None, Quality.FAULT)
            twin.set(combustible=101.0, gas_class=255)
            await got.reads("combustible", 101.0, Quality.OVER_RANGE)


async def test_it_is_started_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with Line(tmp_path / "mps") as line:
        twin = sim.Twin(line, cycle_s=0.01, measuring=False)
        silent = Driver(Config(period_s=0.05, frozen_s=0.2))
        async with trials.playing(line, twin, silent) as got:
            await got.reads("combustible", None, Quality.FAULT)
        assert not twin.measuring
        for _ in range(2):
            # The second time it measures already, and refuses.
            async with trials.playing(
                line, twin, Driver(Config(start="iec", period_s=0.05))
            ) as got:
                await got.reads("combustible", 0.0)
        assert [payload for command, payload in twin.commands if command == 0x61] == [b"\x22"] * 2
        assert {command for command, _ in twin.commands} == {1, 0x61}


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "mps") as line:
        await trials.comes_back_when_replugged(
            line,
            sim.Twin(line, cycle_s=0.01),
            lambda: Driver(Config(period_s=0.05)),
            "combustible",
            (12.5, 3.0),
        )


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"start": "en"}, "Invalid enum value 'en'"),
        ({"frozen_s": 3}, "frozen_s: expected at least two periods (4), read 3"),
        ({"timeout_s": 0, "warmup_s": -1},
         "timeout_s: expected more than 0, read 0\nwarmup_s: expected 0 or more, read -1"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def test_every_class_of_gas_has_a_name() -> None:
    assert set(GASES) == {*range(7), 253, 254, 255}
