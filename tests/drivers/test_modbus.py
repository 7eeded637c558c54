"""The Modbus master: datasheet frames, maps and their mistakes, dead units, an oracle."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import Fix, Quality, Sample
from drivers.checksum import crc16_modbus
from drivers.modbus import Config, Decoder, Driver
from drivers.modbus_map import Read, default_dir
from drivers.modbus_wire import question

from .ptys import pty, pty_pair, run_until

HEAD = Read(function=3, start=0, count=10)
CO = bytes.fromhex("03 03 14 00 00 00 2A 00 18 00 A0 03 E8 00 05 01 55 02 DF 05 00 02 8C 8B DB")
O2 = bytes.fromhex("02 03 14 44 00 00 D1 00 C3 00 E6 01 2C 00 01 01 55 02 DF 00 00 02 8C C4 A8")
STATION = bytes.fromhex(
    "01 03 20 00 20 00 02 00 05 00 D7 02 8C 00 EB 02 2C 00 23 00 32 27 94 00 00 2E E0 04 B0"
    " 00 00 00 0D 00 00 06 23"
)
AIR = [
    ("temperature", 23.5, "Cel", Quality.GOOD, None),
    ("humidity", 65.2, "%RH", Quality.GOOD, None),
]
CO_ROWS = [("co", 42.0, "ppm", Quality.GOOD, 1000.0), *AIR]
O2_ROWS = [("o2", 20.9, "/100", Quality.GOOD, 30.0), *AIR]


def rows(samples: list[Sample | Fix]) -> list[tuple[str, float | None, str, Quality, float | None]]:
    return [
        (s.quantity, s.value, s.unit, s.quality, s.full_scale)
        for s in samples
        if isinstance(s, Sample)
    ]


def sealed(*body: int) -> bytes:
    return bytes(body) + crc16_modbus(bytes(body)).to_bytes(2, "little")


def registers(address: int, *values: int, function: int = 3) -> bytes:
    data = b"".join(value.to_bytes(2) for value in values)
    return sealed(address, function, len(data), *data)


def head(address: int, **changes: int) -> bytes:
    """A six-in-one answer: co 42.0 ppm of 1000 unless changed."""
    r = {
        "reg0": 0,
        "raw": 42,
        "full": 1000,
        "state": 1,
        "temp": 735,
        "gas": 5,
        "rh": 652,
        **changes,
    }
    return registers(
        address, r["reg0"], r["raw"], 24, 160, r["full"], r["state"], 0x155, r["temp"],
        r["gas"] << 8, r["rh"],
    )  # fmt: skip


def asked(config: Config, address: int) -> Decoder:
    decoder = Decoder(config)
    decoder.ask(address, decoder.map.read[0])
    return decoder


def test_checked_questions() -> None:
    crcs = ["C5 CD", "C5 FE", "C4 2F", "C5 98", "C4 49", "C4 7A"]
    for address, crc in enumerate(crcs, 1):
        assert question(address, HEAD) == bytes((address, 3, 0, 0, 0, 10)) + bytes.fromhex(crc)
    assert question(1, Read(start=500, count=16)) == bytes.fromhex("01 03 01 F4 00 10 04 08")
    assert question(2, Read(start=0, count=1)) == bytes.fromhex("02 03 00 00 00 01 84 39")
    assert question(5, Read(start=6, count=1)) == bytes.fromhex("05 03 00 06 00 01 65 8F")


@pytest.mark.parametrize(("address", "frame", "expected"), [(3, CO, CO_ROWS), (2, O2, O2_ROWS)])
def test_six_in_one_whole_and_byte_by_byte(address, frame, expected) -> None:  # type: ignore[no-untyped-def]
    config = Config(addresses=(2, 3))
    assert rows(asked(config, address).feed(frame, 5.0)) == expected
    decoder = asked(config, address)
    pieces = [decoder.feed(frame[i : i + 1], 1.0 + i) for i in range(len(frame))]
    assert [len(piece) for piece in pieces[:-1]] == [0] * 24
    assert rows(pieces[-1]) == expected
    assert {s.at for s in pieces[-1]} == {1.0}
    assert decoder.counters.bytes_dropped == 0


def test_weather_station() -> None:
    """The example answer carries its 13 at 514, where the register table has radiation."""
    got = rows(asked(Config(map="weather_station"), 1).feed(STATION, 0.0))
    assert [(name, value, unit) for name, value, unit, _, _ in got] == [
        ("wind_speed", 3.2, "m/s"), ("wind_direction", 215.0, "deg"), ("humidity", 65.2, "%RH"),
        ("temperature", 23.5, "Cel"), ("noise", 55.6, "dB"), ("pm2_5", 35.0, "ug/m3"),
        ("pm10", 50.0, "ug/m3"), ("pressure", 1013.2, "hPa"), ("illuminance", 12000.0, "lx"),
        ("rain", 0.0, "mm"), ("radiation", 13.0, "W/m2"),
    ]  # fmt: skip
    assert {quality for *_, quality, _ in got} == {Quality.GOOD}


def test_weather_below_zero_and_out_of_every_weather() -> None:
    words = list(struct.unpack(">16H", STATION[3:-2]))
    words[5], words[9] = 0xFFCB, 2794 // 10
    got = asked(Config(map="weather_station"), 1).feed(registers(1, *words), 0.0)
    by_name = {s.quantity: s for s in got if isinstance(s, Sample)}
    assert by_name["temperature"].value == -5.3
    assert (by_name["pressure"].value, by_name["pressure"].quality) == (None, Quality.FAULT)


@pytest.mark.parametrize(
    ("type_", "order", "data", "value"),
    [
        ("f32", "ABCD", "41 A7 33 33", 20.9),
        ("f32", "CDAB", "33 33 41 A7", 20.9),
        ("f32", "BADC", "A7 41 33 33", 20.9),
        ("f32", "DCBA", "33 33 A7 41", 20.9),
        ("u32", "ABCD", "00 01 86 A0", 100000.0),
        ("u32", "CDAB", "86 A0 00 01", 100000.0),
        ("i32", "BADC", "FF FF FE FF", -2.0),
        ("i32", "DCBA", "FE FF FF FF", -2.0),
        ("i16", "AB", "FF FE", -2.0),
        ("i16", "BA", "FE FF", -2.0),
        ("u16", "", "FF FE", 65534.0),
    ],
)
def test_every_type_and_order(type_: str, order: str, data: str, value: float) -> None:
    config = Config(
        map="gas_transmitter",
        gases={"1": "o2"},
        override={"type": type_, "order": order, "scale": 1.0, "unit": "/100"},
    )
    raw = bytes.fromhex(data)
    got = asked(config, 1).feed(sealed(1, 3, len(raw), *raw), 0.0)
    assert rows(got) == [("o2", value, "/100", Quality.GOOD, None)]


@pytest.mark.parametrize(
    "frame",
    ["01 03 04 41 A7 33 33 0B 09", "01 03 04 33 33 41 A7 74 92", "01 03 04 33 33 A7 41 BF 78"],
)
def test_checked_float_answers_have_our_crc(frame: str) -> None:
    data = bytes.fromhex(frame)
    assert sealed(*data[:-2]) == data


def test_a_float_that_is_no_number_is_a_fault() -> None:
    config = Config(map="gas_transmitter", gases={"1": "co"}, override={"type": "f32"})
    got = asked(config, 1).feed(sealed(1, 3, 4, 0x7F, 0xC0, 0, 0), 0.0)
    assert rows(got) == [("co", None, "ppm", Quality.FAULT, None)]


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"state": 0}, ("co", 42.0, "ppm", Quality.WARMUP, 1000.0)),
        ({"state": 3}, ("co", None, "ppm", Quality.FAULT, 1000.0)),
        ({"state": 6}, ("co", 42.0, "ppm", Quality.GOOD, 1000.0)),
        ({"state": 8, "raw": 1000}, ("co", 1000.0, "ppm", Quality.OVER_RANGE, 1000.0)),
        ({"state": 9}, ("co", 42.0, "ppm", Quality.CAL_DUE, 1000.0)),
        ({"state": 0x77}, ("co", None, "ppm", Quality.FAULT, 1000.0)),
        ({"state": 0xAB01}, ("co", 42.0, "ppm", Quality.GOOD, 1000.0)),
        ({"raw": 1000}, ("co", 1000.0, "ppm", Quality.OVER_RANGE, 1000.0)),
        ({"raw": 0xFFF0}, ("co", -16.0, "ppm", Quality.GOOD, 1000.0)),
        ({"raw": 0xFF00}, ("co", -256.0, "ppm", Quality.UNDER_RANGE, 1000.0)),
        ({"full": 0}, ("co", 42.0, "ppm", Quality.GOOD, None)),
        ({"reg0": 0x0800, "gas": 52, "raw": 1234, "full": 10000},
         ("h2s", 12.34, "ppm", Quality.GOOD, 100.0)),
        ({"reg0": 0x8000, "gas": 72}, ("so2", 0.042, "ppm", Quality.GOOD, 1.0)),
        ({"reg0": 0x2000, "gas": 11}, ("combustible", 42.0, "%LEL", Quality.GOOD, 1000.0)),
        ({"reg0": 0x4400, "gas": 11}, ("ch4", 4.2, "/100", Quality.GOOD, 100.0)),
        ({"reg0": 0x0300}, ("co", None, "ppm", Quality.FAULT, None)),
        ({"reg0": 0x3000}, ("co", None, "", Quality.FAULT, 1000.0)),
        ({"gas": 200}, ("unknown", None, "ppm", Quality.FAULT, 1000.0)),
    ],
)  # fmt: skip
def test_six_in_one_codes(changes: dict[str, int], row: tuple[Any, ...]) -> None:
    assert rows(asked(Config(), 1).feed(head(1, **changes), 0.0))[0] == row


def test_an_unnamed_gas_is_said_once_and_named_in_the_configuration(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decoder = asked(Config(), 1)
    decoder.feed(head(1, gas=0), 0.0)
    decoder.ask(1, HEAD)
    assert [r.getMessage() for r in caplog.records] == [
        "modbus six_in_one address 1: name code 0 is not in the map, name it there or in"
        ' gases = { 1 = "..." }'
    ]
    named = asked(Config(gases={"1": "cl2"}), 1).feed(head(1, gas=0, reg0=0x0400), 0.0)
    assert rows(named)[0] == ("cl2", 4.2, "ppm", Quality.GOOD, 100.0)


@settings(deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(0, 70), max_size=8))
def test_noise_and_cuts_change_nothing(noise: bytes, cuts: list[int]) -> None:
    data = noise + CO
    decoder = asked(Config(addresses=(3,)), 3)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    got = [s for a, b in itertools.pairwise(edges) for s in decoder.feed(data[a:b], 0.0)]
    assert rows(got) == CO_ROWS
    assert decoder.counters.bytes_dropped == len(noise)


@settings(deadline=None)
@given(st.integers(0, 8 * 25 - 1), st.integers(0, 8 * 25 - 1))
def test_flipped_bits_never_give_a_value(first: int, second: int) -> None:
    """A CRC-16 sees every error of two bits in frames of this length."""
    data = bytearray(CO)
    for bit in {first, second}:
        data[bit // 8] ^= 1 << bit % 8
    decoder = asked(Config(addresses=(3,)), 3)
    assert decoder.feed(bytes(data), 0.0) == []
    assert decoder.answer is None


def test_an_answer_of_another_unit_or_another_length_is_none() -> None:
    decoder = asked(Config(addresses=(2, 3)), 3)
    assert decoder.feed(O2, 0.0) == []
    assert decoder.feed(registers(3, 1, 2), 0.0) == []
    assert decoder.answer is None
    assert rows(decoder.feed(CO, 0.0)) == CO_ROWS


@pytest.mark.parametrize("size", [1, 3, 33])
def test_a_local_echo_is_dropped(size: int) -> None:
    decoder = asked(Config(addresses=(3,)), 3)
    data = question(3, HEAD) + CO
    got = [s for i in range(0, len(data), size) for s in decoder.feed(data[i : i + size], 0.0)]
    assert rows(got) == CO_ROWS
    assert decoder.counters.bytes_dropped == 0


@pytest.mark.parametrize(("frame", "code"), [("01 83 02 C0 F1", 2), ("01 83 06 C1 32", 6)])
def test_checked_exceptions(frame: str, code: int) -> None:
    decoder = asked(Config(), 1)
    assert decoder.feed(bytes.fromhex(frame), 0.0) == []
    assert decoder.answer is not None
    assert decoder.answer.exception == code
    assert decoder.counters.exceptions == 1


def test_a_flood_of_noise_is_not_kept() -> None:
    decoder = asked(Config(), 1)
    for _ in range(40):
        decoder.feed(b"\x01\x03\x14" * 1000, 0.0)
    assert decoder.counters.bytes_dropped > 40 * 3000 - 300


# On a line


def play(master: int, answer: Callable[[bytes], bytes]) -> list[bytes]:
    """A small bus: each whole question of eight bytes gets `answer`; returns those heard."""
    heard: list[bytes] = []
    held = bytearray()

    def on_readable() -> None:
        held.extend(os.read(master, 256))
        while len(held) >= 8:
            heard.append(bytes(held[:8]))
            del held[:8]
            os.write(master, answer(heard[-1]))

    asyncio.get_running_loop().add_reader(master, on_readable)
    return heard


def fast(**keys: Any) -> Driver:
    return Driver(Config(**{"period_s": 0.02, "timeout_s": 0.03, "gap_s": 0.0, **keys}))


async def test_a_bus_is_only_ever_read() -> None:
    async with pty() as (master, device):
        heard = play(master, lambda q: head(q[0], gas={1: 5, 2: 52, 3: 72}[q[0]]))
        got = await run_until(fast(addresses=(1, 2, 3)), device, lambda got: len(got) >= 20)
        assert {s.quantity for s in got} == {"co", "h2s", "so2", "temperature", "humidity"}
        assert {q[1] for q in heard} == {3}
        # The head's own values come from one address, not from each.
        assert sum(s.quantity == "temperature" for s in got) <= sum(s.quantity == "co" for s in got)


async def test_a_dead_unit_is_a_fault_and_starves_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pty() as (master, device):
        heard = play(master, lambda q: b"" if q[0] == 2 else head(q[0]))
        driver = fast(addresses=(1, 2), gases={"2": "cl2"}, period_s=0.05)
        got = await run_until(
            driver, device, lambda got: sum(s.quantity == "co" for s in got) >= 20
        )
        dead = {(s.quantity, s.value, s.quality) for s in got if s.quantity == "cl2"}
        assert dead == {("cl2", None, Quality.FAULT)}
        tries = sum(q[0] == 2 for q in heard)
        assert 3 <= tries <= 7
        # A late answer of a living unit, on a busy machine, is counted as well.
        assert driver.counters.timeouts >= tries - 1
        assert [r.getMessage() for r in caplog.records] == [
            "modbus six_in_one address 2: no answer within 0.03 s, 3 times; asked more rarely from"
            " now on"
        ]


async def test_a_silent_line_says_nothing() -> None:
    """Where nobody answers, the source's freshness is what must speak."""
    async with pty() as (master, device):
        heard = play(master, lambda q: b"")
        driver = fast(addresses=(1,))
        with pytest.raises(AssertionError, match=r"not enough within 0.5 s: \[\]"):
            await run_until(driver, device, lambda got: False, timeout_s=0.5)
        assert len(heard) >= 4


async def test_a_unit_that_comes_back_is_believed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with pty() as (master, device):
        left = iter([True] + [False] * 4)
        play(master, lambda q: head(q[0]) if next(left, True) else b"")
        got = await run_until(fast(), device, lambda got: len(got) >= 9)
        assert {s.value for s in got if s.quantity == "co"} == {42.0}
        assert [r.getMessage() for r in caplog.records][-1] == (
            "modbus six_in_one address 1: answers again"
        )


async def test_a_unit_that_answers_with_an_exception_is_a_fault() -> None:
    async with pty() as (master, device):
        play(master, lambda q: sealed(q[0], 0x83, 2))
        config: dict[str, Any] = {"gases": {"1": "cl2"}}
        got = await run_until(fast(**config), device, lambda got: len(got) >= 1)
        assert rows(list(got)) == [("cl2", None, "", Quality.FAULT, None)]


async def test_a_late_answer_is_not_taken_for_the_next_units() -> None:
    """Unit 1 answers after its time-out, while unit 2 is being asked."""
    async with pty() as (master, device):
        late: list[bytes] = []

        def answer(q: bytes) -> bytes:
            if q[0] == 1:
                late.append(head(1, raw=999))
                return b""
            return b"".join(late) + head(2, gas=52)

        play(master, answer)
        got = await run_until(fast(addresses=(1, 2)), device, lambda got: len(got) >= 30)
        assert {s.value for s in got if s.quantity == "h2s"} == {42.0}
        assert not [s for s in got if s.value == 999.0]


@pytest.mark.parametrize("function", [3, 4])
async def test_against_pymodbus(function: int, tmp_path: Path) -> None:
    """An independent server on the other end of a null-modem cable of ptys."""
    values = [0x4400, 209, 195, 230, 300, 1, 0x155, 735, 0, 652]
    text = (default_dir() / "six_in_one.toml").read_text(encoding="utf-8")
    text = text.replace("function = 3\n", f"function = {function}\n")
    text = text.replace("[[quantity]]\n", f"[[quantity]]\nfunction = {function}\n")
    (tmp_path / "head.toml").write_text(text, encoding="utf-8")
    config = Config(map="head", map_dir=str(tmp_path), addresses=(2,), period_s=0.05, gap_s=0.01)
    async with pty_pair() as (ours, theirs):
        server = ModbusSerialServer(
            SimDevice(2, simdata=[SimData(0, values=values, datatype=DataType.REGISTERS)]),
            port=theirs,
            baudrate=9600,
        )
        await server.serve_forever(background=True)
        try:
            driver = Driver(config)
            got = await run_until(driver, ours, lambda got: len(got) >= 9)
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]
    assert rows(list(got[:3])) == O2_ROWS
    assert driver.counters.bad_checksums == 0
    assert driver.counters.bytes_dropped == 0
