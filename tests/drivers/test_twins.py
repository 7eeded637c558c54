"""Each twin's faults through its driver: right values, nothing raised, back in step soon.

What the twins and drivers read when nothing is wrong: tests/drivers/sim/test_sim_with_drivers.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers import Driver, Fix, Quality, Sample
from drivers import modbus as modbus_driver
from drivers import winsen as winsen_driver
from drivers.port import open_port
from drivers.sim import modbus, winsen
from drivers.sim.line import Fault, Line

from ..waiting import until

SPOILING = [Fault.GARBAGE, Fault.CUT_FRAME, Fault.BAD_CHECKSUM]
PERIOD_S = 0.02


class Got:
    """Samples of one quantity, each with the number of frames sent by then."""

    def __init__(self, line: Line, quantity: str) -> None:
        self.line = line
        self.quantity = quantity
        self.samples: list[tuple[int, Sample]] = []

    def take(self, sample: Sample | Fix) -> None:
        if isinstance(sample, Sample) and sample.quantity == self.quantity:
            self.samples.append((self.line.counters.frames, sample))

    def frames_until(self, value: float) -> int | None:
        """How many frames had been sent when `value` was first read."""
        return next((frames for frames, sample in self.samples if sample.value == value), None)

    async def reads(self, value: float) -> int:
        await until(lambda: self.frames_until(value) is not None, f"{self.quantity} is {value}")
        frames = self.frames_until(value)
        assert frames is not None
        return frames


@asynccontextmanager
async def run(line: Line, twin: Any, driver: Driver, quantity: str) -> AsyncIterator[Got]:
    got = Got(line, quantity)
    async with open_port(str(line.link)) as port:
        tasks = {
            asyncio.create_task(twin.run(), name="twin"),
            asyncio.create_task(driver.run(port, got.take), name="driver"),
        }
        try:
            yield got
            assert [task.get_name() for task in tasks if task.done()] == []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("mode", ["active", "query"])
@pytest.mark.parametrize("fault", SPOILING)
@pytest.mark.parametrize("n", [1, 3])
async def test_a_gas_module_is_back_in_step_within_two_frames(
    tmp_path: Path, fault: Fault, mode: Any, n: int
) -> None:
    async with Line(tmp_path / "gas", noise_seed=n) as line:
        twin = winsen.Twin(line, module="ze07", mode=mode, period_s=PERIOD_S)
        config = winsen_driver.Config(module="ze07", mode=mode, period_s=0.06, timeout_s=0.3)
        driver = winsen_driver.Driver(config)
        twin.set(co=35.0)
        async with run(line, twin, driver, "co") as got:
            await got.reads(35.0)
            before = line.counters.frames
            line.inject(fault, n)
            twin.set(co=12.5)
            seen = await got.reads(12.5)
        # n spoilt, two that agree, and one that may have been sent in the meantime.
        assert seen - before <= n + 3
        assert {(s.value, s.quality) for _, s in got.samples} == {
            (35.0, Quality.GOOD), (12.5, Quality.GOOD)}  # fmt: skip
        assert driver.counters.bytes_dropped > 0
        if fault is Fault.BAD_CHECKSUM:
            assert driver.counters.bad_checksums >= n


@pytest.mark.parametrize("fault", SPOILING)
@pytest.mark.parametrize("model", ["six_in_one", "weather_station"])
async def test_a_modbus_unit_is_back_at_the_next_answer(
    tmp_path: Path, fault: Fault, model: str
) -> None:
    quantity = "temperature"
    async with Line(tmp_path / "bus") as line:
        twin = modbus.Twin(line, model=model, response_s=0.0)
        driver = modbus_driver.Driver(
            modbus_driver.Config(map=model, period_s=0.05, timeout_s=0.1, gap_s=0.01)
        )
        twin.set(temperature=20.5)
        async with run(line, twin, driver, quantity) as got:
            await got.reads(20.5)
            before = line.counters.frames
            line.inject(fault, 2)
            twin.set(temperature=-7.5)
            seen = await got.reads(-7.5)
        spoilt = 0 if fault is Fault.GARBAGE else 2
        assert seen - before <= spoilt + 2
        assert {(s.value, s.quality) for _, s in got.samples} == {
            (20.5, Quality.GOOD), (-7.5, Quality.GOOD)}  # fmt: skip
        counters = driver.counters
        assert counters.bytes_dropped > 0
        assert counters.timeouts == spoilt
        assert {request[1] for request in twin.requests} == {3}


async def test_silence_gives_nothing_and_ends_without_an_old_value(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = winsen.Twin(line, gas="cl2", period_s=PERIOD_S)
        driver = winsen_driver.Driver(winsen_driver.Config(gas="cl2"))
        twin.set(cl2=0.5)
        async with run(line, twin, driver, "cl2") as got:
            await got.reads(0.5)
            line.inject(Fault.SILENCE)
            dropped = line.counters.bytes_dropped
            await until(
                lambda: line.counters.bytes_dropped >= dropped + 90, "ten frames are kept back"
            )
            count = len(got.samples)
            twin.set(cl2=4.0)
            line.inject(Fault.RESTORE)
            await got.reads(4.0)
        assert {sample.value for _, sample in got.samples[count:]} == {4.0}


async def test_one_silent_head_among_two_is_told_and_comes_back(tmp_path: Path) -> None:
    """A slave that is not there is silent; the other one is read all the while."""
    async with Line(tmp_path / "bus") as line:
        twin = modbus.Twin(line, addresses=[1, 2], gases=["co", "h2s"], response_s=0.0)
        twin.set(co=42.0, h2s=5.5)
        driver = modbus_driver.Driver(
            modbus_driver.Config(addresses=(1, 2), period_s=0.05, timeout_s=0.3, gap_s=0.0)
        )
        async with run(line, twin, driver, "h2s") as got:
            await got.reads(5.5)
            slave = twin.slaves.pop(2)
            await until(lambda: got.samples[-1][1].quality is Quality.FAULT, "h2s is a fault")
            assert got.samples[-1][1].value is None
            twin.slaves[2] = slave
            twin.set(h2s=6.5)
            await got.reads(6.5)
            assert got.samples[-1][1].quality is Quality.GOOD


@pytest.mark.parametrize("wire", ["winsen", "modbus"])
async def test_unplugged_is_an_oserror_and_replugged_is_read_again(
    tmp_path: Path, wire: str
) -> None:
    async with Line(tmp_path / "line") as line:
        twin: Any
        driver: Driver
        if wire == "winsen":
            twin = winsen.Twin(line, gas="co", period_s=PERIOD_S)
            driver = winsen_driver.Driver(winsen_driver.Config(gas="co"))
        else:
            twin = modbus.Twin(line, response_s=0.0)
            driver = modbus_driver.Driver(modbus_driver.Config(period_s=0.05, gap_s=0.01))
        twin.set(co=42.0)
        got = Got(line, "co")
        playing = asyncio.create_task(twin.run())
        try:
            async with open_port(str(line.link)) as port:
                running = asyncio.create_task(driver.run(port, got.take))
                await got.reads(42.0)
                line.inject(Fault.UNPLUG)
                with pytest.raises(OSError, match="device lost"):
                    await asyncio.wait_for(running, 10)
            twin.set(co=7.0)
            line.inject(Fault.REPLUG)
            async with open_port(str(line.link)) as port:
                running = asyncio.create_task(driver.run(port, got.take))
                await got.reads(7.0)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        assert {sample.value for _, sample in got.samples} == {42.0, 7.0}
