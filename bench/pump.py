"""A unit's delivery without instruments, as fast as it goes: `python -m bench.pump PORT DIR S`.

Readings are made while fewer than WAITING are not settled: numbered, encoded, committed to the
WAL, published with QoS 1, acknowledged, settled.  Prints how many a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from agent.messages import Class
from agent.store import Store
from tests.agent.rig import Unit, reading, uplink_config

WAITING = 2000
"""Records that are made and not settled: as many as the live lane holds."""
PIECE = 50
"""Records made in one turn of the loop."""
WARM_UP_S = 2.0


async def pump(port: int, directory: Path, seconds: float) -> float:
    """Settled records a second."""
    async with Store.open(directory) as store, asyncio.TaskGroup() as group:
        unit = Unit(store, uplink_config(port))
        link = group.create_task(unit.uplink.run())
        making = group.create_task(_make(unit))
        while unit.uplink.state != "up":  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)
        await asyncio.sleep(WARM_UP_S)
        begin, before = time.perf_counter(), _settled(unit)
        await asyncio.sleep(seconds)
        rate = (_settled(unit) - before) / (time.perf_counter() - begin)
        making.cancel()
        link.cancel()
    return rate


async def _make(unit: Unit) -> None:
    number = 0
    while True:
        if unit.outbox.made - _settled(unit) < WAITING and unit.uplink.state == "up":
            for _ in range(PIECE):
                number += 1
                unit.outbox.append(Class.READINGS, reading(float(number % 100)), newest="gas1/cl2")
        await asyncio.sleep(0)


def _settled(unit: Unit) -> int:
    settled = unit.uplink.cursor.settled.get(unit.outbox.epoch.id)
    return sum(last - first + 1 for first, last in settled) if settled is not None else 0


if __name__ == "__main__":
    print(asyncio.run(pump(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))))  # noqa: T201
