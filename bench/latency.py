"""Byte on the pty to the subscriber's callback: ours and the floor, frame about, in one run."""

from __future__ import annotations

import asyncio
import random
import time

from agent.mqtt import Message
from bench.figure import Figure, figure, percentile
from bench.rig import (
    FILTERS,
    FLOOR_TOPIC,
    READINGS_TOPIC,
    Gauge,
    first_of,
    gauge,
    rig,
    running,
    subscribed,
)

FRAMES = 400
RATIO = 1.6
"""At most, of the medians: durable storage included."""
WARM_UP_FRAMES = 20
PAUSE_S = (0.02, 0.06)
"""Between frames, at random, so that no timer of either program stays in step."""


class _Lane:
    """One program's instrument, and the time until its messages arrive."""

    def __init__(self, instrument: Gauge, topic: str) -> None:
        self.instrument = instrument
        self.topic = topic
        self.arrived = asyncio.Event()
        self.arrived_at = 0.0
        self.delays_ms: list[float] = []

    def take(self) -> None:
        self.arrived_at = time.perf_counter()
        self.arrived.set()

    async def measure(self, counts: int) -> None:
        self.arrived.clear()
        start = time.perf_counter()
        self.instrument.play(counts)
        await first_of(self.arrived, f"a frame of {self.instrument.device} on {self.topic}")
        self.delays_ms.append((self.arrived_at - start) * 1000)

    async def wake(self) -> None:
        """Play until the program answers: it may believe nothing before it has seen two."""
        for counts in range(200):
            self.arrived.clear()
            self.instrument.play(counts % 10)
            try:
                async with asyncio.timeout(0.1):
                    await self.arrived.wait()
            except TimeoutError:
                continue
            return
        await first_of(self.arrived, f"the first message on {self.topic}")


async def measure() -> list[Figure]:
    randomness = random.Random(1)
    with rig() as bench, gauge() as one, gauge() as other:
        lanes = {
            READINGS_TOPIC: _Lane(one, READINGS_TOPIC),
            FLOOR_TOPIC: _Lane(other, FLOOR_TOPIC),
        }

        def take(message: Message) -> None:
            if message.topic in lanes:
                lanes[message.topic].take()

        async with subscribed(bench, FILTERS, take):
            with (
                running(bench.agent_command(one.device)),
                running(bench.floor_command(other.device)),
            ):
                for lane in lanes.values():
                    await lane.wake()
                for number in range(WARM_UP_FRAMES + FRAMES):
                    for lane in lanes.values():
                        await lane.measure(number % 100)
                        await asyncio.sleep(randomness.uniform(*PAUSE_S))
    ours, floor = (lane.delays_ms[WARM_UP_FRAMES:] for lane in lanes.values())
    note = (
        f"{FRAMES} frames of 9 bytes, QoS 1, Mosquitto on loopback; other: bench/floor.py; the aim "
        f"for p50 is a ratio of {RATIO}"
    )
    return [
        figure(
            f"pty to subscriber p{percent}",
            percentile(ours, percent),
            percentile(floor, percent),
            "ms",
            note,
        )
        for percent in (50, 99)
    ]
