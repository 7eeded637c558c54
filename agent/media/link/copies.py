"""Packets that are sent twice, some time apart: where the way is long and lossy, asking for what
was lost takes longer than anybody waits."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

AFTER_S = 0.08
"""Between a packet and its copy: what swallows one in a moment of trouble spares the other."""
MAX_WAITING = 256
"""Beyond that copies are left out: they would come too late anyway."""


class Kept(NamedTuple):
    """A packet as it is kept for another time."""

    seq: int
    timestamp: int
    marker: bool
    payload: bytes


class Copies:
    """Those that wait for their time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[float, Kept]] = asyncio.Queue(MAX_WAITING)

    def add(self, kept: Kept) -> None:
        """It has just been sent."""
        if not self._waiting.full():
            self._waiting.put_nowait((time.monotonic() + AFTER_S, kept))

    async def get(self) -> Kept:
        """The next one, once it is due."""
        due, kept = await self._waiting.get()
        await asyncio.sleep(due - time.monotonic())
        return kept
