"""64 kbit/s and 600 ms: a catch-up that would take a day's 1 Hz records home in 15 minutes, with
live records at most 2 s late (bench/slow_link.py measures the whole day)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agent.drill.proxy import Proxy
from agent.drill.shaping import Shape
from agent.messages import Class
from agent.store import Store
from bench.slow_link import CATCH_UP_S, LATE_S, LINK, RECORDS
from tests.agent.rig import Unit, center, connected, reading, unit, uplink_config
from tests.mosquitto import Mosquitto
from tests.waiting import until

COUNT = 2000


async def test_a_backlog_comes_home_over_a_satellite_and_what_is_live_stays_live(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with Store.open(tmp_path / "store") as store:
        Unit(store).read(COUNT)
        await store.flush()
    config = {"compress": "zstd", "keepalive_s": 60}
    async with (
        Proxy("127.0.0.1", mosquitto.port, shape=LINK) as proxy,
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(proxy.port, **config)) as made,
    ):
        await connected(made)
        epoch, begin = made.outbox.epoch.name, time.monotonic()
        delays: list[float] = []
        while len([r for r in heard.of(Class.READINGS) if r.epoch != epoch]) < COUNT:
            made.outbox.append(Class.READINGS, reading(time.monotonic(), "live"))
            before = len(heard.records)
            await asyncio.sleep(0.1)
            now = time.monotonic()
            delays += [
                now - record.body["value"]
                for record in heard.records[before:]
                if record.klass is Class.READINGS and record.body["source"] == "live"
            ]
        took = time.monotonic() - begin
        assert took <= CATCH_UP_S * COUNT / RECORDS
        assert delays
        # Not the worst: how busy the machine is otherwise shows in it.
        assert sorted(delays)[len(delays) * 9 // 10] <= LATE_S
        await until(lambda: made.uplink.cursor.pending() == 0, "all is taken", 30.0)


async def test_a_shaped_link_is_as_narrow_and_as_long_as_it_says() -> None:
    echoed = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        echoed.set()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    shape = Shape(rate_kbit_s=80.0, delay_s=0.1)
    async with server, Proxy("127.0.0.1", port, shape=shape) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        begin = time.monotonic()
        writer.write(b"x")
        await reader.readexactly(1)
        assert time.monotonic() - begin >= 2 * shape.delay_s
        begin = time.monotonic()
        writer.write(b"y" * 10_000)
        await reader.readexactly(10_000)
        assert time.monotonic() - begin >= 10_000 / shape.bytes_s + 2 * shape.delay_s
        writer.close()
        await asyncio.wait_for(echoed.wait(), 10)
