"""Ways through a firewall that lets only the web out, and a broker that is known by fingerprint."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from agent.broker import Broker, Tls
from agent.mqtt import Message, connect
from tests.agent.brokers import Authority, at, ignore, refusal, scripted
from tests.mosquitto import Mosquitto, find_free_port, is_listening
from tests.waiting import until


def with_lines(mosquitto: Mosquitto, *lines: str) -> None:
    mosquitto.stop()
    mosquitto.config.write_text(mosquitto.config.read_text() + "\n".join(lines) + "\n")
    mosquitto.start()


def fingerprint(certificate: Path) -> str:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(
        hashes.SHA256()
    ).hex(":")  # fmt: skip


async def goes_and_comes(broker: Broker) -> None:
    """Small and large, many at once, both ways."""
    heard: list[bytes] = []

    def hear(message: Message) -> None:
        heard.append(message.payload)

    async with connect(broker, client_id="u", on_message=hear) as connection:
        await connection.subscribe(["a"])
        payloads = [b"x", os.urandom(200_000), *(b"%d" % n * 50 for n in range(300)), b"last"]
        codes = await asyncio.gather(*(connection.publish("a", payload) for payload in payloads))
        assert set(codes) == {0}
        await until(lambda: len(heard) == len(payloads), "all have come back", 20)
        assert heard == payloads
        assert connection.protocol == 5


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_over_websocket(mosquitto: Mosquitto, tmp_path: Path, tls: bool) -> None:
    port = find_free_port()
    # Beside the ordinary listener: this Mosquitto does not start with this one alone.
    lines = [f"listener {port} 127.0.0.1", "protocol websockets"]
    trusted = None
    if tls:
        authority = Authority(tmp_path, "ca")
        certificate, key = authority.issue("broker")
        lines += [f"certfile {certificate}", f"keyfile {key}"]
        trusted = Tls(ca_file=str(authority.file))
    with_lines(mosquitto, *lines)
    await until(lambda: is_listening(port), "the second listener is there, too")
    broker = at(port, websocket_path="/mqtt", tls=trusted)
    assert str(broker) == f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/mqtt"
    await goes_and_comes(broker)


async def test_a_broker_without_websocket_is_told() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with scripted(web) as port:
        said = await refusal(at(port, websocket_path="/mqtt"), 3.0)
    assert said == f"ws://127.0.0.1:{port}/mqtt speaks no WebSocket at /mqtt"


class Proxy:
    """An HTTP proxy that takes CONNECT alone."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        if b" 200 " not in self.answer:
            return
        host, _, port = self.asked[-1].split()[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def test_through_a_proxy(mosquitto: Mosquitto) -> None:
    proxy = Proxy()
    async with scripted(proxy) as port:
        await goes_and_comes(at(mosquitto.port, proxy=f"http://unit:a%40b@127.0.0.1:{port}"))
    lines = proxy.asked[0].decode().split("\r\n")
    assert lines[0] == f"CONNECT 127.0.0.1:{mosquitto.port} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'unit:a@b').decode()}" in lines


async def test_a_proxy_that_refuses_and_one_that_is_not_there(mosquitto: Mosquitto) -> None:
    proxy = Proxy()
    proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    async with scripted(proxy) as port:
        broker = at(mosquitto.port, proxy=f"http://unit:secret@127.0.0.1:{port}")
        said = await refusal(broker)
    assert "answered 'HTTP/1.1 407 Proxy Authentication Required'" in said
    assert "secret" not in said
    assert f"the proxy http://127.0.0.1:{port}: Connection refused" in await refusal(broker)


@pytest.mark.skipif(not ssl.HAS_TLSv1_2, reason="no TLS 1.2")
async def test_a_pinned_certificate(mosquitto: Mosquitto, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("broker")
    with_lines(mosquitto, f"certfile {certificate}", f"keyfile {key}")
    tls = Tls(ca_file=str(authority.file))
    for pinned in (certificate, authority.file):
        pins = (fingerprint(pinned).upper(), "00" * 32)
        broker = at(mosquitto.port, tls=msgspec.structs.replace(tls, pins=pins))
        async with connect(broker, client_id="u", on_message=ignore) as connection:
            assert connection.protocol == 5
    other = fingerprint(Authority(tmp_path, "other").file)
    said = await refusal(at(mosquitto.port, tls=msgspec.structs.replace(tls, pins=(other,))))
    assert said == (
        f"mqtts://127.0.0.1:{mosquitto.port}: its certificate is not trusted: "
        "no certificate of its chain has a pinned fingerprint"
    )
