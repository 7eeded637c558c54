"""A store as a unit has it that measured for long and had no link."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.delivery.rows import Row
from agent.messages import Class, FixBody, Reading
from agent.store import Store
from drivers import Quality

OLD = "-da1e"
"""How the name of its epoch ends."""
TOGETHER = 5000
"""Records that wait for the disk at once."""


async def stock(folder: Path, count: int, period_ms: int = 1000) -> None:
    """`folder/store` holds `count` readings, one each `period_ms`, the last of them made now."""
    begin = time.time_ns() // 1_000_000 - period_ms * count
    async with Store.open(folder / "store") as store:
        epoch = store.begin_epoch(f"{begin}{OLD}", "")
        rng, prev = random.Random(4), 0
        for seq, body in enumerate(_bodies(rng, count), start=1):
            row = Row(
                epoch=epoch.id, seq=seq, klass=Class.READINGS, prev=prev, clock="gnss", mono=0,
                t=begin + period_ms * seq + rng.randrange(-20, 20), body=msgspec.json.encode(body),
            )  # fmt: skip
            store.append(row, urgent=False, done=lambda _: None)
            prev = seq
            if seq % TOGETHER == 0:
                await store.flush()
        await store.flush()


def _bodies(rng: random.Random, count: int) -> Iterator[Reading]:
    """What a unit measures in turn: its place, two gases, the weather; noise in every figure."""
    level = {"cl2": 0.4, "combustible": 3.0, "temperature": 18.0, "wind_speed": 4.0}
    units = {"cl2": "ppm", "combustible": "%LEL", "temperature": "Cel", "wind_speed": "m/s"}
    lat, lon = 30.5928, 114.3055
    for number in range(count):
        if number % 5 == 0:
            lat, lon = lat + rng.gauss(0, 4e-5), lon + rng.gauss(0, 4e-5)
            fix = FixBody(
                mode=3, lat=round(lat, 7), lon=round(lon, 7), alt=round(rng.gauss(37, 2), 1),
                speed=round(abs(rng.gauss(8, 3)), 2), track=round(rng.uniform(0, 360), 1),
                hdop=round(rng.uniform(0.7, 1.4), 1), n_sat=rng.randrange(9, 16),
            )  # fmt: skip
            yield Reading(source="gnss", quantity="position", quality=Quality.GOOD, fix=fix)
            continue
        quantity = list(level)[number % 5 - 1]
        level[quantity] = max(0.0, level[quantity] + rng.gauss(0, 0.1))
        yield Reading(
            source="gas" if quantity in ("cl2", "combustible") else "weather", quantity=quantity,
            value=round(level[quantity], 2), unit=units[quantity], quality=Quality.GOOD,
        )  # fmt: skip
