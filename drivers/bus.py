"""One owner of a line that several sources share: instruments of different maps on one RS-485 bus.

The line is opened by the first source that wants it and closed by the last that leaves.  Each
exchange (question, answer, pause) is one turn, and turns are taken in the order of asking, so that
no source starves another.  A line that is lost is closed at once, for all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

from drivers import Port, ports

T = TypeVar("T")


def turn(port: Port) -> contextlib.AbstractAsyncContextManager[Any]:
    """The right to ask on `port`, while others on the same line wait."""
    return port.turn if isinstance(port, BusPort) else contextlib.nullcontext()


class _Opened:
    """A line, as long as it is open."""

    def __init__(self, port: Port, stack: contextlib.AsyncExitStack) -> None:
        self.port = port
        self.stack = stack
        self.turn = asyncio.Lock()
        self.users = 0
        self.lost: OSError | None = None


class BusPort:
    """One source's share of a line; satisfies `drivers.Port`."""

    def __init__(self, opened: _Opened) -> None:
        self.turn = opened.turn
        self._opened = opened

    async def read(self) -> bytes:
        return await self._unless_lost(self._opened.port.read())

    async def write(self, data: bytes) -> None:
        await self._unless_lost(self._opened.port.write(data))

    def discard_input(self) -> int:
        return self._opened.port.discard_input()

    async def _unless_lost(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except OSError as error:
            # Who comes later finds the line closed; why is what the first has found.
            if self._opened.lost is not None:
                raise self._opened.lost from None
            self._opened.lost = error
            raise


class Buses:
    """The shared lines of a unit, by the names of their ports."""

    def __init__(self) -> None:
        self._lines: dict[str, _Opened] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    @contextlib.asynccontextmanager
    async def open_port(self, device: str, **settings: Any) -> AsyncIterator[BusPort]:
        """A share of `device`.  `settings` as for `ports.open_port`, the same for all sources.

        Raises PortError (an OSError) with a sentence.
        """
        async with self._opening.setdefault(device, asyncio.Lock()):
            opened = self._lines.get(device)
            if opened is None:
                async with contextlib.AsyncExitStack() as stack:
                    port = await stack.enter_async_context(ports.open_port(device, **settings))
                    opened = self._lines[device] = _Opened(port, stack.pop_all())
            opened.users += 1
        try:
            yield BusPort(opened)
        finally:
            opened.users -= 1
            if opened.lost is not None or not opened.users:
                # Before any other source can want the line again.
                if self._lines.get(device) is opened:
                    del self._lines[device]
                await opened.stack.aclose()
