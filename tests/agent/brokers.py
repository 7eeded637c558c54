"""Brokers that a real one is not: scripted answers, certificates made on the fly."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.broker import Broker
from agent.mqtt import Message, MqttError, connect

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CONNECT, PUBLISH, SUBSCRIBE = 0x10, 0x30, 0x80


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(first byte, the rest after the length).  IncompleteReadError at the end."""
    (first,) = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first, await reader.readexactly(length)


def protocol_level(connect: bytes) -> int:
    """5, or 4 for 3.1.1, of a CONNECT's content."""
    length: int = struct.unpack_from(">H", connect)[0]
    level: int = connect[2 + length]
    return level


@contextlib.asynccontextmanager
async def scripted(serve: Serve) -> AsyncIterator[int]:
    """A server on a free loopback port that does what `serve` says with each connection."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def handle() -> None:
            try:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await serve(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        task = asyncio.create_task(handle())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class Gate:
    """A broker that acknowledges what the test lets it, with a Receive Maximum of its own."""

    def __init__(self, receive_maximum: int, packet: int = 0) -> None:
        self.topics: list[str] = []
        self.unacknowledged: list[bytes] = []
        self.most = 0
        self.open = True
        self._writer: asyncio.StreamWriter | None = None
        values = b"\x21" + receive_maximum.to_bytes(2)
        values += b"\x27" + packet.to_bytes(4) if packet else b""
        self._connack = (
            b"\x20" + bytes([3 + len(values)]) + b"\x00\x00" + bytes([len(values)]) + values
        )

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        while True:
            first, body = await read_packet(reader)
            match first & 0xF0:
                case int(kind) if kind == CONNECT:
                    writer.write(self._connack)
                case int(kind) if kind == SUBSCRIBE:
                    writer.write(b"\x90\x07" + body[:2] + b"\x00\x01\x01\x01\x01")
                case int(kind) if kind == PUBLISH and first & 0x06:
                    length = int.from_bytes(body[:2])
                    topic = body[2 : 2 + length].decode().split("/", 4)[4]
                    self.topics.append(topic)
                    self.unacknowledged.append(body[2 + length : 4 + length])
                    self.most = max(self.most, len(self.unacknowledged))
                    if self.open:
                        self.acknowledge()

    def acknowledge(self) -> None:
        assert self._writer is not None
        for mid in self.unacknowledged:
            self._writer.write(b"\x40\x02" + mid)
        self.unacknowledged.clear()


# -- certificates --------------------------------------------------------------------------------


class Authority:
    """A certificate authority of the test's own, in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            _builder(subject, subject, self._key.public_key(), days=(-2, 30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, host: str = "127.0.0.1", days: tuple[float, float] = (-1, 10)
    ) -> tuple[Path, Path]:
        """(certificate, key) for `host`, good from and to these days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        certificate = (
            _builder(subject, self._certificate.subject, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        paths[1].chmod(0o600)
        return paths


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: tuple[float, float],
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )


# -- our side --------------------------------------------------------------------------------------


def ignore(_message: Message) -> None:
    """Nothing is expected."""


def at(port: int, **over: object) -> Broker:
    return Broker(**{"host": "127.0.0.1", "port": port, **over})  # type: ignore[arg-type]


async def refusal(broker: Broker, timeout_s: float = 10.0) -> str:
    """The sentence with which a connection is not made."""
    with pytest.raises(MqttError) as caught:
        async with connect(broker, client_id="unit", on_message=ignore, timeout_s=timeout_s):
            pass
    return str(caught.value)
