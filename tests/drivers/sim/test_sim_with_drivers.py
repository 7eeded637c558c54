"""Each twin read by its real driver through the real port: what was set is what is read.

Both sides were written from the data sheets, neither from the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers import Fix, Quality, Sample
from drivers import modbus as modbus_driver
from drivers import nmea as nmea_driver
from drivers import winsen as winsen_driver
from drivers.port import SerialPort, open_port
from drivers.sim import modbus, nmea, winsen
from drivers.sim.line import Fault, Line
from tests.waiting import until

Twin = nmea.Twin | winsen.Twin | modbus.Twin


class Reading:
    """What a driver has emitted."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.fixes: list[Fix] = []

    def take(self, got: Sample | Fix) -> None:
        if isinstance(got, Fix):
            self.fixes.append(got)
        else:
            self.samples.append(got)

    def last(self, quantity: str) -> Sample | None:
        found = [sample for sample in self.samples if sample.quantity == quantity]
        return found[-1] if found else None

    async def reads(self, quantity: str, value: float | None, quality: Quality) -> Sample:
        """The next sample of `quantity` that is so."""

        def is_so() -> bool:
            sample = self.last(quantity)
            return (
                sample is not None
                and sample.quality == quality
                and (value is None or sample.value == pytest.approx(value))
            )

        await until(is_so, f"{quantity} is read as {value} {quality}; now {self.last(quantity)}")
        sample = self.last(quantity)
        assert sample is not None
        return sample


@asynccontextmanager
async def reading(line: Line, twin: Twin, driver: Any) -> AsyncIterator[Reading]:
    """The twin playing and the driver reading it, both as tasks."""
    got = Reading()
    async with _opened(line) as port:
        playing = asyncio.create_task(twin.run())
        running = asyncio.create_task(driver.run(port, got.take))
        try:
            yield got
            assert not running.done(), running.exception()
            assert not playing.done(), playing.exception()
        finally:
            for task in (running, playing):
                task.cancel()
            await asyncio.gather(running, playing, return_exceptions=True)


def _opened(line: Line) -> SerialPort:
    return open_port(str(line.link), baudrate=9600, bytesize=8, parity="N", stopbits=1)


WINSEN: list[tuple[dict[str, Any], dict[str, Any], dict[str, float], str]] = [
    ({"gas": "cl2"}, {"gas": "cl2"}, {"cl2": 1.2}, "ppm"),
    ({"gas": "h2s"}, {"gas": "h2s"}, {"h2s": 12.0}, "ppm"),
    ({"gas": "o2"}, {"gas": "o2"}, {"o2": 19.4}, "/100"),
    ({"module": "ze07"}, {"module": "ze07"}, {"co": 35.0}, "ppm"),
    ({"module": "ze08"}, {"module": "ze08"}, {"ch2o": 0.037}, "ppm"),
    ({"module": "ze15", "mode": "query"}, {"module": "ze15", "mode": "query"}, {"co": 120}, "ppm"),
    ({"module": "mhz19"}, {"module": "mhz19"}, {"co2": 608.0}, "ppm"),
    ({"module": "mh441d"}, {"module": "mh441d"}, {"combustible": 20.0}, "%LEL"),
    ({"module": "zh03"}, {"module": "zh03"}, {"pm2_5": 35, "pm10": 50, "pm1": 20}, "ug/m3"),
]


@pytest.mark.parametrize(("options", "config", "values", "unit"), WINSEN)
async def test_gas_modules(
    tmp_path: Path,
    options: dict[str, Any],
    config: dict[str, Any],
    values: dict[str, float],
    unit: str,
) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = winsen.Twin(line, period_s=0.02, **options)
        twin.set(**values)
        driver = winsen_driver.Driver(winsen_driver.Config(period_s=0.1, **config))
        async with reading(line, twin, driver) as got:
            for quantity, value in values.items():
                sample = await got.reads(quantity, value, Quality.GOOD)
                assert sample.unit == unit
        # A driver asks; it never calibrates, ranges or switches.
        assert {command[2] for command in twin.commands} <= {0x86}
        assert driver.counters.bad_checksums == 0


async def test_a_gas_module_s_faults(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = winsen.Twin(line, gas="cl2", period_s=0.02)
        driver = winsen_driver.Driver(winsen_driver.Config(gas="cl2"))
        async with reading(line, twin, driver) as got:
            twin.set(cl2=99.0)
            await got.reads("cl2", 20.0, Quality.OVER_RANGE)
            for value, fault in enumerate(
                (Fault.GARBAGE, Fault.CUT_FRAME, Fault.BAD_CHECKSUM), start=1
            ):
                line.inject(fault, n=3)
                twin.set(cl2=float(value))
                await got.reads("cl2", float(value), Quality.GOOD)
            wrong = [sample for sample in got.samples if sample.value not in (0, 20, 1, 2, 3)]
            assert not wrong
            assert driver.counters.bytes_dropped > 0


HEAD = {1: "cl2", 2: "o2", 3: "co", 4: "h2s", 5: "combustible", 6: "ch4"}


async def test_six_in_one_head(tmp_path: Path) -> None:
    values = {"cl2": 0.7, "o2": 20.6, "co": 42.0, "h2s": 5.5, "combustible": 7.0, "ch4": 0.35}
    units = {"o2": "/100", "ch4": "/100", "combustible": "%LEL"}
    async with Line(tmp_path / "bus") as line:
        twin = modbus.Twin(
            line, addresses=list(HEAD), gases=list(HEAD.values()), response_s=0.0, echo=True
        )
        twin.set(**values, temperature=-12.5, humidity=65.2)
        driver = _modbus(map="six_in_one", addresses=tuple(HEAD), gases={"1": "cl2"})
        async with reading(line, twin, driver) as got:
            for quantity, value in values.items():
                sample = await got.reads(quantity, value, Quality.GOOD)
                assert sample.unit == units.get(quantity, "ppm")
                address = next(number for number, gas in HEAD.items() if gas == quantity)
                slave = twin.slaves[address]
                assert isinstance(slave, modbus.GasSlave)
                assert sample.full_scale == slave.cell.full_scale
            await got.reads("temperature", -12.5, Quality.GOOD)
            await got.reads("humidity", 65.2, Quality.GOOD)
            twin.set_state("cl2", modbus.State.WARMUP)
            await got.reads("cl2", None, Quality.WARMUP)
            twin.set_state("cl2", None)
            twin.set(cl2=None, co=2000.0)
            await got.reads("cl2", None, Quality.FAULT)
            await got.reads("co", 1000.0, Quality.OVER_RANGE)
        assert {request[1] for request in twin.requests} == {3}


@pytest.mark.parametrize("state", list(modbus.State))
async def test_every_state_of_the_head_is_known_to_the_map(
    tmp_path: Path, state: modbus.State
) -> None:
    good = {"NORMAL", "PRE_ALARM", "LOW_ALARM", "HIGH_ALARM", "STEL_ALARM", "TWA_ALARM"}
    named = {"WARMUP": "warmup", "OVER_RANGE": "over_range", "CAL_DUE": "cal_due"}
    expected = Quality("good" if state.name in good else named.get(state.name, "fault"))
    async with Line(tmp_path / "bus") as line:
        twin = modbus.Twin(line, addresses=[3], gases=["co"], response_s=0.0)
        twin.set_state("co", state)
        async with reading(line, twin, _modbus(map="six_in_one", addresses=(3,))) as got:
            await got.reads("co", None, expected)


async def test_weather_station(tmp_path: Path) -> None:
    values = {
        "wind_speed": 3.2, "wind_direction": 215.0, "humidity": 65.2, "temperature": -5.3,
        "noise": 55.6, "pm2_5": 35.0, "pm10": 50.0, "pressure": 1013.2, "illuminance": 112000.0,
        "rain": 1.3, "radiation": 640.0,
    }  # fmt: skip
    async with Line(tmp_path / "bus") as line:
        twin = modbus.Twin(line, model="weather_station", response_s=0.0)
        twin.set(**values)
        async with reading(line, twin, _modbus(map="weather_station")) as got:
            for quantity, value in values.items():
                await got.reads(quantity, value, Quality.GOOD)


def _modbus(**config: Any) -> Any:
    made: Callable[..., Any] = modbus_driver.Config
    return modbus_driver.Driver(made(period_s=0.05, gap_s=0.01, timeout_s=0.1, **config))


@pytest.mark.parametrize("beidou", [True, False])
async def test_receiver(tmp_path: Path, beidou: bool) -> None:
    async with Line(tmp_path / "gnss") as line:
        twin = nmea.Twin(line, rate_hz=5, beidou=beidou)
        twin.set(lat=30.5930667, lon=114.30585, alt=31.5, speed=8.25, track=271.3, n_sat=9)
        driver = nmea_driver.Driver(nmea_driver.Config())
        async with reading(line, twin, driver) as got:
            # The first epochs may be read from their middle, and their end is not yet known.
            await until(lambda: len(got.fixes) >= 4, "four fixes")
            fix = got.fixes[-1]
            assert fix.mode == 3
            assert fix.lat == pytest.approx(30.5930667, abs=1e-6)
            assert fix.lon == pytest.approx(114.30585, abs=1e-6)
            assert fix.alt == 31.5
            assert fix.geoid_sep == -12.1
            assert fix.speed == pytest.approx(8.25, abs=0.01)
            assert fix.track == 271.3
            assert (fix.n_sat, fix.hdop) == (9, 0.72)
            assert fix.n_seen == (13 if beidou else 11)
            assert fix.eph_basis == "gst"
            assert fix.quality is Quality.GOOD
            assert fix.time is not None
            twin.set(valid=False)
            await until(lambda: got.fixes[-1].mode == 1, "the fix is lost")
            assert got.fixes[-1].lat is None
            twin.set(valid=True)
            await until(lambda: got.fixes[-1].mode == 3, "the fix is back")
            line.inject(Fault.BAD_CHECKSUM, n=12)
            await until(lambda: driver.counters.bad_checksums >= 11, "bad checksums are counted")


async def test_a_driver_sees_the_line_unplugged_and_replugged(tmp_path: Path) -> None:
    async with Line(tmp_path / "gas") as line:
        twin = winsen.Twin(line, gas="cl2", period_s=0.02)
        driver = winsen_driver.Driver(winsen_driver.Config(gas="cl2"))
        got = Reading()
        playing = asyncio.create_task(twin.run())
        async with _opened(line) as port:
            running = asyncio.create_task(driver.run(port, got.take))
            await got.reads("cl2", 0.0, Quality.GOOD)
            line.inject(Fault.UNPLUG)
            with pytest.raises(OSError, match="the line was hung up"):
                await running
        line.inject(Fault.REPLUG)
        twin.set(cl2=0.4)
        async with _opened(line) as port:
            running = asyncio.create_task(driver.run(port, got.take))
            await got.reads("cl2", 0.4, Quality.GOOD)
            for task in (running, playing):
                task.cancel()
            await asyncio.gather(running, playing, return_exceptions=True)
