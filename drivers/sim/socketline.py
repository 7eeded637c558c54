"""What a twin's line on a socket of this machine is, whether TCP or UDP."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.sim.line import Line


class SocketLine(Line, ABC):
    """`async with` opens it; a subclass has `_plug`, `_unplug`, and `_hand_over`."""

    def __init__(self, kind: str, port: int, *, noise_seed: int) -> None:
        super().__init__(Path(f"{kind}-{port}"), noise_seed=noise_seed)
        self.port = port
        """0 becomes a free one at entry, and stays the same through `replug`."""
        self._turn = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._plug()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unplug()

    @property
    def unread(self) -> int:
        """What the kernel holds for a client is not ours to count."""
        return 0

    @abstractmethod
    def _hand_over(self, data: bytes) -> int:
        """How many bytes the kernel took; 0 where nobody is there.  OSError: none."""

    def _send(self, data: bytes, *, whole: int) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            sent = self._hand_over(data)
        if sent:
            self.counters.frames += 1
        self.counters.bytes_written += sent
        self.counters.bytes_dropped += max(whole, len(data)) - sent
