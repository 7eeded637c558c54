"""Ports of the network over real sockets: raw serial servers, UDP, and the sentences of errors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import AsyncIterator

import pytest

from drivers import Fix, Sample, netport, nmea, ports
from drivers.netport import DATAGRAM_MAX, Address, parse
from drivers.port import READ_MAX, WAITING_MAX, PortError

from ..waiting import until

RMC = b"$GNRMC,023042.00,A,3035.58400,N,11418.35100,E,0.05,,241126,,,A,V*22\r\n"
GGA = b"$GNGGA,023042.00,3035.58400,N,11418.35100,E,1,18,0.72,23.4,M,-12.1,M,,*55\r\n"


class Far:
    """A raw serial server with one client."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []
        self.received = bytearray()
        self.read = asyncio.Event()
        self.read.set()
        self.name = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.put_nowait(writer)
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            await self.read.wait()
            while data := await reader.read(65536):
                self.received += data


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    end = Far()
    server = await asyncio.start_server(end.serve, "127.0.0.1", 0, limit=1024)
    end.name = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield end
    end.read.set()
    server.close()
    await server.wait_closed()
    for writer in end.writers:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# --- names ---


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tcp://10.0.0.7:4001", Address("tcp", "10.0.0.7", 4001)),
        ("tcp://[fe80::1]:4001", Address("tcp", "fe80::1", 4001)),
        ("rfc2217://moxa.lan:4001", Address("rfc2217", "moxa.lan", 4001)),
        ("udp://:10110", Address("udp", "", 10110)),
        ("udp://10.0.0.5:10110", Address("udp", "10.0.0.5", 10110)),
        ("udp://:10110?from=10.0.0.9", Address("udp", "", 10110, "10.0.0.9")),
    ],
)
def test_names(name: str, expected: Address) -> None:
    assert parse(name) == expected
    assert ports.mistake(name) == ""
    assert ports.is_network(name)


FORM = "expected tcp://HOST:PORT, rfc2217://HOST:PORT or udp://[ADDRESS]:PORT"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tcp://10.0.0.7", f"tcp://10.0.0.7: {FORM}"),
        ("tcp://10.0.0.7:0", f"tcp://10.0.0.7:0: {FORM}"),
        ("tcp://10.0.0.7:4001/a", f"tcp://10.0.0.7:4001/a: {FORM}"),
        ("tcp://:4001", f"tcp://:4001: names no host; {FORM}"),
        ("tcp://h:70000", f"tcp://h:70000: Port out of range 0-65535; {FORM}"),
        ("tpc://h:1", f"tpc://h:1: unknown kind of port 'tpc'; {FORM}"),
        ("tcp://h:1?from=10.0.0.1", f"tcp://h:1?from=10.0.0.1: unknown option 'from'; {FORM}"),
        ("udp://host:1", "udp://host:1: expected an IP address, read 'host'"),
        ("udp://:1?from=x", "udp://:1?from=x: expected an IP address, read 'x'"),
        ("udp://:1?form=x", f"udp://:1?form=x: unknown option 'form'; {FORM}"),
        (
            "udp://239.192.0.1:1",
            "udp://239.192.0.1:1: 239.192.0.1 is a multicast group, which is not supported",
        ),
    ],
)
async def test_names_that_are_none(name: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse(name)
    assert str(caught.value) == sentence
    assert ports.mistake(name) == sentence
    with pytest.raises(PortError) as refused:
        async with ports.open_port(name):
            pass
    assert str(refused.value) == sentence


def test_a_path_is_a_serial_device() -> None:
    assert not ports.is_network("/dev/serial/by-id/x")
    assert ports.mistake("/dev/ttyUSB0") == ""


# --- raw serial servers ---


async def test_bytes_both_ways(far: Far) -> None:
    async with ports.open_port(far.name) as port:
        peer = await far.arrived.get()
        reading = asyncio.create_task(port.read())
        peer.write(bytes(range(256)))
        assert await reading == bytes(range(256))
        await port.write(b"\xff\x01\x86")
        await until(lambda: far.received == b"\xff\x01\x86", "it has arrived")


async def test_what_it_had_sent_is_given_before_the_end(far: Far) -> None:
    async with ports.open_port(far.name) as port:
        peer = await far.arrived.get()
        peer.write(b"last words")
        peer.close()
        assert await port.read() == b"last words"
        for _ in range(2):
            with pytest.raises(PortError, match="connection lost: the far end has ended the conn"):
                await port.read()
        with pytest.raises(PortError, match="the far end has ended"):
            await port.write(b"x")


async def test_a_broken_connection_wakes_a_reader(far: Far) -> None:
    async with ports.open_port(far.name) as port:
        peer = await far.arrived.get()
        reading = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        linger = b"\x01\0\0\0\0\0\0\0"
        peer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.transport.abort()
        with pytest.raises(PortError, match="the far end has broken the connection") as caught:
            await reading
        assert caught.value.errno == errno.ECONNRESET


async def test_a_cancelled_read_loses_nothing_and_reads_are_cut(far: Far) -> None:
    async with ports.open_port(far.name) as port:
        peer = await far.arrived.get()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await port.read()
        peer.write(b"z" * (3 * READ_MAX))
        got = 0
        while got < 3 * READ_MAX:
            data = await port.read()
            assert 0 < len(data) <= READ_MAX
            got += len(data)


async def test_what_nobody_reads_has_a_ceiling(far: Far) -> None:
    """Flow control of the connection holds the rest at the far end, and nothing is lost."""
    async with netport.connected(far.name) as port:
        peer = await far.arrived.get()
        total = 8 * 1024 * 1024
        peer.write(b"z" * total)
        full = peer.transport.get_write_buffer_size()
        await until(lambda: len(port._waiting) > WAITING_MAX, "the port is full")
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(port._waiting) <= WAITING_MAX + 256 * 1024
        assert 0 < peer.transport.get_write_buffer_size() <= full
        got = port.discard_input()
        assert port.discard_input() == 0
        while got < total:
            got += len(await port.read())
        assert got == total


async def test_a_far_end_that_takes_nothing_is_lost(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netport, "WRITE_TIMEOUT_S", 0.05)
    far.read.clear()
    async with ports.open_port(far.name) as port:

        async def flood() -> None:
            while True:
                await port.write(b"z" * 65536)

        with pytest.raises(PortError, match=r"it took no more within 0.05 s"):
            await flood()


async def test_two_readers_are_a_mistake_and_a_closed_port_says_so(far: Far) -> None:
    async with netport.connected(far.name) as port:
        first = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task is already reading"):
            await port.read()
        port.close()
        port.close()
        with pytest.raises(PortError, match="read after close"):
            await first
        with pytest.raises(PortError, match="write after close"):
            await port.write(b"x")


async def test_a_server_without_power_would_be_noticed(far: Far) -> None:
    async with netport.connected(far.name) as port:
        assert isinstance(port, netport.TcpPort)
        assert port._transport is not None
        sock = port._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_listens(host: str) -> None:
    name = f"tcp://{host}:{free_port()}"
    with pytest.raises(PortError) as caught:
        async with ports.open_port(name):
            pass
    sentence = f"cannot open {name}: nobody listens there; is the port's number right?"
    assert str(caught.value) == sentence


async def test_no_such_host() -> None:
    with pytest.raises(PortError, match=r"cannot open tcp://nowhere\.invalid:1: no such host: "):
        async with ports.open_port("tcp://nowhere.invalid:1"):
            pass


async def test_a_host_that_does_not_answer_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full lets a connection wait, as a host that is off does."""
    monkeypatch.setattr(netport, "CONNECT_TIMEOUT_S", 0.2)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(address)
        turns = 0
        name = f"tcp://127.0.0.1:{address[1]}"

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        task = asyncio.create_task(others())
        with pytest.raises(PortError) as caught:
            async with ports.open_port(name):
                pass
        task.cancel()
        assert turns >= 5
    assert str(caught.value) == (
        f"cannot open {name}: it does not answer; is it on, and is this its address?"
    )


# --- datagrams ---


@contextlib.asynccontextmanager
async def udp(query: str = "") -> AsyncIterator[tuple[netport.UdpPort, tuple[str, int]]]:
    number = free_port(socket.SOCK_DGRAM)
    async with netport.connected(f"udp://127.0.0.1:{number}{query}") as port:
        assert isinstance(port, netport.UdpPort)
        yield port, ("127.0.0.1", number)


def sender(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


async def test_nmea_in_datagrams_is_a_fix() -> None:
    got: list[Sample | Fix] = []
    async with udp() as (port, where):
        driver = nmea.Driver(nmea.Config(quiet_s=0.05))
        task = asyncio.create_task(driver.run(port, got.append))
        with sender() as sock:
            sock.sendto(RMC, where)
            sock.sendto(GGA, where)
        await until(lambda: bool(got), "there is a fix")
        task.cancel()
    assert isinstance(got[0], Fix)
    assert got[0].lat == pytest.approx(30.5930667, abs=1e-7)


async def test_one_sender_is_heard(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second receiver would make the unit jump to and fro."""
    async with udp() as (port, where):
        with sender() as first, sender("127.0.0.2") as second:
            first.sendto(b"first", where)
            assert await port.read() == b"first"
            with caplog.at_level(logging.WARNING):
                second.sendto(b"second", where)
                second.sendto(b"second", where)
                await until(lambda: port.dropped == 2, "both are dropped")
            first.sendto(b"again", where)
            assert await port.read() == b"again"
            assert [r.getMessage() for r in caplog.records] == [
                f"{port.device}: hears 127.0.0.1, and does not listen to 127.0.0.2"
            ]
            monkeypatch.setattr(port, "_heard", time.monotonic() - 60)
            second.sendto(b"alone", where)
            assert await port.read() == b"alone"


async def test_only_the_named_sender_is_heard() -> None:
    async with udp("?from=127.0.0.2") as (port, where):
        with sender() as first, sender("127.0.0.2") as second:
            first.sendto(b"first", where)
            second.sendto(b"second", where)
            assert await port.read() == b"second"
            assert port.dropped == 1


async def test_datagrams_have_a_ceiling_and_stay_whole() -> None:
    async with udp() as (port, where):
        with sender() as sock:
            sock.sendto(b"x" * (DATAGRAM_MAX + 1), where)
            await until(lambda: port.dropped == 1, "the long one is dropped")
            for _ in range(20):
                sock.sendto(b"y" * 4000, where)
            await until(lambda: port.dropped == 5, "four more are dropped")
            assert port.discard_input() == 16 * 4000 <= WAITING_MAX
            sock.sendto(b"after", where)
            assert await port.read() == b"after"


async def test_a_udp_port_only_listens() -> None:
    async with udp() as (port, where):
        with pytest.raises(PortError, match="nothing can be written to it, it only listens"):
            await port.write(b"x")
        with pytest.raises(PortError, match="in use by another program"):
            async with ports.open_port(f"udp://127.0.0.1:{where[1]}"):
                pass
    with pytest.raises(PortError, match="this machine has no such address"):
        async with ports.open_port("udp://192.0.2.1:10110"):
            pass


def test_every_number_has_a_sentence() -> None:
    assert netport._reason(OSError(errno.ENOTCONN, "x")) == os.strerror(errno.ENOTCONN)
    assert netport._reason(ValueError("odd")) == "odd"
