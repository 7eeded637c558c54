"""Memory and CPU of one agent at 10 records a second, beside the floor at the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.messages import Batch
from agent.mqtt import Message
from bench.figure import Figure, figure
from bench.rig import (
    FILTERS,
    FLOOR_TOPIC,
    READINGS_TOPIC,
    BenchError,
    gauge,
    rig,
    running,
    subscribed,
)

RECORDS_PER_S = 10
SETTLE_S = 5
SECONDS = 30
MEMORY_MB = 45.0
CPU_PERCENT = 1.0
STATIONS = 2
STATION = """
[[source]]
name = "station-{number}"
driver = "line"
port = "{port}"
columns = 5
[source.fields]
1 = {{ quantity = "wind_speed", unit = "m/s" }}
2 = {{ quantity = "wind_direction", unit = "deg" }}
3 = {{ quantity = "temperature", unit = "Cel" }}
4 = {{ quantity = "humidity", unit = "%RH" }}
5 = {{ quantity = "pressure", unit = "hPa" }}
"""


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS (shared pages divided among those who share them)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (re.search(rf"^{name}: +(\d+) kB", text, re.MULTILINE) for name in ("Rss", "Pss"))
    if rss is None or pss is None:
        raise BenchError(f"/proc/{pid}/smaps_rollup has no Rss or no Pss")
    return int(rss[1]) / 1024, int(pss[1]) / 1024


class _Arrived:
    """Records by topic, since the last `forget`."""

    def __init__(self, *topics: str) -> None:
        self._count = dict.fromkeys(topics, 0)

    def take(self, message: Message) -> None:
        if message.topic == READINGS_TOPIC:
            records = msgspec.json.decode(message.payload, type=Batch).records
            self._count[READINGS_TOPIC] += len(records)
        elif message.topic in self._count:
            self._count[message.topic] += 1

    def forget(self) -> None:
        self._count = dict.fromkeys(self._count, 0)

    def check(self) -> None:
        """BenchError: more than those of a second are too many, or missing."""
        wanted = SECONDS * RECORDS_PER_S
        for topic, count in self._count.items():
            if abs(count - wanted) > RECORDS_PER_S:
                raise BenchError(f"{topic}: expected {wanted} records, but {count} arrived")


async def _play(per_s: int, play: Callable[[int], None], settled: Callable[[], None]) -> None:
    """`play` so often a second; `settled` is called after the time in which nothing counts yet."""
    start = time.monotonic()
    for number in range((SETTLE_S + SECONDS) * per_s):
        if number == SETTLE_S * per_s:
            settled()
        play(number)
        due = start + (number + 1) / per_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def measure() -> list[Figure]:
    return [*await _frames(), *await _stations()]


async def _frames() -> list[Figure]:
    """Each record in a frame of its own."""
    arrived = _Arrived(READINGS_TOPIC, FLOOR_TOPIC)
    with rig() as bench, gauge() as one, gauge() as other:
        async with subscribed(bench, FILTERS, arrived.take):
            with (
                running(bench.agent_command(one.device)) as agent,
                running(bench.floor_command(other.device)) as floor,
            ):
                pids = (agent.pid, floor.pid)
                used, early = [0.0, 0.0], 0.0

                def play(number: int) -> None:
                    one.play(number % 100)
                    other.play(number % 100)

                def settled() -> None:
                    nonlocal used, early
                    used, early = [cpu_s(pid) for pid in pids], memory_mb(agent.pid)[0]
                    arrived.forget()

                await _play(RECORDS_PER_S, play, settled)
                for process in (agent, floor):
                    if process.poll() is not None:
                        raise BenchError(f"{process.args!r} ended with {process.returncode}")
                used = [cpu_s(pid) - before for pid, before in zip(pids, used, strict=True)]
                memory = [memory_mb(pid) for pid in pids]
    arrived.check()
    note = f"one agent, {RECORDS_PER_S} records/s for {SECONDS} s, media off; other: bench/floor.py"
    cpu = [100 * seconds / SECONDS for seconds in used]
    return [
        figure("memory RSS", memory[0][0], memory[1][0], "MB", note),
        figure("memory PSS", memory[0][1], memory[1][1], "MB", note),
        figure("CPU", cpu[0], cpu[1], "% of a core", note),
        figure("memory RSS, limit", memory[0][0], MEMORY_MB, "MB", "other: the aim"),
        figure("CPU, limit", cpu[0], CPU_PERCENT, "% of a core", "other: the aim"),
        figure(
            "memory RSS at the end of the load", memory[0][0], early, "MB",
            f"other: the same agent {SECONDS} s before",
        ),
    ]  # fmt: skip


async def _stations() -> list[Figure]:
    """As a vehicle has them: of instruments that send several values a second at once."""
    arrived = _Arrived(READINGS_TOPIC)
    with rig() as bench, contextlib.ExitStack() as stack:
        stations = [stack.enter_context(gauge()) for _ in range(STATIONS)]
        sources = "".join(
            STATION.format(number=number, port=station.device)
            for number, station in enumerate(stations)
        )
        async with subscribed(bench, FILTERS, arrived.take):
            with running(bench.agent_command("", sources=sources)) as agent:
                used = 0.0

                def play(number: int) -> None:
                    value = number % 100
                    line = f"{value / 10},{value},{20 + value / 100},{40 + value / 10},1013.2\r\n"
                    stations[number % STATIONS].write(line.encode())

                def settled() -> None:
                    nonlocal used
                    used = cpu_s(agent.pid)
                    arrived.forget()

                await _play(STATIONS, play, settled)
                used = cpu_s(agent.pid) - used
    arrived.check()
    note = (
        f"{STATIONS} instruments, each with {RECORDS_PER_S // STATIONS} values once a second; "
        f"other: the aim for {RECORDS_PER_S} records/s"
    )
    percent = 100 * used / SECONDS
    return [figure("CPU, two weather stations", percent, CPU_PERCENT, "% of a core", note)]
