"""One connection to a broker: what goes through, what is refused, and in which words."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from agent import mqtt
from agent.broker import Broker
from agent.drill.proxy import LinkState, Proxy
from agent.mqtt import Message, MqttError, Will, connect
from agent.mqtt.client import DSCP_CS4, PRIORITY_INTERACTIVE, TCP_THIN_LINEAR_TIMEOUTS, prefer
from tests.agent.brokers import (
    CONNECT,
    PUBLISH,
    SUBSCRIBE,
    at,
    ignore,
    protocol_level,
    read_packet,
    refusal,
    scripted,
)
from tests.mosquitto import Mosquitto, find_free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]


# -- what goes through ---------------------------------------------------------------------------


async def test_a_message_goes_there_and_its_reason_code_comes_back(mosquitto: Mosquitto) -> None:
    heard: list[Message] = []
    broker = Broker.from_url(mosquitto.url)
    async with (
        connect(broker, client_id="far", on_message=heard.append) as far,
        connect(broker, client_id="near", on_message=ignore) as near,
    ):
        assert (near.protocol, near.receive_maximum) == (5, 20)
        assert await near.publish("nobody/hears", b"x") == mqtt.NO_MATCHING_SUBSCRIBERS
        await far.subscribe(["a/+"])
        assert await near.publish("a/b", b"one", correlation=b"\x00\xff") == 0
        assert await near.publish("a/c", b"two", qos=0) == 0
        assert await near.publish("a/d", b"", retain=True, expiry_s=5) == 0
        await until(lambda: len(heard) == 3, "all three arrive")
    assert [(message.topic, message.payload) for message in heard] == [
        ("a/b", b"one"), ("a/c", b"two"), ("a/d", b""),
    ]  # fmt: skip
    assert heard[0].correlation == b"\x00\xff"
    assert "closed by us" in near.lost.result()


async def test_more_than_the_broker_takes_at_once_waits_here(mosquitto: Mosquitto) -> None:
    """Mosquitto ends the connection of who ignores its Receive Maximum (20)."""
    heard: list[Message] = []
    broker = Broker.from_url(mosquitto.url)
    async with (
        connect(broker, client_id="far", on_message=heard.append) as far,
        connect(broker, client_id="near", on_message=ignore) as near,
    ):
        await far.subscribe(["a"])
        acks = [near.publish("a", b"%d" % number) for number in range(500)]
        assert set(await asyncio.gather(*acks)) == {0}
        await until(lambda: len(heard) == 500, "all arrive")
    assert [message.payload for message in heard] == [b"%d" % number for number in range(500)]


async def test_what_can_no_longer_go_is_told(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.mqtt.connection.HELD_MAX", 30)
    async with connect(at(mosquitto.port), client_id="u", on_message=ignore) as connection:
        acks = [connection.publish("a", b"x") for _ in range(60)]
        errors = [str(ack.exception()) for ack in acks if ack.done()]
        assert errors == [f"{mosquitto.url}: 30 publishes wait for it already"] * 10
        mosquitto.kill()
        await connection.lost
        results = await asyncio.gather(*acks, return_exceptions=True)
        assert any(str(result) == f"{mosquitto.url}: connection lost" for result in results)
        assert all(isinstance(result, MqttError | int) for result in results)
        late = connection.publish("a", b"x")
        assert str(late.exception()) == f"{mosquitto.url}: connection lost"


async def test_a_will_speaks_when_the_path_is_lost_and_not_when_it_is_left(
    mosquitto: Mosquitto,
) -> None:
    heard: list[Message] = []
    will = Will(topic="link/center", payload=b"lost", retain=False)
    async with (
        connect(at(mosquitto.port), client_id="far", on_message=heard.append) as far,
        Proxy("127.0.0.1", mosquitto.port) as proxy,
    ):
        await far.subscribe(["link/#"])
        async with connect(at(proxy.port), client_id="u", on_message=ignore, will=will):
            pass
        async with connect(at(proxy.port), client_id="u", on_message=ignore, will=will) as unit:
            await unit.publish("link/center", b"up")
            proxy.set_state(LinkState.DROPPED)
            await until(lambda: len(heard) == 2, "the will arrives")
            assert await unit.lost == "connection lost"
    assert [message.payload for message in heard] == [b"up", b"lost"]


async def test_a_link_that_hangs_is_noticed(mosquitto: Mosquitto) -> None:
    async with Proxy("127.0.0.1", mosquitto.port) as proxy:
        broker = at(proxy.port, keepalive_s=2)
        async with connect(broker, client_id="u", on_message=ignore) as connection:
            proxy.set_state(LinkState.BLACKHOLE)
            ack = connection.publish("a", b"x")
            assert await connection.lost == "connection lost: no answer to a ping"
            assert isinstance(ack.exception(), MqttError)


async def test_a_session_keeps_what_comes_meanwhile(mosquitto: Mosquitto) -> None:
    heard: list[Message] = []
    async with connect(at(mosquitto.port), client_id="center", on_message=ignore) as center:
        async with connect(
            at(mosquitto.port), client_id="unit", on_message=heard.append, session_expiry_s=60
        ) as unit:
            await unit.subscribe(["cmd/+"])
        assert await center.publish("cmd/resend", b"while away") == 0
        async with connect(
            at(mosquitto.port), client_id="unit", on_message=heard.append, session_expiry_s=60
        ):
            await until(lambda: len(heard) == 1, "it arrives")
    assert heard[0].payload == b"while away"


async def test_an_error_of_who_hears_it_does_not_upset_the_connection(
    mosquitto: Mosquitto,
) -> None:
    heard: list[bytes] = []
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: errors.append(said))

    def hear(message: Message) -> None:
        heard.append(message.payload)
        if message.payload == b"bad":
            raise KeyError("surprise")

    async with connect(at(mosquitto.port), client_id="u", on_message=hear) as connection:
        await connection.subscribe(["a"])
        for payload in (b"good", b"bad", b"better"):
            await connection.publish("a", payload)
        await until(lambda: len(heard) == 3, "all three are heard")
        assert not connection.lost.done()
    assert len(errors) == 1


# -- words for what is wrong ---------------------------------------------------------------------


async def test_nothing_listens() -> None:
    port = find_free_port()
    assert await refusal(at(port)) == (
        f"mqtt://127.0.0.1:{port} refused the connection: nothing listens there"
    )


async def test_a_name_that_is_not_known() -> None:
    said = await refusal(at(1883, host="no-such-host.invalid"))
    assert said == "mqtt://no-such-host.invalid:1883: the name 'no-such-host.invalid' is not known"
    long = "a" * 64
    assert await refusal(at(1883, host=long)) == (
        f"mqtt://{long}:1883: the name {long!r} is not known"
    )


async def test_no_answer_to_connect() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as port:
        assert await refusal(at(port), 0.3) == (
            f"mqtt://127.0.0.1:{port} took the connection but sent no CONNACK within 0.3 s"
        )


async def test_something_that_is_no_broker() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"\0" * 4000)
        await writer.drain()
        await reader.read()

    async with scripted(web) as port:
        said = await refusal(at(port), 1.0)
    assert re.match(rf"mqtt://127\.0\.0\.1:{port} (ended the connection without|took the)", said)


async def test_a_login_that_is_refused(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.stop()
    passwords = tmp_path / "passwords"
    passwords.touch()
    passwords.chmod(0o600)
    text = mosquitto.config.read_text().replace("anonymous true", "anonymous false")
    mosquitto.config.write_text(text + f"password_file {passwords}\n")
    mosquitto.start()
    assert await refusal(at(mosquitto.port, username="unit", password="wrong")) == (
        f"{mosquitto.url} refused the login: Not authorized"
    )


async def test_a_subscription_that_is_refused_or_never_answered() -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, body = await read_packet(reader)
            if first & 0xF0 == CONNECT:
                writer.write(b"\x20\x03\x00\x00\x00")
            elif first & 0xF0 == SUBSCRIBE and b"secret" in body:
                writer.write(b"\x90\x04" + body[:2] + b"\x00\x87")

    async with scripted(broker) as port:
        async with connect(at(port), client_id="u", on_message=ignore) as connection:
            with pytest.raises(MqttError, match="refused to subscribe to secret/#: Not authorized"):
                await connection.subscribe(["secret/#"])
            with pytest.raises(MqttError, match=r"did not answer a subscription within 0\.1 s"):
                await connection.subscribe(["a/#"], timeout_s=0.1)


async def test_who_is_pushed_out_is_told_so(mosquitto: Mosquitto) -> None:
    async with (
        connect(at(mosquitto.port), client_id="same", on_message=ignore) as first,
        connect(at(mosquitto.port), client_id="same", on_message=ignore) as second,
    ):
        assert "lost" in await first.lost
        assert not second.lost.done()


@pytest.mark.parametrize(
    ("packet", "sentence"),
    [
        (b"\xe0\x01\x8e", "the broker ended the connection: Session taken over"),
        (b"\xe0\x02\x8b\x00", "the broker ended the connection: Server shutting down"),
        (b"\x90\x00", "connection lost: Protocol error"),
        (b"\x30\x04\x00\x01\xff\x00", "it sent something that is not MQTT ('utf-8' codec can't "
         "decode byte 0xff in position 0: invalid start byte)"),
        (b"\xf3\x00", "connection lost: Protocol error"),
    ],
)  # fmt: skip
async def test_why_the_broker_ended_it_is_told(packet: bytes, sentence: str) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" + packet)
        await reader.read()

    async with scripted(broker) as port:
        async with connect(at(port), client_id="u", on_message=ignore) as connection:
            waiting = asyncio.ensure_future(connection.subscribe(["a"]))
            assert await connection.lost == sentence
            with pytest.raises(MqttError, match=re.escape(sentence)):
                await waiting


async def test_a_message_larger_than_the_broker_takes(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    mosquitto.config.write_text(mosquitto.config.read_text() + "max_packet_size 1000\n")
    mosquitto.start()
    async with connect(at(mosquitto.port), client_id="u", on_message=ignore) as connection:
        assert connection.maximum_packet == 1000
        ack = connection.publish("a", b"x" * 1001)
        assert str(ack.exception()) == f"{mosquitto.url}: takes 1000 bytes at most, not 1001 on a"
        assert await connection.publish("a", b"x" * 900) == mqtt.NO_MATCHING_SUBSCRIBERS


# -- MQTT 3.1.1 ----------------------------------------------------------------------------------

REFUSALS = {
    "5.0: unsupported protocol version": b"\x20\x03\x00\x84\x00",
    "3.1.1: unacceptable protocol version": b"\x20\x02\x00\x01",
    "ends the connection": b"",
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
async def test_an_older_broker_is_spoken_to_in_its_own_tongue(answer: bytes) -> None:
    levels: list[int] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, body = await read_packet(reader)
            match first & 0xF0:
                case int(kind) if kind == CONNECT:
                    levels.append(protocol_level(body))
                    if levels[-1] == 5:
                        writer.write(answer)
                        return
                    writer.write(b"\x20\x02\x00\x00")
                case int(kind) if kind == SUBSCRIBE:
                    writer.write(b"\x90\x03" + body[:2] + b"\x01")
                case int(kind) if kind == PUBLISH:
                    writer.write(b"\x40\x02" + body[3:5])

    async with scripted(broker) as port:
        async with connect(
            at(port), client_id="u", on_message=ignore, session_expiry_s=60
        ) as connection:
            assert connection.protocol == 4
            await connection.subscribe(["a/#"])
            assert await connection.publish("a", b"x", expiry_s=3, correlation=b"y") == 0
    assert levels == [5, 4]


async def test_a_broker_that_refuses_both_is_quoted() -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_packet(reader)
        new = protocol_level(body) == 5
        writer.write(b"\x20\x03\x00\x84\x00" if new else b"\x20\x02\x00\x05")

    async with scripted(broker) as port:
        assert await refusal(at(port)) == (
            f"mqtt://127.0.0.1:{port} refused the login: Not authorized"
        )


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_its_socket_says_how_urgent_it_is(family: socket.AddressFamily) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        prefer(sock)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == DSCP_CS4 << 2
        if family == socket.AF_INET6:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == DSCP_CS4 << 2
        priority = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY)
        assert priority == PRIORITY_INTERACTIVE
        assert sock.getsockopt(socket.IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
