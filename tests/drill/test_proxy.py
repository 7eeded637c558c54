"""The proxy over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.drill.proxy import LinkState, Proxy
from tests.waiting import until


class Echo:
    """A far end that gives back what it gets."""

    def __init__(self) -> None:
        self.received = b""
        self.accepted = 0
        self.open = 0
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                self.received += data
                writer.write(data)
                await writer.drain()
        await _close(writer)
        self.open -= 1


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def client(proxy: Proxy) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        await _close(writer)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    end = Echo()
    server = await asyncio.start_server(end.handle, "127.0.0.1", 0)
    end.port = server.sockets[0].getsockname()[1]
    yield end
    server.close()
    await server.wait_closed()
    # Server.wait_closed (3.11) does not wait for connections.
    await until(lambda: end.open == 0, "the connections are let go")


async def test_bytes_pass_both_ways(echo: Echo) -> None:
    async with Proxy("127.0.0.1", echo.port) as proxy:
        async with client(proxy) as (reader, writer):
            data = bytes(range(256)) * 2000
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            assert echo.received == data
        await until(lambda: proxy.connections == 0, "the connection is let go")


async def test_a_dropped_link_resets_what_is_open_and_what_comes(echo: Echo) -> None:
    async with Proxy("127.0.0.1", echo.port) as proxy:
        async with client(proxy) as (reader, writer):
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            proxy.set_state(LinkState.DROPPED)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        async with client(proxy) as (reader, writer):
            writer.write(b"two")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert echo.received == b"one"
        proxy.set_state(LinkState.UP)
        async with client(proxy) as (reader, writer):
            writer.write(b"three")
            assert await reader.readexactly(5) == b"three"


async def test_behind_a_black_hole_nothing_passes_and_nothing_is_lost(echo: Echo) -> None:
    async with (
        Proxy("127.0.0.1", echo.port) as proxy,
        client(proxy) as (reader, writer),
    ):
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        proxy.set_state(LinkState.BLACKHOLE)
        writer.write(b"two")
        async with client(proxy) as (late_reader, late_writer):
            late_writer.write(b"new")
            await until(lambda: proxy.connections == 2, "the second connection is taken")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read(1)
            assert echo.received == b"one"
            assert echo.accepted == 1
            proxy.set_state(LinkState.UP)
            assert await reader.readexactly(3) == b"two"
            assert await late_reader.readexactly(3) == b"new"


async def test_a_slow_reader_holds_the_sender_back(echo: Echo) -> None:
    async with (
        Proxy("127.0.0.1", echo.port) as proxy,
        client(proxy) as (_, writer),
    ):
        proxy.set_state(LinkState.BLACKHOLE)

        async def send() -> None:
            for _ in range(400):
                writer.write(bytes(100_000))
                await writer.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send(), 0.3)


async def test_the_far_ends_end_is_passed_on(echo: Echo) -> None:
    async with (
        Proxy("127.0.0.1", echo.port) as proxy,
        client(proxy) as (reader, writer),
    ):
        writer.write(b"x")
        await reader.readexactly(1)
        writer.write_eof()
        assert await reader.read() == b""


async def test_nobody_listens_at_the_far_end(free_port: int) -> None:
    async with Proxy("127.0.0.1", free_port) as proxy:
        async with client(proxy) as (reader, _):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        await until(lambda: proxy.connections == 0, "the connection is let go")


async def test_leaving_ends_what_is_open(echo: Echo) -> None:
    async with Proxy("127.0.0.1", echo.port) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await until(lambda: echo.accepted == 1, "the connection is through")
    await until(lambda: proxy.connections == 0, "the connection is let go")
    await _close(writer)
