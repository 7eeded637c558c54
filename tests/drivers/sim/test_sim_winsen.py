"""drivers/sim/winsen.py: the data sheets' frames, commands, and the module on a real pty."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from drivers.checksum import negated_sum8
from drivers.sim.line import Line
from drivers.sim.winsen import MODULES, Twin, frame
from tests.drivers.sim.client import client, receive
from tests.waiting import until

READ = bytes.fromhex("FF 01 86 00 00 00 00 00 79")


def make(**options: Any) -> Twin:
    return Twin(Line(Path("unused")), **options)


def test_the_checksum_is_the_standard_s_and_not_only_ours() -> None:
    for body in (
        [0] * 7,
        [0xFF] * 7,
        [1, 0x86, 0, 0, 0, 0, 0],
        [250, 251, 252, 253, 254, 255, 9],
    ):
        made = frame(*body)
        assert len(made) == 9
        assert made[8] == negated_sum8(made[1:8])
    with pytest.raises(ValueError, match="has 7 bytes between FF and checksum, not 6"):
        frame(1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("options", "values", "golden"),
    [
        ({"module": "ze07"}, {"co": 3.7}, "FF 04 03 01 00 25 13 88 38"),
        ({"module": "ze07"}, {"co": 35.0}, "FF 04 03 01 01 5E 13 88 FE"),
        ({"module": "ze15"}, {"co": 12.0}, "FF 04 03 01 00 78 13 88 E5"),
        ({"module": "ze03", "gas": "h2s"}, {"h2s": 12.0}, "FF 03 03 00 00 0C 00 64 8A"),
        ({"module": "ze08"}, {"ch2o": 0.037}, "FF 17 04 00 00 25 07 D0 E9"),
        ({"module": "ze03", "gas": "o2"}, {"o2": 20.9}, "FF 86 00 D1 00 00 00 00 A9"),
        (
            {"module": "ze03", "gas": "co", "layout": "86"},
            {"co": 200.0},
            "FF 86 00 C8 00 00 00 00 B2",
        ),
    ],
)
def test_active_frames_of_the_data_sheets(
    options: dict[str, str], values: dict[str, float], golden: str
) -> None:
    twin = make(**options)
    twin.set(**values)
    assert twin.active_frame() == bytes.fromhex(golden)


@pytest.mark.parametrize(
    ("options", "values", "golden"),
    [
        ({"module": "ze15"}, {"co": 120.0}, "FF 86 04 B0 00 00 00 00 C6"),
        ({"module": "ze15"}, {"co": None}, "FF 86 80 00 00 00 00 00 FA"),
        ({"module": "ze03", "gas": "o2"}, {"o2": 20.9}, "FF 86 00 D1 00 00 00 00 A9"),
        ({"module": "ze03", "gas": "co"}, {"co": 200.0}, "FF 86 00 C8 00 00 00 00 B2"),
        ({"module": "ZE08"}, {"ch2o": 0.037}, "FF 86 00 2E 00 00 00 25 27"),
        ({"module": "MH-Z19"}, {"co2": 608.0, "temperature": 31.0}, "FF 86 02 60 47 00 00 00 D1"),
        (
            {"module": "mh_441d"},
            {"combustible": 20.0, "temperature": 31.0},
            "FF 86 00 14 47 00 00 00 1F",
        ),
        (
            {"module": "zh03"},
            {"pm2_5": 35.0, "pm10": 50.0, "pm1": 20.0},
            "FF 86 00 23 00 32 00 14 11",
        ),
    ],
)
def test_replies_of_the_data_sheets(
    options: dict[str, str], values: dict[str, float | None], golden: str
) -> None:
    twin = make(**options)
    twin.set(**values)
    assert twin.query_frame() == bytes.fromhex(golden)


@pytest.mark.parametrize(
    ("value", "raw"), [(0.0, 0), (0.04, 0), (0.05, 1), (19.96, 200), (20.0, 200), (700.0, 200)]
)
def test_a_value_is_rounded_and_held_in_the_range(value: float, raw: int) -> None:
    twin = make(gas="cl2")
    twin.set(cl2=value)
    assert twin.active_frame() == frame(0x31, 3, 1, 0, raw, 0, 200)
    twin.set(cl2=-value)
    assert twin.active_frame() == frame(0x31, 3, 1, 0, 0, 0, 200)


def test_a_cell_without_a_value_is_silent_where_the_module_has_no_word_for_it() -> None:
    for module, one in MODULES.items():
        twin = make(module=module)
        twin.set(**{twin.gas or "pm10": None})
        assert twin.active_frame() is None or one.query == "fault_bit" or not one.active
        assert (twin.query_frame() is None) == (one.query != "fault_bit")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"module": "ze99"}, "no Winsen module 'ze99', expected one of ze03, ze07"),
        ({"gas": "xe"}, "ze03 has no cell for 'xe', expected one of nh3"),
        ({"module": "mhz19", "mode": "active"}, "mhz19 speaks only when asked"),
        ({"mode": "loud"}, "'loud' is not a valid Mode"),
        ({"gas": "o2", "layout": "gas"}, r"layout is 'gas', expected 'gas' \(not for o2\) or '86'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make(**options)


def test_what_it_does_not_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="does not measure 'co', only cl2"):
        make(gas="cl2").set(co=1.0)
    with pytest.raises(ValueError, match="cl2 is nan, expected a finite number or None"):
        make(gas="cl2").set(cl2=float("nan"))


async def test_an_active_module_speaks_until_it_is_told_to_answer(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = Twin(line, gas="cl2", period_s=0.01)
        running = asyncio.create_task(twin.run())
        with client(line.link) as fd:
            twin.set(cl2=1.2)
            spoken = frame(0x31, 3, 1, 0, 12, 0, 200)
            assert (await receive(fd, 45)).endswith(spoken)
            os.write(fd, bytes.fromhex("FF 01 78 04 00 00 00 00 83"))
            received = b""
            while bytes.fromhex("FF 78 01 00 00 00 00 00 87") not in received:
                received += await receive(fd, 1)
            assert received.endswith(bytes.fromhex("FF 78 01 00 00 00 00 00 87"))
            # Noise and a wrong checksum in front of the question.
            os.write(fd, b"\xff\x01" + READ[:-1] + b"\x00" + READ)
            assert await receive(fd, 9) == frame(0x86, 0, 12, 0, 0, 0, 0)
            os.write(fd, bytes.fromhex("FF 01 78 03 00 00 00 00 84"))
            assert (await receive(fd, 27)).endswith(spoken)
        running.cancel()


async def test_commands_are_remembered_and_calibrations_do_nothing(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = Twin(line, module="mhz19")
        running = asyncio.create_task(twin.run())
        twin.set(co2=608.0, temperature=31.0)
        with client(line.link) as fd:
            zero = bytes.fromhex("FF 01 87 00 00 00 00 00 78")
            os.write(fd, zero)
            await until(lambda: list(twin.commands) == [zero], "the command is seen")
            os.write(fd, READ)
            assert await receive(fd, 9) == bytes.fromhex("FF 86 02 60 47 00 00 00 D1")
        running.cancel()


async def test_ze15_is_silenced_by_the_first_question(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = Twin(line, module="ze15", period_s=0.01)
        running = asyncio.create_task(twin.run())
        with client(line.link) as fd:
            assert await receive(fd, 9)
            os.write(fd, READ)
            await until(lambda: twin.mode == "query", "the module is silenced")
        running.cancel()
