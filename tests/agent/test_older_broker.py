"""Brokers that speak MQTT 3.1.1 alone: NATS as Debian has it, a real one; and scripted ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.broker import Broker, MqttError
from agent.messages import Class
from agent.mqtt import Tongues, connect
from agent.mqtt.tongues import FIVE, GUESSED_S, OLDER, SILENT, TOLD_S
from agent.reconnect import keep_connected
from bench.broker_kinds import KINDS, Running, running
from tests.agent.brokers import CONNECT, at, ignore, protocol_level, read_packet, scripted
from tests.agent.rig import Center, alarm, center, connected, settled, unit, uplink_config
from tests.waiting import until

BROKER = Broker(host="center.example", port=1883)


def test_mqtt_5_comes_first_and_after_a_refusal_not_for_an_hour() -> None:
    tongues = Tongues()
    assert tongues.to_try(BROKER, 0.0) == (FIVE, OLDER)
    tongues.spoke(BROKER, OLDER, 0.0, told=True)
    assert tongues.to_try(BROKER, TOLD_S - 1) == (OLDER,)
    tongues.spoke(BROKER, OLDER, TOLD_S - 1, told=False)
    assert tongues.to_try(BROKER, TOLD_S) == (FIVE, OLDER), "it may have been renewed"
    other = Broker(host="province.example", port=1883)
    assert tongues.to_try(other, 0.0) == (FIVE, OLDER)


def test_what_was_only_guessed_is_forgotten_sooner() -> None:
    tongues = Tongues()
    tongues.spoke(BROKER, OLDER, 0.0, told=False)
    assert tongues.to_try(BROKER, GUESSED_S - 1) == (OLDER,)
    assert tongues.to_try(BROKER, GUESSED_S) == (FIVE, OLDER)
    tongues.spoke(BROKER, OLDER, GUESSED_S, told=False)
    tongues.not_older(BROKER)
    assert tongues.to_try(BROKER, GUESSED_S) == (FIVE, OLDER), "it does not know 3.1.1 any more"


def test_a_link_that_swallows_one_answer_costs_no_version() -> None:
    tongues = Tongues()
    for _ in range(3):
        assert not any(tongues.silence(BROKER) for _ in range(SILENT - 1))
        tongues.spoke(BROKER, FIVE, 0.0, told=False)
    assert [tongues.silence(BROKER) for _ in range(SILENT)] == [False] * (SILENT - 1) + [True]


@pytest.mark.parametrize(("timeout_s", "keepalive_s"), [(0.2, 15), (10.0, 1)])
async def test_a_broker_that_falls_silent_at_mqtt_5_is_spoken_to_in_3_1_1(
    timeout_s: float, keepalive_s: int
) -> None:
    levels: list[int] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, body = await read_packet(reader)
            if first & 0xF0 == CONNECT:
                levels.append(protocol_level(body))
                if levels[-1] == OLDER:
                    writer.write(b"\x20\x02\x00\x00")

    tongues = Tongues()
    async with scripted(broker) as port:
        options = {
            "client_id": "u",
            "on_message": ignore,
            "timeout_s": timeout_s,
            "tongues": tongues,
        }
        target = at(port, keepalive_s=keepalive_s)
        for _ in range(SILENT - 1):
            with pytest.raises(MqttError, match=r"sent no CONNACK within|no answer to a ping"):
                async with connect(target, **options):  # type: ignore[arg-type]
                    pass
        for _ in range(2):
            async with connect(target, **options) as link:  # type: ignore[arg-type]
                assert link.protocol == OLDER
    assert levels == [FIVE] * SILENT + [OLDER, OLDER]


# -- a real one ------------------------------------------------------------------------------------


class Door:
    """In front of a broker: which version each CONNECT was of."""

    def __init__(self, port: int) -> None:
        self.levels: list[int] = []
        self._target = port

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (first := await reader.read(4096)):
            return
        self.levels.append(first[first.index(b"MQTT") + 4])
        inner, outer = await asyncio.open_connection("127.0.0.1", self._target)
        outer.write(first)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, outer))
                group.create_task(_pump(inner, writer))
        finally:
            outer.close()
            with contextlib.suppress(OSError):
                await outer.wait_closed()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Running]:
    kind = next(kind for kind in KINDS if kind.title == "NATS")
    if kind.path is None:
        pytest.skip("nats-server is not installed")
    folder = tmp_path / "nats"
    folder.mkdir()
    with running(kind, folder) as broker:
        yield broker


async def test_a_unit_delivers_and_obeys_through_a_broker_of_3_1_1(
    nats: Running, tmp_path: Path
) -> None:
    door = Door(nats.port)
    async with (
        scripted(door) as port,
        unit(tmp_path / "store", uplink_config(port, compress="zstd")) as made,
    ):
        async with center(nats.port) as heard:
            await connected(made)
            assert made.uplink.detail == "MQTT 3.1.1"
            made.read(300)
            made.alarms([alarm()])
            await settled(made)
            await until(lambda: len(heard.records) == made.outbox.made, "all arrive")
            assert heard.missing == 0
            heard.command("alarm-ack", {"alarm": "gas1/cl2/high"}, id="c1")
            await until(lambda: bool(heard.of(Class.ACK)), "the ack arrives")
            assert heard.of(Class.ACK)[0].body["id"] == "c1"
        assert door.levels == [FIVE, OLDER]
        for _ in range(3):
            nats.kill()
            await until(lambda: made.uplink.state == "down", "the broker is gone")
            made.read(10)
            await asyncio.to_thread(nats.start)
            await until(lambda: made.uplink.state == "up", "it is back", 30)
        assert OLDER in door.levels[2:]
        assert FIVE not in door.levels[2:], "it is not asked again"
        # What a broker of 3.1.1 acknowledges while nobody listens is lost there, and not here.
        async with center(nats.port, name="again") as again:
            await settled(made)
            made.uplink.publish_status()
            await until(lambda: "status" in again.retained, "the birth comes")
            last = made.outbox.epoch.last
            args = {"epoch": made.outbox.epoch.name, "from": 1, "to": last}
            again.command("resend", args, id="c2")
            await until(lambda: len(again.records) >= last, "all come again", 30)
            assert again.missing == 0
            await until(lambda: _outcome(again, "c2") == "done", "it has obeyed")


def _outcome(heard: Center, name: str) -> str:
    found = [one.body["outcome"] for one in heard.of(Class.ACK) if one.body["id"] == name]
    return str(found[0]) if found else ""


async def test_a_hundred_units_knock_once_each_at_a_broker_of_3_1_1(nats: Running) -> None:
    """After its restart; MQTT 5 first would be twice as many."""
    count = 100
    door = Door(nats.port)
    up: set[int] = set()

    async def one(number: int, port: int) -> None:
        async def serve(connection: object) -> None:
            up.add(number)
            await asyncio.get_running_loop().create_future()

        await keep_connected(
            at(port), client_id=f"u{number}", on_message=ignore, serve=serve,
            on_down=lambda _: up.discard(number),
        )  # fmt: skip

    async with scripted(door) as port, _tasks(*(one(n, port) for n in range(count))):
        await until(lambda: len(up) == count, "all are there", 60)
        assert door.levels.count(FIVE) == count
        nats.kill()
        await until(lambda: not up, "all are lost")
        before = len(door.levels)
        await asyncio.to_thread(nats.start)
        await until(lambda: len(up) == count, "all are back", 60)
        assert set(door.levels[before:]) == {OLDER}


@contextlib.asynccontextmanager
async def _tasks(*work: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
