"""Listening to an instrument that talks by itself, and whose last word is followed by quiet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from drivers import Emit, Fix, Port, Sample


class Talk(Protocol):
    """A decoder that holds back what may still be completed."""

    @property
    def pending(self) -> bool:
        """Whether something is held back."""

    def feed(self, data: bytes, at: float) -> Sequence[Sample | Fix]:
        """What `data`, read at the monotonic time `at`, completes."""

    def flush(self, at: float) -> Sequence[Sample | Fix]:
        """What was held back, now that the line is quiet."""


async def listen(port: Port, emit: Emit, decoder: Talk, quiet_s: float) -> None:
    """Until cancelled; a line that is quiet for `quiet_s` completes what is held back.
    OSError: the device is lost."""
    while True:
        try:
            async with asyncio.timeout(quiet_s if decoder.pending else None):
                data = await port.read()
        except TimeoutError:
            found = decoder.flush(time.monotonic())
        else:
            found = decoder.feed(data, time.monotonic())
        for one in found:
            emit(one)
