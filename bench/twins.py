"""32 instruments in one process: `python -m bench.twins FOLDER`, a pty of each linked there."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from drivers.sim import gill, modbus, nmea, winsen
from drivers.sim.line import Line

GNSS_HZ = 10
STEP_S = 1.0
READY = "ready"
"""A file of this name appears in FOLDER when all lines are there."""

GASES = ("co", "h2s", "o2", "nh3", "cl2", "so2", "no2", "o3")


class Instrument(NamedTuple):
    name: str
    twin: Callable[[Line], Any]
    keys: str
    """Its driver's, as a `[[source]]` has them."""
    change: Callable[[Any, float], None]
    """What it feels at a time, so that no value stands still."""


def _receiver(number: int) -> Instrument:
    def move(twin: Any, t: float) -> None:
        twin.set(lat=30.5 + number / 100 + t * 1e-5, lon=114.3, speed=1.1, track=0.0)

    return Instrument(
        f"gnss{number}", lambda line: nmea.Twin(line, rate_hz=GNSS_HZ), 'driver = "nmea"', move
    )


def _module(number: int) -> Instrument:
    gas = GASES[number % len(GASES)]

    def feel(twin: Any, t: float) -> None:
        twin.set(**{gas: _wave(t, number, 20.8 if gas == "o2" else 0.1, 0.1)})

    keys = f'driver = "winsen"\nmodule = "ze03"\ngas = "{gas}"'
    return Instrument(f"gas{number}", lambda line: winsen.Twin(line, gas=gas), keys, feel)


def _head(number: int) -> Instrument:
    def feel(twin: Any, t: float) -> None:
        twin.set(co=_wave(t, number, 10, 5), temperature=21.0, humidity=50.0)

    keys = 'driver = "modbus"\nmap = "six_in_one"'
    return Instrument(f"head{number}", lambda line: modbus.Twin(line), keys, feel)


def _station(number: int) -> Instrument:
    def feel(twin: Any, t: float) -> None:
        twin.set(wind_speed=_wave(t, number, 4, 2), wind_direction=(t + number) % 360)

    keys = 'driver = "modbus"\nmap = "weather_station"'
    return Instrument(
        f"station{number}", lambda line: modbus.Twin(line, model="weather_station"), keys, feel
    )


def _anemometer(number: int) -> Instrument:
    def feel(twin: Any, t: float) -> None:
        twin.set(wind_speed=_wave(t, number, 4, 2), wind_direction=(t + number) % 360)

    keys = 'driver = "gill"\nmount = "fixed"'
    return Instrument(f"wind{number}", lambda line: gill.Twin(line), keys, feel)


def _wave(t: float, number: int, middle: float, swing: float) -> float:
    return middle + swing * math.sin(t / 10 + number)


INSTRUMENTS = (
    *(_receiver(number) for number in range(8)),
    *(_module(number) for number in range(12)),
    *(_head(number) for number in range(4)),
    *(_station(number) for number in range(4)),
    *(_anemometer(number) for number in range(4)),
)


async def play(folder: Path) -> None:
    """Until cancelled.  The instruments begin at times of their own, as real ones do."""
    dice = random.Random(32)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for one in INSTRUMENTS:
            line = await stack.enter_async_context(Line(folder / one.name))
            twin = one.twin(line)
            group.create_task(_begin(twin, dice.uniform(0, 1)), name=one.name)
            group.create_task(_change(one, twin), name=f"{one.name}.change")
        (folder / READY).touch()


async def _begin(twin: Any, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    await twin.run()


async def _change(one: Instrument, twin: Any) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        one.change(twin, loop.time() - start)
        await asyncio.sleep(STEP_S)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(play(Path(sys.argv[1])))
