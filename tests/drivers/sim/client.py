"""The client's end of a twin's line, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until


@contextmanager
def client(link: Path) -> Iterator[int]:
    """A descriptor on the line, as any program opens a serial device."""
    fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


async def receive(fd: int, length: int) -> bytes:
    """`length` bytes and whatever came with them; TimeoutError where they do not come."""
    received = b""

    def enough() -> bool:
        nonlocal received
        try:
            received += os.read(fd, 4096)
        except BlockingIOError:
            pass
        return len(received) >= length

    await until(enough, f"{length} bytes came")
    return received
