"""Certificates, coming back, addresses: what stands before and around one connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.broker import Backoff, Broker, Tls
from agent.mqtt import Connection, Message, connect
from agent.reconnect import keep_connected
from tests.agent.brokers import (
    Authority,
    at,
    ignore,
    read_packet,
    refusal,
    scripted,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

ROOT = Path(__file__).parents[2]


# -- TLS -----------------------------------------------------------------------------------------


def with_tls(mosquitto: Mosquitto, certificate: Path, key: Path, *more: str) -> None:
    mosquitto.stop()
    lines = [f"certfile {certificate}", f"keyfile {key}", *more]
    mosquitto.config.write_text(mosquitto.config.read_text() + "\n".join(lines) + "\n")
    mosquitto.start()


def trusting(mosquitto: Mosquitto, ca: Path, host: str = "127.0.0.1", **more: Any) -> Broker:
    return Broker(host=host, port=mosquitto.port, tls=Tls(ca_file=str(ca), **more))


async def test_tls_with_a_certificate_that_is_right(mosquitto: Mosquitto, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    with_tls(mosquitto, *authority.issue("broker"))
    heard: list[Message] = []
    broker = trusting(mosquitto, authority.file)
    async with connect(broker, client_id="u", on_message=heard.append) as connection:
        await connection.subscribe(["a"])
        payload = os.urandom(200_000)
        assert await connection.publish("a", payload) == 0
        await until(lambda: len(heard) == 1, "it arrives")
        assert heard[0].payload == payload
    assert str(broker) == f"mqtts://127.0.0.1:{mosquitto.port}"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("wrong CA", "unable to get local issuer certificate"),
        ("wrong name", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ("expired", r"certificate has expired (this unit's clock says \d{4}-\d\d-\d\d \d\d:\d\d"),
        ("not yet valid", "certificate is not yet valid (this unit's clock says "),
    ],
)
async def test_a_certificate_that_is_wrong(
    mosquitto: Mosquitto, tmp_path: Path, fault: str, sentence: str
) -> None:
    authority = Authority(tmp_path, "ca")
    trusted = Authority(tmp_path, "other").file if fault == "wrong CA" else authority.file
    issued = authority.issue(
        "broker",
        host="broker.example" if fault == "wrong name" else "127.0.0.1",
        days={"expired": (-9.0, -1.0), "not yet valid": (1.0, 9.0)}.get(fault, (-1.0, 9.0)),
    )
    with_tls(mosquitto, *issued)
    said = await refusal(trusting(mosquitto, trusted))
    begin = f"mqtts://127.0.0.1:{mosquitto.port}: its certificate is not trusted: "
    assert said.startswith(begin)
    pattern = sentence if "\\d" in sentence else re.escape(sentence)
    assert re.match(pattern.replace("expired (", r"expired \("), said.removeprefix(begin))


async def test_a_broker_that_wants_our_certificate(mosquitto: Mosquitto, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    want = ("require_certificate true", f"cafile {authority.file}")
    with_tls(mosquitto, *authority.issue("broker"), *want)
    certificate, key = authority.issue("unit")
    said = await refusal(trusting(mosquitto, authority.file))
    assert said == (
        f"mqtts://127.0.0.1:{mosquitto.port}: it wants a certificate of this unit "
        "(cert_file, key_file)"
    )
    broker = trusting(mosquitto, authority.file, cert_file=str(certificate), key_file=str(key))
    async with connect(broker, client_id="u", on_message=ignore) as connection:
        assert connection.protocol == 5


async def test_tls_where_there_is_none_and_none_where_there_is(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "ca")
    said = await refusal(trusting(mosquitto, authority.file), 3.0)
    assert said.startswith(f"mqtts://127.0.0.1:{mosquitto.port}")
    assert re.search("TLS 1.2 or newer could not be agreed on|cannot be reached|did not ans", said)
    with_tls(mosquitto, *authority.issue("broker"))
    said = await refusal(at(mosquitto.port), 3.0)
    assert said.startswith(f"{mosquitto.url} ended the connection without a CONNACK: ")


async def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    absent, empty = tmp_path / "absent.pem", tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    authority = Authority(tmp_path, "ca")
    _, key = authority.issue("unit")
    other, _ = authority.issue("other")

    async def said(**files: Path) -> str:
        given: Any = {name: str(path) for name, path in files.items()}
        tls = Tls(**given)
        return (await refusal(at(8883, tls=tls))).removeprefix("mqtts://127.0.0.1:8883: ")

    assert await said(ca_file=absent) == f"{absent} cannot be read: No such file or directory"
    assert await said(ca_file=empty) == f"{empty} holds no PEM certificate"
    assert (await said(cert_file=other, key_file=key)).startswith(
        f"{other} and {key} are no PEM certificate and its key without a password ("
    )


# -- coming back ---------------------------------------------------------------------------------


async def test_it_comes_back_and_serves_again(mosquitto: Mosquitto) -> None:
    served: list[Connection] = []
    reasons: list[str] = []
    cancelled: list[Connection] = []

    async def serve(connection: Connection) -> None:
        served.append(connection)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(connection)

    keeping = asyncio.create_task(
        keep_connected(
            at(mosquitto.port), client_id="u", on_message=ignore, serve=serve,
            on_down=reasons.append, first_retry_s=0.05, ceiling_retry_s=0.1,
        )
    )  # fmt: skip
    await until(lambda: len(served) == 1, "it is served")
    mosquitto.kill()
    await until(lambda: len(reasons) > 1, "it tries again")
    mosquitto.start()
    await until(lambda: len(served) == 2, "it is served again")
    assert cancelled == served[:1]
    assert reasons[:2] == [
        "connection lost", f"{mosquitto.url} refused the connection: nothing listens there",
    ]  # fmt: skip
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    assert cancelled == served


async def test_what_goes_wrong_in_serving_is_not_hidden(mosquitto: Mosquitto) -> None:
    async def serve(_: Connection) -> None:
        raise LookupError("a mistake of ours")

    with pytest.raises(LookupError, match="a mistake of ours"):
        await keep_connected(at(mosquitto.port), client_id="u", on_message=ignore, serve=serve)


async def test_a_broker_that_takes_us_and_drops_us_is_not_hammered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def drops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await writer.drain()

    steps: list[float] = []

    def pause(self: Backoff) -> float:
        steps.append(self._next_s)
        self._next_s *= 2
        return 0.0

    monkeypatch.setattr(Backoff, "next_s", pause)

    async def serve(_: Connection) -> None:
        await asyncio.Event().wait()

    async with scripted(drops) as port:
        keeping = asyncio.create_task(
            keep_connected(at(port), client_id="u", on_message=ignore, serve=serve)
        )
        await until(lambda: len(steps) >= 4, "it has been dropped four times")
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
    assert steps[:4] == [0.5, 1.0, 2.0, 4.0]


def test_waiting_times_double_up_to_a_ceiling_with_a_random_part() -> None:
    backoff = Backoff(0.5, 4.0)
    for step in (0.5, 1.0, 2.0, 4.0, 4.0):
        assert step / 2 <= backoff.next_s() <= step
    backoff.reset()
    assert backoff.next_s() <= 0.5


def test_a_connection_that_hangs_does_not_hold_up_the_end() -> None:
    """A listener whose queue is full: connect() gets no answer, as behind a dead link."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        code = """
import asyncio, os, sys
from agent.mqtt import Broker
from agent.reconnect import keep_connected
async def serve(connection): raise AssertionError("it cannot be served")
async def main():
    broker = Broker(host="127.0.0.1", port=int(sys.argv[1]))
    task = asyncio.create_task(keep_connected(
        broker, client_id="u", on_message=print, serve=serve))
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(15, stop.set)
    loop.call_later(0.2, os.write, 1, b"trying\\n")
    await stop.wait()
    task.cancel()
asyncio.run(main())
"""
        with subprocess.Popen(
            [sys.executable, "-c", code, str(address[1])], cwd=ROOT, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"trying\n"
            before = time.monotonic()
            process.send_signal(signal.SIGTERM)
            # A thread that is joined would hold it up for connect_timeout (10 s).
            assert process.wait(timeout=8) == 0
            assert time.monotonic() - before < 8


# -- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://broker", Broker(host="broker", port=1883)),
        ("mqtt://u%40x:p%3A@[::1]:99", Broker(host="::1", port=99, username="u@x", password="p:")),
        ("mqtts://broker", Broker(host="broker", port=8883, tls=Tls())),
    ],
)
def test_an_address_is_read(url: str, broker: Broker) -> None:
    assert Broker.from_url(url) == broker


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://broker", "a broker's address is mqtt://[user@]host[:port] or mqtts://..., "
         "but read 'http://broker'"),
        ("broker:1883", "a broker's address is mqtt://[user@]host[:port] or mqtts://..., "
         "but read 'broker:1883'"),
        ("mqtt://broker:99999", "a broker's port is 1 to 65535, but read 'mqtt://broker:99999'"),
    ],
)  # fmt: skip
def test_an_address_that_is_none(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Broker.from_url(url)
    assert str(Broker(host="::1", port=99)) == "mqtt://[::1]:99"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    certificate, key = Authority(tmp_path, "ca").issue("unit")
    key.chmod(mode)
    tls = Tls(cert_file=str(certificate), key_file=str(key))
    with pytest.raises(ValueError, match=r"unit.key is a secret") as caught:
        tls.context()
    assert str(caught.value) == (
        f"{key} is a secret that everybody may read (mode {mode:04o}): chmod 0600 it"
    )
    key.chmod(0o640)
    assert tls.context().minimum_version.name == "TLSv1_2"
