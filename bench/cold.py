"""Cold start: from `outpost run` to its first PUBLISH at a subscriber, beside the floor."""

from __future__ import annotations

import asyncio
import statistics
import time

from agent.mqtt import Message
from bench.figure import Figure, figure
from bench.rig import FLOOR_TOPIC, ORG, UNIT, Rig, first_of, gauge, rig, running, subscribed

STARTS = 7
LIMIT_S = 0.4


async def seconds_to_publish(bench: Rig, command: list[str], topic: str) -> float:
    """Start a program and wait for anything that it says on `topic`."""
    heard = asyncio.Event()
    at = 0.0

    def take(message: Message) -> None:
        nonlocal at
        if not message.retain and not heard.is_set():
            at = time.perf_counter()
            heard.set()

    async with subscribed(bench, [topic], take):
        start = time.perf_counter()
        with running(command):
            await first_of(heard, f"the first PUBLISH on {topic}", timeout_s=20)
    return at - start


async def measure() -> list[Figure]:
    ours: list[float] = []
    floor: list[float] = []
    with rig() as bench, gauge() as one, gauge() as other:
        for number in range(STARTS):
            command = bench.agent_command(one.device, f"agent-{number}")
            ours.append(await seconds_to_publish(bench, command, f"outpost/v1/{ORG}/{UNIT}/#"))
            command = bench.floor_command(other.device)
            floor.append(await seconds_to_publish(bench, command, FLOOR_TOPIC))
    note = f"median of {STARTS} starts with an empty store"
    return [
        figure(
            "start to first PUBLISH",
            statistics.median(ours),
            statistics.median(floor),
            "s",
            f"{note}; other: bench/floor.py",
        ),
        figure(
            "start to first PUBLISH, limit", statistics.median(ours), LIMIT_S, "s",
            f"{note}; other: the aim",
        ),
    ]  # fmt: skip
