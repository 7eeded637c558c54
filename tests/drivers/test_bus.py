"""Several sources on one bus: one owner, turns, one loss for all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers import Fix, Sample
from drivers.bus import Buses, BusPort, turn
from drivers.modbus import Config, Driver
from drivers.port import PortError
from drivers.sim import modbus
from drivers.sim.line import Fault, Line

from ..waiting import until

PATIENT_S = 5.0
"""For what answers: a busy machine is no dead unit."""


def driver(**keys: Any) -> Driver:
    return Driver(Config(**{"period_s": 0.02, "timeout_s": 0.1, "gap_s": 0.0, **keys}))


class Reading:
    """A source: its driver on its share of a line."""

    def __init__(self, buses: Buses, link: str, driver: Driver) -> None:
        self.samples: list[Sample] = []
        self.error: OSError | None = None
        self.driver = driver
        self.task = asyncio.create_task(self._run(buses, link))

    async def _run(self, buses: Buses, link: str) -> None:
        try:
            async with buses.open_port(link, baudrate=9600) as port:
                await self.driver.run(port, self._take)
        except OSError as error:
            self.error = error

    def _take(self, sample: Sample | Fix) -> None:
        assert isinstance(sample, Sample)
        self.samples.append(sample)

    async def more(self, count: int = 5) -> None:
        start = len(self.samples)
        await until(lambda: len(self.samples) >= start + count, "more is read")


@contextlib.asynccontextmanager
async def bus(folder: Path) -> AsyncIterator[tuple[Line, modbus.Twin, modbus.Twin]]:
    """A gas head and a weather station on one line, each answering for itself."""
    async with Line(folder / "bus") as line:
        head = modbus.Twin(line, addresses=[1, 2], gases=["co", "h2s"])
        station = modbus.Twin(line, model="weather_station", addresses=[5])
        head.slaves |= station.slaves
        task = asyncio.create_task(head.run())
        yield line, head, station
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def end(*readings: Reading) -> None:
    for reading in readings:
        reading.task.cancel()
    await asyncio.gather(*(reading.task for reading in readings), return_exceptions=True)


async def test_two_maps_on_one_line(tmp_path: Path) -> None:
    async with bus(tmp_path) as (line, head, station):
        buses = Buses()
        gas = Reading(buses, str(line.link), driver(addresses=(1, 2), timeout_s=PATIENT_S))
        weather = Reading(
            buses,
            str(line.link),
            driver(map="weather_station", addresses=(5,), timeout_s=PATIENT_S),
        )
        head.set(co=12.0)
        station.set(wind_speed=3.2)
        await gas.more(20)
        await weather.more(20)
        await end(gas, weather)
        assert {s.quantity for s in gas.samples} == {"co", "h2s", "temperature", "humidity"}
        assert "wind_speed" in {s.quantity for s in weather.samples}
        for reading in (gas, weather):
            assert reading.driver.counters.timeouts == 0
            assert reading.driver.counters.bytes_dropped == 0
            assert reading.driver.counters.bad_checksums == 0
        assert head.cut_requests == 0
        assert line.counters.bytes_dropped == 0


async def test_a_source_whose_units_are_dead_starves_nobody(tmp_path: Path) -> None:
    async with bus(tmp_path) as (line, _head, _station):
        buses = Buses()
        dead = Reading(buses, str(line.link), driver(addresses=(77,), timeout_s=0.03))
        weather = Reading(
            buses,
            str(line.link),
            driver(map="weather_station", addresses=(5,), timeout_s=PATIENT_S),
        )
        await until(lambda: dead.driver.counters.timeouts >= 4, "the dead have been asked")
        await weather.more(50)
        await end(dead, weather)
        assert weather.driver.counters.timeouts == 0
        assert dead.samples == []


async def test_the_line_is_one_and_is_given_back(tmp_path: Path) -> None:
    async with bus(tmp_path) as (line, _head, _station):
        buses, link = Buses(), str(line.link)
        async with buses.open_port(link) as first, buses.open_port(link) as second:
            assert first._opened is second._opened
            assert first.turn is second.turn
            assert turn(first) is first.turn
            with pytest.raises(PortError, match="in use by another program"):
                async with Buses().open_port(link):
                    pass
        async with Buses().open_port(link) as third:
            assert third._opened is not first._opened
    with pytest.raises(PortError, match="no such device"):
        async with buses.open_port(link):
            pass


async def test_a_line_that_is_lost_is_lost_for_all_and_can_be_opened_again(tmp_path: Path) -> None:
    async with bus(tmp_path) as (line, _head, _station):
        buses, link = Buses(), str(line.link)
        gas = Reading(buses, link, driver(addresses=(1,)))
        weather = Reading(buses, link, driver(map="weather_station", addresses=(5,)))
        await gas.more()
        await weather.more()
        line.inject(Fault.UNPLUG)
        await until(lambda: gas.error is not None and weather.error is not None, "both know")
        assert str(gas.error).startswith(f"{link}: device lost: the line was hung up")
        assert str(weather.error) == str(gas.error)
        line.inject(Fault.REPLUG)
        gas = Reading(buses, link, driver(addresses=(1,)))
        weather = Reading(buses, link, driver(map="weather_station", addresses=(5,)))
        await gas.more()
        await weather.more()
        await end(gas, weather)


async def test_who_comes_back_first_does_not_wait_for_who_sleeps(tmp_path: Path) -> None:
    """A lost line is closed at once, also under a source that has not asked since."""
    async with bus(tmp_path) as (line, _head, _station):
        buses, link = Buses(), str(line.link)
        async with buses.open_port(link) as sleeper:

            async def lose() -> None:
                async with buses.open_port(link) as port:
                    line.inject(Fault.UNPLUG)
                    await port.read()

            with pytest.raises(PortError) as lost:
                await lose()
            line.inject(Fault.REPLUG)
            async with buses.open_port(link) as again:
                await again.write(b"x")
                for work in (sleeper.read(), sleeper.write(b"x")):
                    with pytest.raises(PortError) as caught:
                        await work
                    assert str(caught.value) == str(lost.value)
                assert sleeper.discard_input() == 0


async def test_a_turn_on_a_port_of_its_own_waits_for_nobody() -> None:
    class Plain:
        async def read(self) -> bytes:
            return b""

        async def write(self, data: bytes) -> None:
            pass

        def discard_input(self) -> int:
            return 0

    port = Plain()
    async with turn(port), turn(port):
        assert not isinstance(port, BusPort)
