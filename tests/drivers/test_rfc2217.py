"""RFC 2217: the codec, and our client against servers that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
import serial.rfc2217
from hypothesis import given
from hypothesis import strategies as st

from drivers import Port, netport, ports
from drivers.port import PortError
from drivers.rfc2217 import (
    COM_PORT,
    DO,
    DONT,
    IAC,
    PURGE_DATA,
    SB,
    SE,
    SET_BAUDRATE,
    SET_DATASIZE,
    SET_PARITY,
    SET_STOPSIZE,
    WILL,
    WONT,
    Telnet,
    escape,
)

from ..waiting import until
from .ptys import pty

WILL_ECHO = bytes((IAC, WILL, 1))
DO_COM_PORT = bytes((IAC, DO, COM_PORT))
SETTINGS = {SET_BAUDRATE: 9600, SET_DATASIZE: 8, SET_PARITY: 1, SET_STOPSIZE: 1}


def said(command: int, value: int, size: int = 1) -> bytes:
    body = escape(value.to_bytes(size))
    return bytes((IAC, SB, COM_PORT, command)) + body + bytes((IAC, SE))


def confirmations() -> bytes:
    """A server's answers, as if the settings were those of SETTINGS."""
    return b"".join(
        said(100 + command, value, 4 if command == SET_BAUDRATE else 1)
        for command, value in SETTINGS.items()
    )


# --- the codec ---


def test_the_dialogue() -> None:
    telnet = Telnet()
    assert telnet.hello() == bytes.fromhex("FFFB00 FFFD00 FFFB03 FFFD03 FFFB2C")
    line, reply = telnet.feed(DO_COM_PORT)
    assert line == b""
    assert reply == bytes.fromhex(
        "FFFA2C01 00002580 FFF0 FFFA2C02 08 FFF0 FFFA2C03 01 FFF0 FFFA2C04 01 FFF0"
        " FFFA2C05 01 FFF0 FFFA2C0C 01 FFF0"
    )
    assert telnet.feed(DO_COM_PORT) == (b"", b"")
    assert not telnet.ready
    assert telnet.feed(confirmations()) == (b"", b"")
    assert telnet.ready
    assert telnet.refusal == ""


def test_the_settings_on_the_wire() -> None:
    telnet = Telnet(baudrate=65535, bytesize=7, parity="E", stopbits=2)
    _, reply = telnet.feed(DO_COM_PORT)
    # 65535 is 0000FFFF, whose two 255 are doubled.
    assert reply.startswith(bytes.fromhex("FFFA2C01 0000FFFFFFFF FFF0 FFFA2C02 07 FFF0"))
    assert said(SET_PARITY, 3) + said(SET_STOPSIZE, 2) in reply
    assert reply.endswith(said(PURGE_DATA, 1))


def test_data_is_unescaped_and_commands_are_not_data() -> None:
    telnet = Telnet()
    data = b"a" + bytes((IAC, IAC)) + b"b" + bytes((IAC, 241)) + b"c" + said(107, 0xB0) + b"d"
    assert telnet.feed(data) == (b"a\xffbcd", b"")
    assert escape(b"a\xffb") == b"a\xff\xffb"


def test_options_that_nobody_asked_for_are_refused_once() -> None:
    telnet = Telnet()
    assert telnet.feed(WILL_ECHO + bytes((IAC, DO, 24))) == (b"", bytes.fromhex("FFFE01 FFFC18"))
    assert telnet.feed(WILL_ECHO + bytes((IAC, DO, 24))) == (b"", b"")
    assert telnet.feed(bytes((IAC, WONT, 1, IAC, DONT, 24, IAC, WILL, 0, IAC, DO, 3))) == (b"", b"")


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (bytes((IAC, DONT, COM_PORT)), "it speaks Telnet but refuses the com port option"),
        (said(101, 19200, 4), "asked for 9600 bit/s, it has set 19200"),
        (said(102, 7), "asked for 8 data bits, it has set 7"),
        (said(103, 3), "asked for 1 parity code, it has set 3"),
    ],
)
def test_refusals(answer: bytes, refusal: str) -> None:
    telnet = Telnet()
    telnet.feed(DO_COM_PORT)
    telnet.feed(answer)
    assert telnet.refusal.startswith(refusal)
    assert not telnet.ready


def test_a_negotiation_has_a_ceiling() -> None:
    telnet = Telnet()
    telnet.feed(bytes((IAC, SB, COM_PORT)))
    for _ in range(100):
        telnet.feed(b"x" * 1000)
    assert len(telnet._negotiation) <= 256
    assert telnet.feed(bytes((IAC, SE)) + b"data") == (b"data", b"")


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_any_data_passes_in_any_cuts(data: bytes, rng: random.Random) -> None:
    stream = escape(data) + said(106, 1) + DO_COM_PORT + escape(data)
    telnet, got, start = Telnet(), b"", 0
    while start < len(stream):
        end = start + rng.randint(1, 20)
        got += telnet.feed(stream[start:end])[0]
        start = end
    assert got == data + data


@given(st.binary(max_size=300))
def test_garbage_never_raises(data: bytes) -> None:
    line, reply = Telnet().feed(data)
    assert len(line) <= len(data)
    assert len(reply) <= 3 * len(data) + 100


# --- pyserial's server, over a pty ---


class Line(serial.Serial):
    """A pty has no modem lines, which the server would report."""

    cts = dsr = ri = cd = property(lambda self: False)


@contextlib.contextmanager
def pyserial_server(device: str) -> Iterator[tuple[str, Any]]:
    """pyserial's own PortManager between one client and `device`, in two threads."""
    listener = socket.create_server(("127.0.0.1", 0))
    line: Any = Line(device, timeout=0.05)
    lines = threading.Lock()
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            client.settimeout(0.05)

            class Out:
                def write(self, data: bytes) -> None:
                    with lines:
                        client.sendall(data)

            out: Any = Out()
            manager = serial.rfc2217.PortManager(line, out)

            def upward() -> None:
                with contextlib.suppress(OSError):
                    while not stop.is_set():
                        if data := line.read(max(1, line.in_waiting)):
                            out.write(b"".join(manager.escape(data)))

            threads.append(threading.Thread(target=upward))
            threads[-1].start()
            while not stop.is_set():
                try:
                    data = client.recv(1024)
                except TimeoutError:
                    continue
                if not data:
                    break
                line.write(b"".join(manager.filter(data)))
            stop.set()
            client.close()

    threads.append(threading.Thread(target=serve))
    threads[0].start()
    try:
        yield f"rfc2217://127.0.0.1:{listener.getsockname()[1]}", line
    finally:
        stop.set()
        listener.close()
        for thread in threads:
            thread.join()
        line.close()


async def test_against_pyserial() -> None:
    async with pty() as (master, device):
        with pyserial_server(device) as (name, line):
            async with ports.open_port(name, baudrate=19200, stopbits=2) as port:
                assert (line.baudrate, line.bytesize, line.parity, line.stopbits) == (
                    19200, 8, "N", 2,
                )  # fmt: skip
                await both_ways(port, master)


async def both_ways(port: Port, master: int) -> None:
    every = bytes(range(256)) + b"\xff\xff"
    os.write(master, every)
    got = b""
    async with asyncio.timeout(5):
        while len(got) < len(every):
            got += await port.read()
    assert got == every
    await port.write(every)
    heard = bytearray()

    def whole() -> bool:
        with contextlib.suppress(BlockingIOError):
            heard.extend(os.read(master, 1024))
        return len(heard) >= len(every)

    await until(whole, "the line has all")
    assert heard == every


# --- ser2net, over a pty ---


@contextlib.asynccontextmanager
async def ser2net(folder: Path, device: str) -> AsyncIterator[str]:
    program = shutil.which("ser2net") or shutil.which("ser2net", path="/usr/sbin")
    if program is None:
        pytest.skip("ser2net is not installed")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        number = sock.getsockname()[1]
    config = folder / "ser2net.yaml"
    config.write_text(
        "connection: &one\n"
        f"  accepter: telnet(rfc2217),tcp,127.0.0.1,{number}\n"
        f"  connector: serialdev,{device},9600n81,local\n",
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        program, "-n", "-c", str(config), "-P", str(folder / "pid"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def listening() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", number)) == 0

    try:
        await until(listening, "ser2net listens")
        yield f"rfc2217://127.0.0.1:{number}"
    finally:
        process.terminate()
        await process.wait()


async def test_against_ser2net(tmp_path: Path) -> None:
    async with pty() as (master, device), ser2net(tmp_path, device) as name:
        async with asyncio.timeout(10):
            while True:  # the look whether it listens was its first client, and may hold the line
                try:
                    async with ports.open_port(name, baudrate=38400) as port:
                        await both_ways(port, master)
                    return
                except PortError:
                    await asyncio.sleep(0.05)


# --- servers that are none ---


@contextlib.asynccontextmanager
async def server_that_says(answer: bytes) -> AsyncIterator[str]:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"rfc2217://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await gone.wait()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"$GNRMC,", "it does not speak RFC 2217; is it a raw server (tcp://)?"),
        (DO_COM_PORT + said(101, 4800, 4), "asked for 9600 bit/s, it has set 4800"),
        (
            bytes((IAC, DONT, COM_PORT)),
            "it speaks Telnet but refuses the com port option of RFC 2217",
        ),
    ],
)
async def test_a_wrong_server_says_why(
    answer: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netport, "CONNECT_TIMEOUT_S", 0.3)
    async with server_that_says(answer) as name:
        with pytest.raises(PortError) as caught:
            async with ports.open_port(name):
                pass
        assert str(caught.value) == f"cannot open {name}: {sentence}"
