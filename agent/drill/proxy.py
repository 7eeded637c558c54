"""The link of one unit, as a TCP proxy on loopback that can be cut or left hanging.

TLS to a broker ends here: the agent speaks plainly to loopback, the proxy checks the broker's
certificate.  What is under way is bounded: a direction that cannot deliver is not read.  A link
with a `shape` knows only up and dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from enum import StrEnum
from types import TracebackType
from typing import Self

from agent.drill.shaping import Shape, carry

CHUNK = 65_536
CONNECT_TIMEOUT_S = 10.0


class LinkState(StrEnum):
    UP = "up"
    DROPPED = "dropped"
    """Connections are reset, new ones as soon as they come."""
    BLACKHOLE = "blackhole"
    """Connections stay and nothing passes, as behind a radio that has lost its cell."""


class Proxy:
    """`async with Proxy(host, port) as proxy`; listens on `proxy.port` of loopback."""

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None,
        shape: Shape | None = None,
    ) -> None:  # fmt: skip
        """`shape`: each connection is so narrow and so long; None: as loopback is."""
        self.state = LinkState.UP
        self._shape = shape
        self.port = 0
        self._host, self._target_port, self._tls = host, port, tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._abort_all()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def set_state(self, state: LinkState) -> None:
        """Cut the link, let it hang, or mend it."""
        self.state = state
        if state is LinkState.BLACKHOLE:
            self._open.clear()
        else:
            self._open.set()
        if state is LinkState.DROPPED:
            self._abort_all()

    @property
    def connections(self) -> int:
        """Connections of the agent that are passed on now."""
        return len(self._tasks)

    def _abort_all(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio (3.11) logs an error about a cancelled handler of its own.
        task = asyncio.create_task(self._handle(reader, writer), name=f"proxy[{self.port}]")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.state is not LinkState.DROPPED:
                await self._serve(reader, writer)
        except (OSError, TimeoutError):
            # A broker that cannot be reached is to the agent what it would be without us.
            pass
        finally:
            self._writers.discard(writer)
            await _discard(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            far_reader, far_writer = await asyncio.open_connection(
                self._host, self._target_port, ssl=self._tls
            )
        self._writers.add(far_writer)
        try:
            if self.state is LinkState.DROPPED:
                return
            pumps = [
                asyncio.ensure_future(self._pump(reader, far_writer)),
                asyncio.ensure_future(self._pump(far_reader, writer)),
            ]
            try:
                # Either end's end is the end: MQTT has no half-open connections.
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.wait(pumps)
        finally:
            self._writers.discard(far_writer)
            await _discard(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if self._shape is not None:
                await carry(reader, writer.write, self._shape)
            while data := await reader.read(CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        if self.state is LinkState.UP:
            # What was said before the end, however abrupt that was, still arrives.
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other end is told by a RST, and not by an orderly end."""
    if (sock := writer.get_extra_info("socket")) is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _discard(writer: asyncio.StreamWriter) -> None:
    _reset(writer)
    with contextlib.suppress(OSError):
        await writer.wait_closed()
