"""drivers/sim/modbus.py: the makers' example frames, illegal questions, a bus over a real pty."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from drivers.checksum import crc16_modbus
from drivers.sim.line import Line
from drivers.sim.modbus import CELLS, Cell, State, Twin, Unit, crc16
from tests.drivers.sim.client import client, receive
from tests.waiting import until

HEAD_QUERY = bytes.fromhex("03 03 00 00 00 0A C4 2F")
CO_42 = bytes.fromhex("03 03 14 00 00 00 2A 00 18 00 A0 03 E8 00 05 01 55 02 DF 05 00 02 8C 8B DB")
O2_20_9 = bytes.fromhex(
    "02 03 14 44 00 00 D1 00 C3 00 E6 01 2C 00 01 01 55 02 DF 00 00 02 8C C4 A8"
)
STATION_QUERY = bytes.fromhex("01 03 01 F4 00 10 04 08")
STATION_REPLY = bytes.fromhex(
    "01 03 20 00 20 00 02 00 05 00 D7 02 8C 00 EB 02 2C 00 23 00 32 27 94 00 00 2E E0 04 B0 "
    "00 00 00 0D 00 00 06 23"
)
WEATHER = {
    "wind_speed": 3.2, "wind_direction": 215.0, "humidity": 65.2, "temperature": 23.5,
    "noise": 55.6, "pm2_5": 35.0, "pm10": 50.0, "pressure": 1013.2, "illuminance": 12000.0,
    "rain": 1.3,
}  # fmt: skip


def head(**options: object) -> Twin:
    twin = Twin(Line(Path("unused")), addresses=(2, 3), gases=("o2", "co"), **options)  # type: ignore[arg-type]
    twin.set(temperature=23.5, humidity=65.2)
    return twin


def ask(twin: Twin, *body: int) -> bytes | None:
    request = bytes(body)
    return twin.reply(request + crc16(request))


def register(twin: Twin, address: int, number: int) -> int:
    reply = ask(twin, address, 3, number >> 8, number & 0xFF, 0, 1)
    assert reply is not None
    assert len(reply) == 7
    return int.from_bytes(reply[3:5], "big")


def test_crc_is_the_standard_s_and_not_only_ours() -> None:
    assert crc16(b"123456789") == b"\x37\x4b"
    for data in (b"", b"\x00", bytes(range(256))):
        assert int.from_bytes(crc16(data), "little") == crc16_modbus(data)


def test_head_answers_the_maker_s_examples() -> None:
    twin = head()
    twin.set(co=42.0)
    assert twin.reply(HEAD_QUERY) == CO_42
    assert twin.reply(bytes.fromhex("02 03 00 00 00 0A C5 FE")) == O2_20_9


@pytest.mark.parametrize(
    ("gas", "value", "raw", "state"),
    [
        ("co", 23.4, 23, State.NORMAL),
        ("co", 24.0, 24, State.LOW_ALARM),
        ("co", 160.0, 160, State.HIGH_ALARM),
        ("co", 1000.4, 1000, State.OVER_RANGE),
        ("co", -3.0, 0, State.NORMAL),
        ("co", None, 0, State.FAULT),
        ("o2", 19.5, 195, State.LOW_ALARM),
        ("o2", 19.55, 196, State.NORMAL),
        ("o2", 23.0, 230, State.HIGH_ALARM),
        ("o2", 31.0, 300, State.OVER_RANGE),
    ],
)
def test_head_s_state_follows_the_value(
    gas: str, value: float | None, raw: int, state: State
) -> None:
    twin = head()
    twin.set(**{gas: value})
    address = 2 if gas == "o2" else 3
    assert register(twin, address, 1) == raw
    assert register(twin, address, 5) == state


def test_head_s_state_can_be_held() -> None:
    twin = head()
    for state in State:
        twin.set_state("co", state)
        assert register(twin, 3, 5) == state
        assert register(twin, 2, 5) == State.NORMAL
    twin.set_state("co", None)
    assert register(twin, 3, 5) == State.NORMAL
    with pytest.raises(ValueError, match="no cell for 'so2'"):
        twin.set_state("so2", State.FAULT)


def test_head_takes_a_cell_of_one_s_own() -> None:
    cell = Cell(quantity="eto", gas_id=99, unit=Unit.PPB, decimals=2, low=1, high=2, full_scale=50)
    twin = Twin(Line(Path("unused")), gases=[cell])
    twin.set(eto=1.23)
    assert [register(twin, 1, number) for number in (0, 1, 2, 3, 4, 8)] == [
        0x8800, 123, 100, 200, 5000, 99 << 8,
    ]  # fmt: skip


def test_every_cell_s_range_fits_its_register() -> None:
    for quantity, cell in CELLS.items():
        assert cell.quantity == quantity
        assert cell.full_scale * 10**cell.decimals <= 0xFFFF
        assert cell.decimals <= 3


def test_station_answers_the_example() -> None:
    twin = Twin(Line(Path("unused")), model="weather_station", layout="example")
    twin.set(**WEATHER)
    assert twin.reply(STATION_QUERY) == STATION_REPLY


def test_station_by_the_table_differs_in_its_tail_only() -> None:
    twin = Twin(Line(Path("unused")), model="weather_station")
    twin.set(**WEATHER, radiation=640.0)
    reply = twin.reply(STATION_QUERY)
    assert reply is not None
    assert reply[:27] == STATION_REPLY[:27]
    assert [register(twin, 1, number) for number in range(512, 516)] == [120, 13, 640, 0]


def test_station_s_scales_signs_and_sectors() -> None:
    twin = Twin(Line(Path("unused")), model="weather_station", wind_decimals=2, pressure_decimals=1)
    twin.set(temperature=-5.3, wind_speed=3.27, wind_direction=359.7, pressure=1013.2)
    twin.set(illuminance=70000.0)
    assert register(twin, 1, 505) == 0xFFCB
    assert register(twin, 1, 500) == 327
    assert (register(twin, 1, 502), register(twin, 1, 503)) == (0, 0)
    assert register(twin, 1, 509) == 1013
    assert (register(twin, 1, 510), register(twin, 1, 511)) == (1, 70000 - 65536)
    for direction, sector in ((22.4, 0), (22.5, 1), (180.0, 4), (337.4, 7), (337.5, 0)):
        twin.set(wind_direction=direction)
        assert register(twin, 1, 502) == sector
    for speed, force in ((0.0, 0), (0.3, 1), (5.4, 3), (33.0, 12)):
        twin.set(wind_speed=speed)
        assert register(twin, 1, 501) == force


def test_station_without_a_sensor_fails_where_it_is_asked_for_it() -> None:
    twin = Twin(Line(Path("unused")), model="weather_station")
    twin.set(noise=None)
    failure = bytes.fromhex("01 83 04")
    assert twin.reply(STATION_QUERY) == failure + crc16(failure)
    assert register(twin, 1, 505) == 200


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        ("02 03 00 05 00 06", "02 83 02"),  # beyond register 9
        ("02 03 00 0A 00 01", "02 83 02"),
        ("02 03 00 00 00 00", "02 83 03"),
        ("02 03 00 00 00 7E", "02 83 03"),
        ("02 04 00 00 00 0A", "02 84 01"),
        ("02 06 00 02 00 64", "02 86 01"),
        ("02 10 00 02 00 01 02 00 64", "02 90 01"),
    ],
)
def test_illegal_questions_get_their_exception(request_hex: str, reply_hex: str) -> None:
    reply = bytes.fromhex(reply_hex)
    assert ask(head(), *bytes.fromhex(request_hex)) == reply + crc16(reply)


def test_the_standard_s_example_of_an_exception() -> None:
    twin = Twin(Line(Path("unused")))
    assert ask(twin, 1, 3, 1, 0, 0, 1) == bytes.fromhex("01 83 02 C0 F1")


@pytest.mark.parametrize("address", [0, 1, 4, 247])
def test_an_absent_address_and_a_broadcast_are_silent(address: int) -> None:
    assert ask(head(), address, 3, 0, 0, 0, 10) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "scd30"}, "no Modbus model 'scd30', expected six_in_one or weather_station"),
        ({"addresses": ()}, "expected at least one, each once"),
        ({"addresses": (1, 1)}, r"addresses are \[1, 1\], expected at least one, each once"),
        ({"addresses": (248,)}, "address is 248, expected 1 to 247"),
        ({"addresses": (1, 2)}, r"gases are \['co'\], expected 2, each once"),
        ({"gases": ("xe",)}, "no cell for 'xe', expected one of co, co2"),
        ({"model": "weather_station", "wind_decimals": 3}, "are 3 and 2, expected 1 or 2"),
        ({"model": "weather_station", "layout": "x"}, "layout is 'x', expected table or example"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Twin(Line(Path("unused")), **options)  # type: ignore[arg-type]


def test_what_it_does_not_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="does not measure 'cl2', only temperature, humidity, o2"):
        head().set(cl2=1.0)
    with pytest.raises(ValueError, match="co is inf, expected a finite number or None"):
        head().set(co=float("inf"))


async def test_a_bus_over_a_real_pty(tmp_path: Path) -> None:
    """Noise, a wrong CRC, a dead address and cut questions in front of a good one."""
    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, addresses=(2, 3), gases=("o2", "co"), response_s=0.0)
        twin.set(co=42.0, temperature=23.5, humidity=65.2)
        running = asyncio.create_task(twin.run())
        with client(line.link) as fd:
            dead = bytes.fromhex("06 03 00 00 00 0A C4 7A")
            spoilt = HEAD_QUERY[:-1] + b"\x00"
            os.write(fd, b"\xff\x00$" + spoilt + dead + HEAD_QUERY)
            assert await receive(fd, len(CO_42)) == CO_42
            assert list(twin.requests) == [dead, HEAD_QUERY]
            # Looks like the head of a long write: given up at the pause, not waited for.
            os.write(fd, bytes.fromhex("02 10 00 00 00 40 80 00 00"))
            await until(lambda: twin.cut_requests == 1, "the cut question is given up")
            os.write(fd, HEAD_QUERY)
            assert await receive(fd, len(CO_42)) == CO_42
        running.cancel()


async def test_a_two_wire_adapter_echoes(tmp_path: Path) -> None:
    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, addresses=(3,), gases=("co",), response_s=0.0, echo=True)
        twin.set(co=42.0, temperature=23.5, humidity=65.2)
        running = asyncio.create_task(twin.run())
        with client(line.link) as fd:
            os.write(fd, HEAD_QUERY)
            expected = HEAD_QUERY + CO_42
            assert await receive(fd, len(expected)) == expected
        running.cancel()
