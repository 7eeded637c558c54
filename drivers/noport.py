"""The port of a driver that has no wire: it reads files, runs a program or asks over a network."""

from __future__ import annotations

import asyncio
import errno
from typing import Self


class NoPort:
    """Satisfies `drivers.Port`: nothing ever comes, and nothing can be sent."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self) -> bytes:
        """Waits until it is cancelled."""
        never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return await never

    async def write(self, data: bytes) -> None:
        """OSError: there is nowhere to write to."""
        raise OSError(errno.EBADF, f"this driver has no wire, and wrote {len(data)} bytes")

    def discard_input(self) -> int:
        """0: nothing waits."""
        return 0
