"""A million records wait for a center that is down: the start, and the memory."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figure import Figure, figure
from bench.load import memory_mb
from bench.rig import BenchError, Rig, gauge, rig
from bench.stock import stock

RECORDS = 1_000_000
STARTS = 5
READY_S = 1.0
PATIENCE_S = 30.0
RUNS_S = 10.0
"""Before memory is looked at."""
MEMORY_MB = 45.0


async def measure(count: int = RECORDS) -> list[Figure]:
    with rig() as bench, gauge() as instrument:
        # The center is down.
        bench.mosquitto.stop()
        await stock(bench.folder / "full", count, period_ms=100)
        full, empty = [], []
        for number in range(STARTS):
            full.append(_ready_s(bench, instrument.device, "full"))
            empty.append(_ready_s(bench, instrument.device, f"empty-{number}"))
        memory = [await _memory_mb(bench, instrument.device, name) for name in ("full", "empty-0")]
    note = f"{count} records on disk, center down; from the command to READY=1"
    return [
        figure(
            "start with a million waiting", statistics.median(full), READY_S, "s",
            f"{note}, median of {STARTS}; other: the aim",
        ),
        figure(
            "start with a million waiting, beside none", statistics.median(full),
            statistics.median(empty), "s", f"{note}; other: an empty store",
        ),
        figure(
            "memory RSS, a million waiting", memory[0], MEMORY_MB, "MB",
            f"after {RUNS_S:g} s, media off; other: the aim",
        ),
        figure(
            "memory RSS, a million waiting, beside none", memory[0], memory[1], "MB",
            "other: an empty store",
        ),
    ]  # fmt: skip


@contextmanager
def _started(bench: Rig, device: str, name: str) -> Iterator[tuple[int, float]]:
    """The agent's process, and how long it took until it said to systemd that it is ready."""
    path = bench.folder / "notify"
    path.unlink(missing_ok=True)
    command = bench.agent_command(device, name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.settimeout(PATIENCE_S)
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(path)},
        )  # fmt: skip
        try:
            try:
                while b"READY=1" not in channel.recv(4096):
                    pass
            except TimeoutError as error:
                raise BenchError(f"no READY=1 within {PATIENCE_S:g} s") from error
            yield process.pid, time.perf_counter() - begin
        finally:
            process.terminate()
            process.wait()


def _ready_s(bench: Rig, device: str, name: str) -> float:
    with _started(bench, device, name) as (_, seconds):
        return seconds


async def _memory_mb(bench: Rig, device: str, name: str) -> float:
    with _started(bench, device, name) as (pid, _):
        await asyncio.sleep(RUNS_S)
        return memory_mb(pid)[0]
