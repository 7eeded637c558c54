"""A day of records over a satellite link: how long the catch-up takes, how late live ones come."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import msgspec

from agent import topics
from agent.center.receiver import Receiver
from agent.delivery.rows import Row
from agent.drill.proxy import Proxy
from agent.drill.shaping import Shape
from agent.messages import Class, FixBody, Reading
from agent.mqtt import Message
from agent.store import Store
from bench.figure import Figure, figure
from bench.rig import (
    FILTERS,
    ORG,
    OUTPOST,
    UNIT,
    BenchError,
    Gauge,
    Rig,
    gauge,
    rig,
    running,
    subscribed,
)
from drivers import Quality

LINK = Shape(rate_kbit_s=64.0, delay_s=0.3)
RECORDS = 86_400
CATCH_UP_S = 900.0
LATE_S = 2.0
PATIENCE_S = 2 * CATCH_UP_S
AFTER_S = 10
"""Live records are still measured so long after the catch-up."""
NOTE = "64 kbit/s, 600 ms round trip, records compressed; a real agent, a real Mosquitto"


async def measure(count: int = RECORDS) -> list[Figure]:
    with rig() as bench, gauge() as instrument:
        await _a_day(bench.folder / "agent", count)
        async with Proxy("127.0.0.1", bench.mosquitto.port, shape=LINK) as proxy:
            heard = _Heard(count)
            async with subscribed(bench, FILTERS, heard.take):
                with running(_command(bench, proxy.port, instrument.device)):
                    beat = asyncio.create_task(_play(instrument))
                    try:
                        await _caught_up(heard)
                    finally:
                        beat.cancel()
    return heard.figures()


def _command(bench: Rig, port: int, device: str) -> list[str]:
    bench.agent_command(device)
    path = bench.folder / "agent.toml"
    text = path.read_text().replace(f"port = {bench.mosquitto.port}", f"port = {port}")
    path.write_text(text + 'compress = "zstd"\nkeepalive_s = 60\n')
    return [*OUTPOST, "run", "--config", str(path)]


async def _play(instrument: Gauge) -> None:
    number = 0
    while True:
        number += 1
        instrument.play(number % 100)
        await asyncio.sleep(1.0)


async def _a_day(folder: Path, count: int) -> None:
    """A store as a unit has it that measured each second and had no link."""
    async with Store.open(folder / "store") as store:
        epoch = store.begin_epoch(f"{time.time_ns() // 1_000_000 - 1000 * count}-da1e", "")
        begin, rng, prev = time.time_ns() // 1_000_000 - 1000 * count, random.Random(4), 0
        for seq, body in enumerate(_bodies(rng, count), start=1):
            row = Row(
                epoch=epoch.id, seq=seq, klass=Class.READINGS, prev=prev, clock="gnss", mono=0,
                t=begin + 1000 * seq + rng.randrange(-20, 20), body=msgspec.json.encode(body),
            )  # fmt: skip
            store.append(row, urgent=False, done=lambda _: None)
            prev = seq
            if seq % 5000 == 0:
                await store.flush()
        await store.flush()


def _bodies(rng: random.Random, count: int) -> Any:
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


async def _caught_up(heard: _Heard) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await heard.done.wait()
    except TimeoutError as error:
        have = heard.old
        raise BenchError(f"after {PATIENCE_S:g} s only {have} of {RECORDS} have come") from error
    await asyncio.sleep(AFTER_S)


class _Heard:
    """What the center has, and when it came."""

    def __init__(self, count: int) -> None:
        self.old = 0
        self.done = asyncio.Event()
        self._count = count
        self._receiver = Receiver()
        self._begin = time.time()
        self._end = 0.0
        self._first = 0.0
        self._bytes = 0
        self._ages: list[float] = []

    def take(self, message: Message) -> None:
        now = time.time()
        fresh = self._receiver.feed(topics.parse(message.topic), message.payload)
        self._first = self._first or (now if fresh else 0.0)
        for record in fresh:
            if record.t / 1000 < self._begin:
                self.old += 1
            elif record.klass is Class.READINGS and record.t / 1000 > self._first:
                # What was read before the link was there is backlog too.
                self._ages.append(now - record.t / 1000)
        if fresh and fresh[0].t / 1000 < self._begin:
            self._bytes += len(message.payload)
        if self.old == self._count and not self.done.is_set():
            self._end = now
            self.done.set()

    def figures(self) -> list[Figure]:
        """BenchError: not all came, or nothing live."""
        counts = self._receiver.counts(UNIT)
        if counts.missing or not self._ages:
            raise BenchError(f"{ORG}/{UNIT}: {counts.missing} missing, {len(self._ages)} live")
        ages = sorted(self._ages)
        p99 = ages[min(len(ages) - 1, round(0.99 * len(ages)))]
        each = self._bytes / self._count
        note = f"{NOTE}; {self._count} records at {each:.1f} B each, {counts.repeated} repeats"
        took = self._end - self._first
        return [
            figure("slow link, a day caught up", took, CATCH_UP_S, "s", f"{note}; other: the aim"),
            figure(
                "slow link, live p50", ages[len(ages) // 2], LATE_S, "s",
                f"{len(ages)} live records during the catch-up, age at the receiver",
            ),
            figure("slow link, live p99", p99, LATE_S, "s", "the same; other: the aim"),
            figure("slow link, live worst", ages[-1], LATE_S, "s", "the same; other: the aim"),
        ]  # fmt: skip
