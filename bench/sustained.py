"""Records a second through outbox, PUBACK and settle, beside the same library with no disk."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque

import msgspec

from agent.mqtt import Broker, connect
from bench.centers import Listener, center
from bench.figure import Figure, figure
from bench.rig import BenchError, Rig, rig
from tests.agent.rig import ROOT, reading

SECONDS = 10.0
WINDOW = 100
"""Unacknowledged messages: as many as an uplink has."""


async def measure(seconds: float = SECONDS) -> list[Figure]:
    with rig() as bench:
        broker = center(bench.mosquitto.program, bench.folder / "center")
        listener = Listener(broker, f"{ROOT}/readings", bench.folder / "heard")
        broker.start()
        try:
            with listener.listening():
                settled = await _ours(bench, broker.port, seconds)
                await listener.heard(round(settled * seconds), 10.0)
            messages = sum(1 for _ in listener.arrivals())
            other = await _plain(broker.port, seconds)
        finally:
            broker.stop()
    batch = listener.records / messages
    note = (
        f"{seconds:g} s; ours numbered, on disk, published, acknowledged and settled, {batch:.0f} "
        f"records a message; other: the same library alone, window {WINDOW}, a record a message"
    )
    return [figure("sustained, settled", settled, other, "records/s", note)]


async def _ours(bench: Rig, port: int, seconds: float) -> float:
    """BenchError: it failed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.pump", str(port), str(bench.folder / "pump"), str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"bench.pump ended with {process.returncode}")
    return float(output)


async def _plain(port: int, seconds: float) -> float:
    encode = msgspec.json.Encoder().encode
    broker = Broker(host="127.0.0.1", port=port)
    async with connect(broker, client_id="plain", on_message=lambda _: None) as connection:
        waiting: deque[asyncio.Future[int]] = deque()
        begin, taken = time.perf_counter(), 0
        while (now := time.perf_counter()) - begin < seconds:
            waiting.append(connection.publish("plain", encode(reading(now))))
            if len(waiting) >= WINDOW:
                await waiting.popleft()
                taken += 1
        return taken / (time.perf_counter() - begin)
