"""VE.Direct text: blocks, their checksum, HEX messages between them, and a twin on a real pty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality, Sample
from drivers.sim import vedirect as sim
from drivers.sim.line import Line
from drivers.vedirect import BLOCK_MAX, Config, Decoder, Driver

from .trials import (
    comes_back_when_replugged,
    never_wrong_for_a_flipped_bit,
    playing,
    rows,
    same_however_cut,
    stands_all_faults,
)

GOOD = Quality.GOOD
EVERY = Config(period_s=0)


def block(text: str) -> bytes:
    """`LABEL VALUE` words, comma between them; the checksum is worked out here a third time."""
    body = b"".join(b"\r\n" + part.strip().replace(" ", "\t").encode() for part in text.split(","))
    body += b"\r\nChecksum\t"
    return body + bytes((-sum(body) & 0xFF,))


BMV = block("PID 0x203, V 26201, T 24, I -1250, P -33, CE 0, SOC 998, TTG 2880, Alarm OFF, AR 0")
BMV_ROWS = [
    ("voltage", 26.201, "V", GOOD, None),
    ("cell_temperature", 24.0, "Cel", GOOD, None),
    ("current", -1.25, "A", GOOD, None),
    ("power", -33.0, "W", GOOD, None),
    ("battery", 99.8, "%EL", GOOD, None),
    ("time_left", 172800.0, "s", GOOD, None),
]
MPPT = block("PID 0xA053, V 13430, I 4200, VPV 18600, PPV 57, CS 3, ERR 0, LOAD ON, IL 600")
MPPT_ROWS = [
    ("voltage", 13.43, "V", GOOD, None),
    ("current", 4.2, "A", GOOD, None),
    ("solar_voltage", 18.6, "V", GOOD, None),
    ("solar_power", 57.0, "W", GOOD, None),
    ("load_current", 0.6, "A", GOOD, None),
]
HEX = b":A8DED00200523\n"


def make() -> Decoder:
    return Decoder(EVERY)


def one(text: str) -> list[tuple[str, float | None, Quality]]:
    return [row[:2] + row[3:4] for row in rows(make().feed(block(text), 0.0))]


@pytest.mark.parametrize(("data", "expected"), [(BMV, BMV_ROWS), (MPPT, MPPT_ROWS)])
def test_a_block_however_it_is_cut(data: bytes, expected: Any) -> None:
    same_however_cut(make, data * 3, expected * 3)
    same_however_cut(make, HEX + data + HEX + data, expected * 2)


def test_hex_messages_are_no_noise() -> None:
    decoder = make()
    decoder.feed(BMV + HEX + BMV, 0.0)
    assert (decoder.counters.frames, decoder.counters.bytes_dropped) == (2, 0)


@pytest.mark.parametrize("data", [BMV, MPPT])
def test_a_flipped_bit_never_gives_a_wrong_value(data: bytes) -> None:
    never_wrong_for_a_flipped_bit(make, data, around=data)


@given(st.binary(max_size=300))
def test_garbage_is_counted_and_passes(noise: bytes) -> None:
    decoder = make()
    decoder.feed(noise, 0.0)
    decoder.feed(BMV, 1.0)
    assert rows(decoder.feed(BMV, 2.0)) == BMV_ROWS
    assert decoder.counters.bytes_read == len(noise) + 2 * len(BMV)


def test_what_never_ends_is_dropped() -> None:
    decoder = make()
    decoder.feed(b"\r\nV\t1" * BLOCK_MAX, 0.0)
    assert decoder.counters.bytes_dropped > BLOCK_MAX
    assert rows(decoder.feed(BMV + BMV, 1.0))[-6:] == BMV_ROWS


def test_a_wrong_sum_drops_its_block_and_no_more() -> None:
    decoder = make()
    spoilt = BMV.replace(b"26201", b"26301")
    assert rows(decoder.feed(spoilt + BMV, 0.0)) == BMV_ROWS
    assert decoder.counters.bad_checksums == 1
    assert decoder.counters.bytes_dropped == len(BMV)


def test_what_is_not_known_has_no_value() -> None:
    assert one("SOC ---, TTG -1, T ---") == [
        ("battery", None, Quality.FAULT),
        ("time_left", None, Quality.STALE),
        ("cell_temperature", None, Quality.FAULT),
    ]
    assert one("SOC 1001, V 9999999999, I 1.5") == [
        ("battery", None, Quality.FAULT),
        ("voltage", None, Quality.FAULT),
        ("current", None, Quality.FAULT),
    ]


def test_each_quantity_comes_once_a_period() -> None:
    decoder = Decoder(Config(period_s=5.0))
    times = [
        [s.at for s in decoder.feed(BMV, t) if isinstance(s, Sample) and s.quantity == "battery"]
        for t in (0.0, 1.0, 2.0, 3.0, 4.0, 4.9, 6.0, 9.95)
    ]
    assert times == [[0.0], [], [], [], [], [4.9], [], [9.95]]


def test_the_period_is_no_less_than_0() -> None:
    with pytest.raises(msgspec.ValidationError, match="period_s"):
        msgspec.convert({"period_s": -1.0}, Config)


@pytest.mark.parametrize("model", sim.MODELS)
async def test_a_twin_is_read(tmp_path: Path, model: str) -> None:
    async with Line(tmp_path / "ve") as line:
        twin = sim.Twin(line, model=model, period_s=0.02, hex_messages=True)
        twin.set(voltage=12.345, current=-0.5)
        driver = Driver(EVERY)
        async with playing(line, twin, driver) as got:
            await got.reads("voltage", 12.345)
            await got.reads("current", -0.5)
            if model == "bmv":
                twin.set(battery=34.5, time_left=None)
                await got.reads("battery", 34.5)
                await got.reads("time_left", None, Quality.STALE)
                twin.set(battery=None)
                await got.reads("battery", None, Quality.FAULT)
        assert driver.counters.bad_checksums == 0
        # A bus that only listens writes nothing.
        assert line.counters.bytes_read == 0


async def test_every_fault(tmp_path: Path) -> None:
    async with Line(tmp_path / "ve") as line:
        twin = sim.Twin(line, model="mppt", period_s=0.02)
        await stands_all_faults(line, twin, Driver(EVERY), "voltage", (12.8, 12.1))


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "ve") as line:
        twin = sim.Twin(line, model="mppt", period_s=0.02)
        await comes_back_when_replugged(line, twin, lambda: Driver(EVERY), "voltage", (12.8, 12.1))


def test_a_twin_refuses_what_it_cannot_measure(tmp_path: Path) -> None:
    line = Line(tmp_path / "ve")
    with pytest.raises(ValueError, match="no model 'x', expected one of bmv, mppt"):
        sim.Twin(line, model="x")
    with pytest.raises(ValueError, match="a mppt does not measure 'battery'"):
        sim.Twin(line, model="mppt").set(battery=1.0)
    with pytest.raises(ValueError, match="voltage is nan"):
        sim.Twin(line).set(voltage=float("nan"))
