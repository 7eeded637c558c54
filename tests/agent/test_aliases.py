"""Topic aliases: what repeats goes by a number, as far as the broker allows it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.drill.proxy import LinkState, Proxy
from agent.mqtt import Message, connect
from agent.mqtt.aliases import Aliases
from tests.agent.brokers import CONNECT, PUBLISH, at, ignore, read_packet, scripted
from tests.agent.rig import UNIT, center, connected, settled, unit, uplink_config, values
from tests.mosquitto import Mosquitto
from tests.waiting import until


@given(st.integers(0, 5), st.lists(st.sampled_from("abcdefgh"), max_size=60))
def test_a_broker_understands_every_publish(most: int, topics: list[str]) -> None:
    aliases, known, seen = Aliases(most), dict[int, str](), Counter[str]()
    for topic in topics:
        wire, alias = aliases.of(topic)
        assert alias <= most
        if wire and alias:
            assert alias not in known
            known[alias] = wire
        assert (wire or known[alias]) == topic
        aliases.sent(topic, alias)
        seen[topic] += 1
        # From the third time on it is a number alone, while there are numbers.
        if seen[topic] == 3 and len(known) < most:
            assert wire == ""


class Recorder:
    """A broker that allows two aliases, and notes what comes on the wire: (topic, alias)."""

    def __init__(self) -> None:
        self.published: list[tuple[str, int]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, body = await read_packet(reader)
            match first & 0xF0:
                case int(kind) if kind == CONNECT:
                    writer.write(b"\x20\x06\x00\x00\x03\x22\x00\x02")
                case int(kind) if kind == PUBLISH:
                    length = int.from_bytes(body[:2])
                    properties = body[5 + length : 5 + length + body[4 + length]]
                    alias = int.from_bytes(properties[1:3]) if properties[:1] == b"\x23" else 0
                    self.published.append((body[2 : 2 + length].decode(), alias))
                    writer.write(b"\x40\x02" + body[2 + length : 4 + length])


async def test_the_broker_s_maximum_is_kept_and_a_new_connection_begins_anew() -> None:
    broker = Recorder()
    async with scripted(broker) as port:
        for _ in range(2):
            broker.published.clear()
            async with connect(at(port), client_id="unit", on_message=ignore) as connection:
                for _ in range(3):
                    for topic in ("a", "b", "c"):
                        await connection.publish(topic, b"x")
            assert broker.published == [
                ("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 2), ("c", 0), ("", 1), ("", 2),
                ("c", 0),
            ]  # fmt: skip


async def test_a_real_broker_gives_each_message_its_topic(mosquitto: Mosquitto) -> None:
    heard: list[Message] = []
    async with (
        connect(at(mosquitto.port), client_id="center", on_message=heard.append) as center_,
        connect(at(mosquitto.port), client_id="unit", on_message=ignore) as made,
    ):
        await center_.subscribe(["t/#"])
        topics = [f"t/{number % 15}" for number in range(150)]
        await asyncio.gather(
            *(made.publish(topic, topic.encode(), expiry_s=60) for topic in topics)
        )
        await until(lambda: len(heard) == 150, "all come")
        assert made._aliases._given
        assert all(one.topic == one.payload.decode() for one in heard)


async def test_a_unit_whose_link_was_cut_uses_no_alias_that_is_lost(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        Proxy("127.0.0.1", mosquitto.port) as proxy,
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(proxy.port)) as made,
    ):
        for turn in range(3):
            await connected(made)
            for _ in range(5):
                made.read(10)
                await settled(made)
            assert made.uplink.connection is not None
            assert made.uplink.connection._aliases._given
            proxy.set_state(LinkState.DROPPED)
            await until(lambda: made.uplink.state == "down", f"turn {turn} ends")
            proxy.set_state(LinkState.UP)
        await connected(made)
        await settled(made)
        await until(lambda: len(values(heard, "gas1")) >= 150, "all come")
        assert heard.receiver.gaps(UNIT.id) == []
