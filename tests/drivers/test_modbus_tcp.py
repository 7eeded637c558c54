"""Modbus TCP: the frames of the specification, our twin with its faults, pymodbus's server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import Counters, Fix, Quality, Sample
from drivers.checksum import crc16_modbus
from drivers.modbus import Config, Driver
from drivers.modbus_map import Read
from drivers.modbus_wire import Mbap, Rtu
from drivers.ports import open_port
from drivers.sim import modbus_tcp
from drivers.sim.line import Fault
from drivers.sim.netline import NetLine

from ..waiting import until

READ = Read(function=3, start=0x6B, count=3)
# Modbus Application Protocol 1.1b3, 6.3: registers 108 to 110 of the example, in MBAP.
QUESTION = bytes.fromhex("0001 0000 0006 11 03 006B 0003")
ANSWER = bytes.fromhex("0001 0000 0009 11 03 06 022B 0000 0064")
REGISTERS = {(3, 0x6B): 0x022B, (3, 0x6C): 0, (3, 0x6D): 0x64}


def asked(counters: Counters | None = None) -> Mbap:
    wire = Mbap(counters or Counters())
    assert wire.ask(0x11, READ) == QUESTION
    return wire


# --- frames ---


def test_whole_byte_by_byte_and_in_random_cuts() -> None:
    for seed in range(30):
        dice, wire, start = random.Random(seed), asked(), 0
        found = []
        while start < len(ANSWER):
            end = start + (len(ANSWER), 1, dice.randint(1, 6))[min(seed, 2)]
            found.append(wire.feed(ANSWER[start:end]))
            start = end
        assert found[:-1] == [None] * (len(found) - 1)
        assert found[-1] is not None
        assert found[-1].registers(READ) == REGISTERS
        assert wire.counters.bytes_dropped == 0


@pytest.mark.parametrize(("code", "expected"), [(2, 2), (11, 11), (0, 255)])
def test_exceptions(code: int, expected: int) -> None:
    answer = asked().feed(bytes.fromhex("0001 0000 0003 11 83") + bytes((code,)))
    assert answer is not None
    assert answer.exception == expected


def test_exception_0_is_not_taken_for_registers_on_a_serial_line_either() -> None:
    wire = Rtu(Counters())
    wire.ask(1, READ)
    frame = bytes.fromhex("01 83 00")
    answer = wire.feed(frame + crc16_modbus(frame).to_bytes(2, "little"))
    assert answer is not None
    assert answer.exception == 255


def test_a_late_answer_belongs_to_its_own_question() -> None:
    counters = Counters()
    wire = asked(counters)
    wire.ask(0x11, READ)
    assert wire.feed(ANSWER) is None
    assert counters.bytes_dropped == len(ANSWER)
    second = wire.feed(b"\0\2" + ANSWER[2:])
    assert second is not None
    assert second.registers(READ) == REGISTERS


@pytest.mark.parametrize(
    "frame",
    [
        "0001 0000 0009 12 03 06 022B 0000 0064",
        "0001 0000 0009 11 04 06 022B 0000 0064",
        "0001 0000 0007 11 03 04 022B 0000",
        "0001 0000 0009 11 03 04 022B 0000 0064",
        "0001 0000 0006 11 03 006B 0003",
    ],
)
def test_answers_of_others_are_none(frame: str) -> None:
    wire = asked()
    assert wire.feed(bytes.fromhex(frame)) is None
    answer = wire.feed(ANSWER)
    assert answer is not None


def test_the_number_of_a_question_is_never_0_and_comes_round() -> None:
    wire = Mbap(Counters())
    seen = [int.from_bytes(wire.ask(1, READ)[:2]) for _ in range(65536)]
    assert seen[:2] == [1, 2]
    assert seen[-2:] == [65535, 1]


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_garbage_never_raises_and_is_not_kept(data: bytes, step: int) -> None:
    wire = asked()
    for start in range(0, len(data), step):
        wire.feed(data[start : start + step])
        assert len(wire._waiting) <= 260
    wire.ask(0x11, READ)
    answer = wire.feed(b"\0\2" + ANSWER[2:])
    assert answer is not None
    assert answer.registers(READ) == REGISTERS


def test_addresses() -> None:
    assert not list(Config(transport="tcp", addresses=(0, 255), gases={}).mistakes())
    assert list(Config(addresses=(0, 255)).mistakes()) == [
        ("addresses", "expected 1 to 247, read 0"),
        ("addresses", "expected 1 to 247, read 255"),
    ]


# --- the twin ---


class Got:
    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def take(self, sample: Sample | Fix) -> None:
        assert isinstance(sample, Sample)
        self.samples.append(sample)

    async def reads(self, what: Callable[[Sample], bool], name: str) -> None:
        start = len(self.samples)
        await until(lambda: any(what(s) for s in self.samples[start:]), name)

    async def value(self, quantity: str, value: float) -> None:
        await self.reads(
            lambda s: (s.quantity, s.value, s.quality) == (quantity, value, Quality.GOOD),
            f"{quantity} is {value}",
        )


def fast(**keys: Any) -> Driver:
    config = {"transport": "tcp", "period_s": 0.02, "timeout_s": 0.1, "gap_s": 0.0, **keys}
    return Driver(Config(**config))


@contextlib.asynccontextmanager
async def running(twin: modbus_tcp.Twin, driver: Driver, name: str) -> AsyncIterator[Got]:
    got = Got()
    async with open_port(name) as port:
        tasks = [
            asyncio.create_task(twin.run()),
            asyncio.create_task(driver.run(port, got.take)),
        ]
        try:
            yield got
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_fault_of_the_twin() -> None:
    """But for a bad checksum: there is none, and TCP's own sees to that."""
    async with NetLine() as line:
        twin = modbus_tcp.Twin(line, addresses=[1, 2], gases=["co", "o2"])
        driver = fast(addresses=(1, 2))
        async with running(twin, driver, line.name) as got:
            twin.set(co=40.0, o2=20.9)
            await got.value("co", 40.0)
            await got.value("o2", 20.9)
            for fault in (Fault.GARBAGE, Fault.CUT_FRAME):
                dropped, value = driver.counters.bytes_dropped, 50.0 + len(fault)
                line.inject(fault, 2)
                twin.set(co=value)
                await got.value("co", value)
                assert driver.counters.bytes_dropped > dropped
            timeouts = driver.counters.timeouts
            line.inject(Fault.SILENCE)
            await until(lambda: driver.counters.timeouts > timeouts, "nothing comes")
            twin.set(co=61.0)
            line.inject(Fault.RESTORE)
            await got.value("co", 61.0)
        values = {s.value for s in got.samples if s.quantity == "co" and s.value is not None}
        assert values <= {0.0, 40.0, 57.0, 59.0, 61.0}
        assert all(request[7] == 3 for request in twin.requests)


async def test_unplugged_and_plugged_in_again() -> None:
    async with NetLine() as line:
        twin = modbus_tcp.Twin(line, addresses=[1], gases=["co"])
        playing = asyncio.create_task(twin.run())
        got = Got()
        async with open_port(line.name) as port:
            driver = fast()
            task = asyncio.create_task(driver.run(port, got.take))
            await got.value("co", 0.0)
            line.inject(Fault.UNPLUG)
            with pytest.raises(OSError, match=r"connection lost: the far end has (ended|broken)"):
                await asyncio.wait_for(task, 5)
        with pytest.raises(OSError, match="nobody listens there"):
            async with open_port(line.name):
                pass
        twin.set(co=7.0)
        line.inject(Fault.REPLUG)
        async with open_port(line.name) as port:
            task = asyncio.create_task(driver.run(port, got.take))
            await got.value("co", 7.0)
            task.cancel()
        playing.cancel()
        await asyncio.gather(task, playing, return_exceptions=True)


@pytest.mark.parametrize("gateway", ["answers", "silent"])
async def test_a_dead_unit_behind_a_gateway(gateway: str) -> None:
    async with NetLine() as line:
        twin = modbus_tcp.Twin(line, gateway=gateway, addresses=[1], gases=["co"])
        driver = fast(addresses=(1, 9), gases={"9": "cl2"}, timeout_s=0.05)
        async with running(twin, driver, line.name) as got:
            await got.reads(
                lambda s: (s.quantity, s.value, s.quality) == ("cl2", None, Quality.FAULT),
                "cl2 is a fault",
            )
            count = len(got.samples)
            await until(lambda: len(got.samples) > count + 9, "the other goes on")


# --- pymodbus ---


async def test_against_pymodbus() -> None:
    """An independent server of Modbus TCP."""
    values = [0x4400, 209, 195, 230, 300, 1, 0x155, 735, 0, 652]
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    server = ModbusTcpServer(
        SimDevice(2, simdata=[SimData(0, values=values, datatype=DataType.REGISTERS)]),
        address=("127.0.0.1", number),
    )
    await server.serve_forever(background=True)
    got = Got()
    try:
        async with open_port(f"tcp://127.0.0.1:{number}") as port:
            driver = fast(addresses=(2,), timeout_s=1.0)
            task = asyncio.create_task(driver.run(port, got.take))
            await until(lambda: len(got.samples) >= 9, "three rounds are read")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
    assert [(s.quantity, s.value, s.unit, s.full_scale) for s in got.samples[:3]] == [
        ("o2", 20.9, "/100", 30.0),
        ("temperature", 23.5, "Cel", None),
        ("humidity", 65.2, "%RH", None),
    ]
    assert driver.counters.bytes_dropped == 0
    assert got.samples[0].raw.startswith("0001000000170203")
