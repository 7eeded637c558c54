"""A narrow and distant link: what passes takes its time, and what comes too fast waits before it.

Rate and delay are made here, byte by byte of what an application sends, because a kernel may lack
netem.  Nothing is lost: TCP repeats that by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

PIECE = 1460
"""Bytes that pass at once: a full TCP segment."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Of each direction by itself."""

    rate_kbit_s: float
    delay_s: float
    """One way: half of a round trip."""

    @property
    def bytes_s(self) -> float:
        return self.rate_kbit_s * 125


class Reader(Protocol):
    async def read(self, n: int, /) -> bytes:
        """As StreamReader's; empty: the end."""


async def carry(reader: Reader, write: Callable[[bytes], None], shape: Shape) -> None:
    """Pass on until the end, and return when the last byte has arrived.  What the rate does not
    bear yet is not read."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await under_way.get()
            await _until(due)
            if not data:
                return
            write(data)

    arrivals = asyncio.ensure_future(arrive())
    try:
        free_at = loop.time()
        while True:
            data = await reader.read(PIECE)
            free_at = max(free_at, loop.time()) + len(data) / shape.bytes_s
            await _until(free_at)
            # An empty piece is the end, behind all that is under way.
            under_way.put_nowait((free_at + shape.delay_s, data))
            if not data:
                break
        await arrivals
    finally:
        arrivals.cancel()


async def _until(due: float) -> None:
    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
