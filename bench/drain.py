"""A backlog goes to its center: ours beside Mosquitto's own bridge, and what is read meanwhile."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from pathlib import Path

import msgspec

from agent.mqtt import Broker, Message, connect
from bench.centers import Listener, add_lines, center
from bench.figure import Figure, figure, percentile
from bench.load import memory_mb
from bench.rig import OUTPOST, READINGS_TOPIC, BenchError, Gauge, Rig, gauge, rig, running
from bench.stock import OLD, stock
from tests.mosquitto import Mosquitto

RECORDS = 500_000
LIVE_HZ = 50
VALUES = 100
"""Different values that the instrument shows in turn."""
LIVE_P99_MS = 50.0
PATIENCE_S = 240.0
WINDOW = 200
"""Unacknowledged messages of who fills the bridge."""
SETTLED_S = 2.0
"""The instrument and the agent know each other before the center comes up."""


class _Record(msgspec.Struct):
    seq: int
    source: str = ""
    value: float | None = None
    late: bool = False


class _Batch(msgspec.Struct):
    epoch: str
    records: list[_Record]


class _Whole(msgspec.Struct):
    """As `_Batch`, with everything in it."""

    unit: str
    epoch: str
    mark: str
    records: list[msgspec.Raw]


class Drain(msgspec.Struct):
    """How a backlog came."""

    seconds: float
    batch: float
    """Records in a message, on average."""
    live_ms: list[float] = []
    memory_mb: list[float] = []


async def measure(count: int = RECORDS) -> list[Figure]:
    with rig() as bench:
        program = bench.mosquitto.program
        await stock(bench.folder / "agent", count)
        ours = await _ours(bench, center(program, bench.folder / "center"), count)
        payloads = bench.folder / "payloads"
        _one_a_line(bench.folder / "heard", payloads)
        bridge = await _bridge(bench, payloads, count)
    note = (
        f"{count} records, counted at mosquitto_sub; ours from disk, {ours.batch:.0f} records a "
        f"message; other: Mosquitto's bridge from memory, {bridge.batch:.0f} a message"
    )
    live = f"{len(ours.live_ms)} records at {LIVE_HZ} Hz, pty to mosquitto_sub"
    quarter = max(1, len(ours.memory_mb) // 4)
    first, last = ours.memory_mb[:quarter], ours.memory_mb[-quarter:]
    return [
        figure("backlog drained", count / ours.seconds, count / bridge.seconds, "records/s", note),
        figure(
            "live p99 during the drain", percentile(ours.live_ms, 99), LIVE_P99_MS, "ms",
            f"{live}; other: the aim",
        ),
        figure("live p50 during the drain", percentile(ours.live_ms, 50), None, "ms", live),
        figure(
            "memory RSS at the end of the drain", statistics.median(last),
            statistics.median(first), "MB", "medians of quarters; other: the first quarter",
        ),
    ]  # fmt: skip


# -- ours --------------------------------------------------------------------------------------


async def _ours(bench: Rig, broker: Mosquitto, count: int) -> Drain:
    """The agent, its center down when it starts."""
    listener = Listener(broker, READINGS_TOPIC, bench.folder / "heard")
    broker.start()
    listener.subscribe()
    broker.stop()
    played: dict[float, list[float]] = {}
    memory: list[float] = []
    with gauge() as instrument:
        path = bench.folder / "agent.toml"
        bench.agent_command(instrument.device)
        text = path.read_text().replace(f"port = {bench.mosquitto.port}", f"port = {broker.port}")
        path.write_text(text + "history_records_per_s = 1000000\n")
        with running([*OUTPOST, "run", "--config", str(path)]) as agent:
            beat = asyncio.create_task(_play(instrument, played))
            await asyncio.sleep(SETTLED_S)
            broker.start()
            try:
                with listener.listening():
                    look = asyncio.create_task(_watch_memory(agent.pid, memory))
                    await listener.heard(count, PATIENCE_S)
                    look.cancel()
                    await asyncio.sleep(SETTLED_S)
            finally:
                beat.cancel()
                broker.stop()
    return _read(listener, count, played, memory)


async def _play(instrument: Gauge, played: dict[float, list[float]]) -> None:
    start = time.monotonic()
    number = 0
    while True:
        counts = number % VALUES
        played.setdefault(counts / 10, []).append(time.time())
        instrument.play(counts)
        number += 1
        await asyncio.sleep(max(0.0, start + number / LIVE_HZ - time.monotonic()))


async def _watch_memory(pid: int, found: list[float]) -> None:
    while True:
        found.append(memory_mb(pid)[0])
        await asyncio.sleep(0.2)


def _read(
    listener: Listener, count: int, played: dict[float, list[float]], memory: list[float]
) -> Drain:
    """BenchError: not each record of the backlog came."""
    decode = msgspec.json.Decoder(_Batch).decode
    old: set[int] = set()
    first = last = 0.0
    messages = 0
    live: list[tuple[float, float]] = []
    for arrival in listener.arrivals():
        batch = decode(arrival.payload)
        if batch.epoch.endswith(OLD):
            old.update(record.seq for record in batch.records)
            first, last = first or arrival.at, arrival.at
            messages += 1
        elif not batch.records[0].late:
            live += [(arrival.at, record.value or 0.0) for record in batch.records]
    if len(old) != count:
        raise BenchError(f"of a backlog of {count} records {len(old)} came")
    ages = [
        1000 * (at - max((t for t in played.get(value, []) if t <= at), default=0.0))
        for at, value in live
        if first <= at <= last
    ]
    if not ages:
        raise BenchError("nothing live came during the drain")
    return Drain(last - first, count / messages, ages, memory)


# -- the bridge --------------------------------------------------------------------------------


def _one_a_line(heard: Path, payloads: Path) -> None:
    """The same records for the bridge, each a message of its own: it cannot put them together."""
    decode = msgspec.json.Decoder(_Whole).decode
    encode = msgspec.json.Encoder().encode
    with heard.open("rb") as lines, payloads.open("wb") as output:
        for line in lines:
            batch = decode(line.partition(b" ")[2])
            if batch.epoch.endswith(OLD):
                for record in batch.records:
                    one = msgspec.structs.replace(batch, records=[record])
                    output.write(encode(one) + b"\n")


async def _bridge(bench: Rig, payloads: Path, count: int) -> Drain:
    """Mosquitto with a bridge to a center that is down; then the center comes up."""
    program = bench.mosquitto.program
    broker = center(program, bench.folder / "bridged")
    listener = Listener(broker, READINGS_TOPIC, bench.folder / "bridge-heard")
    local = center(program, bench.folder / "local")
    add_lines(local, [
        "max_inflight_messages 0", "connection center",
        f"address {broker.host}:{broker.port}", "topic # out 1", "cleansession false",
        "restart_timeout 1", "notifications false",
    ])  # fmt: skip
    broker.start()
    local.start()
    try:
        await _crosses(local, broker)
        listener.subscribe()
        broker.stop()
        await _fill(local, payloads)
        broker.start()
        with listener.listening():
            await listener.heard(count, PATIENCE_S)
            await asyncio.sleep(SETTLED_S)
    finally:
        local.stop()
        broker.stop()
    times = [arrival.at for arrival in listener.arrivals()]
    return Drain(times[-1] - times[0], count / len(times))


async def _crosses(local: Mosquitto, broker: Mosquitto) -> None:
    """A bridge that has never been connected keeps nothing."""
    came = asyncio.Event()

    def take(_message: Message) -> None:
        came.set()

    far = Broker(host=broker.host, port=broker.port)
    near = Broker(host=local.host, port=local.port)
    async with (
        connect(far, client_id="far", on_message=take) as heard,
        connect(near, client_id="near", on_message=lambda _: None) as said,
    ):
        await heard.subscribe(["first"])
        for _ in range(100):
            said.publish("first", b"")
            try:
                async with asyncio.timeout(0.1):
                    await came.wait()
            except TimeoutError:
                continue
            return
    raise BenchError("the bridge did not connect")


async def _fill(local: Mosquitto, payloads: Path) -> None:
    """`mosquitto_pub -l` ends before the broker has taken all."""
    near = Broker(host=local.host, port=local.port)
    async with connect(near, client_id="near", on_message=lambda _: None) as connection:
        waiting: deque[asyncio.Future[int]] = deque()
        with payloads.open("rb") as lines:
            for line in lines:
                waiting.append(connection.publish(READINGS_TOPIC, line.rstrip(b"\n")))
                if len(waiting) >= WINDOW:
                    await waiting.popleft()
        for future in waiting:
            await future
