"""A bad link: a TCP proxy that delays, and that loses connections in the middle of a message."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Self

CHUNK = 4096


class BadLink:
    """`async with BadLink(port) as link`; the agent connects to `link.port`.

    Netem may be missing from a kernel, so the delay and the loss are made here: TCP repeats lost
    packets by itself, what an application sees of loss is delay and connections that die.
    """

    def __init__(self, target_port: int, rng: random.Random) -> None:
        self.port = 0
        self.delay_s = 0.0
        self.loss = 0.0
        """The chance that a piece of data takes its connection with it."""
        self.cut = False
        self._target_port = target_port
        self._rng = rng
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.abort_all()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def abort_all(self) -> None:
        """Every connection that passes here is reset."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self.cut:
                await self._pass_on(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            ends = {writer, far_writer}
            self._writers |= ends
            pumps = [
                asyncio.ensure_future(self._pump(reader, far_writer)),
                asyncio.ensure_future(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.wait(pumps)
                self._writers -= ends
                for end in ends:
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self._rng.random() < self.loss:
                    # Half of it has gone out: the worst place to stop.
                    writer.write(data[: len(data) // 2])
                    return
                writer.write(data)
                await writer.drain()
