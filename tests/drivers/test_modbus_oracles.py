"""Two others who know Modbus, neither of them ours: minimalmodbus asks our twin, pymodbus's server
answers our driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import minimalmodbus  # type: ignore[import-untyped]
import pytest
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import Quality, Sample
from drivers.modbus import Config, Driver
from drivers.modbus_map import Read
from drivers.modbus_wire import question
from drivers.sim.line import Fault, Line
from drivers.sim.modbus import Twin

from .ptys import pty_pair, run_until

T = TypeVar("T")

HEAD = Read(function=3, start=0, count=10)


@contextmanager
def master(line: Line, address: int) -> Iterator[minimalmodbus.Instrument]:
    """minimalmodbus on the twin's line."""
    instrument = minimalmodbus.Instrument(str(line.link), address)
    instrument.serial.baudrate = 9600
    instrument.serial.timeout = 0.5
    try:
        yield instrument
    finally:
        instrument.serial.close()


async def asks(twin: Twin, line: Line, address: int, ask: Callable[..., T]) -> T:
    """`ask(instrument)` in a thread, while the twin plays."""
    playing = asyncio.create_task(twin.run())

    def call() -> T:
        with master(line, address) as instrument:
            return ask(instrument)

    try:
        return await asyncio.to_thread(call)
    finally:
        playing.cancel()


@pytest.mark.parametrize(
    ("gas", "value", "decimals"), [("co", 42.0, 0), ("h2s", 12.3, 1), ("ph3", 0.07, 2)]
)
async def test_minimalmodbus_reads_what_the_twin_s_cell_feels(
    gas: str, value: float, decimals: int, tmp_path: Path
) -> None:
    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, addresses=(3,), gases=(gas,))
        twin.set(**{gas: value, "temperature": 23.5, "humidity": 65.2})
        read = await asks(twin, line, 3, lambda i: i.read_register(1, decimals))
        air = await asks(twin, line, 3, lambda i: (i.read_register(7, 1), i.read_register(9, 1)))
    assert read == value
    assert air == (73.5, 65.2), "temperature is counted from -50"


STATION: dict[str, tuple[int, int, bool]] = {
    "wind_speed": (500, 1, False), "humidity": (504, 1, False), "temperature": (505, 1, True),
    "noise": (506, 1, False), "pm2_5": (507, 0, False), "pm10": (508, 0, False),
}  # fmt: skip
"""What a person reads in the maker's table: register, decimals, signed."""


async def test_minimalmodbus_and_our_driver_see_one_station(tmp_path: Path) -> None:
    weather = {
        "wind_speed": 3.2, "humidity": 65.2, "temperature": -12.5, "noise": 55.6, "pm2_5": 35.0,
        "pm10": 50.0,
    }  # fmt: skip

    def read(instrument: minimalmodbus.Instrument) -> dict[str, float]:
        return {
            name: instrument.read_register(register, decimals, signed=signed)
            for name, (register, decimals, signed) in STATION.items()
        }

    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, model="weather_station", addresses=(7,))
        twin.set(**weather)
        theirs = await asks(twin, line, 7, read)
        ours = await seen_by_us(twin, line, Config(map="weather_station", addresses=(7,)))
    assert theirs == weather
    assert {name: ours[name] for name in weather} == weather


async def seen_by_us(twin: Twin, line: Line, config: Config) -> dict[str, float | None]:
    playing = asyncio.create_task(twin.run())
    try:
        got = await run_until(Driver(config), str(line.link), lambda got: len(got) >= 8)
    finally:
        playing.cancel()
    return {s.quantity: s.value for s in got if isinstance(s, Sample)}


async def test_we_ask_in_the_same_bytes_as_minimalmodbus(tmp_path: Path) -> None:
    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, addresses=(3,), gases=("co",))
        await asks(twin, line, 3, lambda i: i.read_registers(0, 10))
        assert list(twin.requests) == [question(3, HEAD)]


async def test_the_twin_refuses_as_minimalmodbus_expects(tmp_path: Path) -> None:
    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, addresses=(3,), gases=("co",))
        with pytest.raises(minimalmodbus.IllegalRequestError, match="illegal data address"):
            await asks(twin, line, 3, lambda i: i.read_register(4000))
        with pytest.raises(minimalmodbus.IllegalRequestError, match="illegal function"):
            await asks(twin, line, 3, lambda i: i.read_bit(0))
        with pytest.raises(minimalmodbus.NoResponseError):
            await asks(twin, line, 4, lambda i: i.read_register(0))


async def test_minimalmodbus_sees_the_twin_s_wrong_check(tmp_path: Path) -> None:
    async with Line(tmp_path / "bus") as line:
        twin = Twin(line, addresses=(3,), gases=("co",))
        line.inject(Fault.BAD_CHECKSUM)
        with pytest.raises(minimalmodbus.InvalidResponseError, match=r"[Cc]hecksum"):
            await asks(twin, line, 3, lambda i: i.read_registers(0, 10))
        assert len(await asks(twin, line, 3, lambda i: i.read_registers(0, 10))) == 10


# --- pymodbus's server ---


def device(address: int, start: int, values: list[int]) -> SimDevice:
    data = SimData(start, values=values, datatype=DataType.REGISTERS)
    return SimDevice(address, simdata=[data])


async def answered(config: Config, enough: int, *devices: SimDevice) -> tuple[Driver, list[Sample]]:
    """What our driver makes of pymodbus's server on the other end of a cable."""
    driver = Driver(config)
    async with pty_pair() as (ours, theirs):
        server = ModbusSerialServer(list(devices), port=theirs, baudrate=9600)
        await server.serve_forever(background=True)
        try:
            got = await run_until(driver, ours, lambda got: len(got) >= enough)
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]
    return driver, [sample for sample in got if isinstance(sample, Sample)]


async def test_two_units_of_pymodbus_on_one_line() -> None:
    h2s = [0x0400, 123, 100, 200, 1000, 4, 0x155, 735, 52 << 8, 652]
    o2 = [0x4400, 209, 195, 230, 300, 1, 0x155, 735, 0, 652]
    config = Config(addresses=(2, 5), period_s=0.05, gap_s=0.01)
    driver, got = await answered(config, 12, device(2, 0, o2), device(5, 0, h2s))
    told = {(sample.quantity, sample.value, sample.unit, sample.quality) for sample in got}
    assert told == {
        ("o2", 20.9, "/100", Quality.GOOD), ("h2s", 12.3, "ppm", Quality.GOOD),
        ("temperature", 23.5, "Cel", Quality.GOOD), ("humidity", 65.2, "%RH", Quality.GOOD),
    }  # fmt: skip
    assert driver.counters.bad_checksums == driver.counters.timeouts == 0


async def test_a_register_that_pymodbus_has_not_is_a_fault_and_no_value() -> None:
    config = Config(addresses=(2,), gases={"2": "co"}, period_s=0.05, gap_s=0.01)
    driver, got = await answered(config, 1, device(2, 0, [0, 42, 24]))
    assert {(s.quantity, s.value, s.quality) for s in got} == {("co", None, Quality.FAULT)}
    assert driver.counters.exceptions >= 1
    assert driver.counters.bad_checksums == 0


async def test_floats_of_pymodbus_are_what_the_scd30_s_map_says() -> None:
    values = [0x4418, 0x0000, 0x41BC, 0x0000, 0x4282, 0x6666]
    config = Config(map="scd30", addresses=(97,), period_s=0.05)
    _, got = await answered(config, 3, device(97, 0x28, values))
    told = {sample.quantity: sample.value for sample in got}
    assert told["co2"] == pytest.approx(608)
    assert told["temperature"] == pytest.approx(23.5)
    assert told["humidity"] == pytest.approx(65.2, abs=1e-4)
