"""One agent, one core, 32 serial lines at once: CPU, memory, and whether all of it arrives."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.messages import Batch
from agent.mqtt import Message
from bench.figure import Figure, figure
from bench.load import cpu_s, memory_mb
from bench.rig import (
    FILTERS,
    OUTPOST,
    READINGS_TOPIC,
    BenchError,
    Rig,
    configuration,
    rig,
    running,
    subscribed,
)
from bench.twins import GNSS_HZ, INSTRUMENTS, READY

SETTLE_S = 8
SECONDS = 30
CPU_LIMIT = 15.0
MEMORY_LIMIT_MB = 80.0
CORE = 0


class _Source(msgspec.Struct):
    """Of a record only who made it."""

    source: str


async def measure() -> list[Figure]:
    taskset = shutil.which("taskset")
    if taskset is None:
        raise BenchError("the bench needs taskset (apt-get install util-linux)")
    arrived: Counter[str] = Counter()

    def take(message: Message) -> None:
        if message.topic == READINGS_TOPIC:
            for raw in msgspec.json.decode(message.payload, type=Batch).records:
                arrived[msgspec.json.decode(raw, type=_Source).source] += 1

    with rig() as bench:
        ports = bench.folder / "ports"
        ports.mkdir()
        command = [
            taskset,
            "-c",
            str(CORE),
            *OUTPOST,
            "run",
            "--config",
            str(_config(bench, ports)),
        ]
        async with subscribed(bench, FILTERS, take):
            with running([sys.executable, "-m", "bench.twins", str(ports)]) as twins:
                await _ready((ports / READY).exists)
                with running(command) as agent:
                    await asyncio.sleep(SETTLE_S)
                    arrived.clear()
                    start, before = time.monotonic(), cpu_s(agent.pid)
                    await asyncio.sleep(SECONDS)
                    taken_s = time.monotonic() - start
                    used_s = cpu_s(agent.pid) - before
                    for process in (twins, agent):
                        if process.poll() is not None:
                            raise BenchError(f"{process.args!r} ended with {process.returncode}")
                    memory = memory_mb(agent.pid)
    _check(arrived, taken_s)
    total = sum(arrived.values()) / taken_s
    note = (
        f"32 lines: 8 GNSS at {GNSS_HZ} Hz, 24 gas and weather at 1 Hz; {total:.0f} records/s, "
        f"{SECONDS} s on one core; other: the limit"
    )
    return [
        figure("32 lines, CPU", 100 * used_s / taken_s, CPU_LIMIT, "% of a core", note),
        figure("32 lines, memory RSS", memory[0], MEMORY_LIMIT_MB, "MB", note),
    ]


def _config(bench: Rig, ports: Path) -> Path:
    """As the other measurements have it, with these sources in place of the one gas module."""
    sources = "".join(
        f'[[source]]\nname = "{one.name}"\nport = "{ports / one.name}"\n{one.keys}\n'
        for one in INSTRUMENTS
    )
    path = bench.folder / "lines.toml"
    path.write_text(configuration(bench.folder / "lines", bench.mosquitto.port, sources))
    return path


async def _ready(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not there():
        if time.monotonic() > deadline:
            raise BenchError("waited 20 s in vain for the twins")
        await asyncio.sleep(0.05)


def _check(arrived: Counter[str], taken_s: float) -> None:
    """BenchError: a line was not read as often as its instrument spoke."""
    for one in INSTRUMENTS:
        rate = arrived[one.name] / taken_s
        expected = GNSS_HZ if one.name.startswith("gnss") else 1
        if rate < 0.8 * expected:
            raise BenchError(
                f"{one.name}: expected {expected} records/s at least, but {rate:.2f}/s arrived"
            )
