"""A day of records over a satellite link: how long the catch-up takes, how late live ones come."""

from __future__ import annotations

import asyncio
import time

from agent import topics
from agent.center.receiver import Receiver
from agent.drill.proxy import Proxy
from agent.drill.shaping import Shape
from agent.messages import Class
from agent.mqtt import Message
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
from bench.stock import stock

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
        await stock(bench.folder / "agent", count)
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
