"""One question on a line and its answer: what all instruments that speak only when asked share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from . import Emit, Fix, Port, Sample

Hear = Callable[[bytes, float], bool]
"""Takes what was read and when (monotonic seconds); True when the answer is whole."""

Now = Callable[[], float]

GAP_S = 0.05
"""At least so long between two questions."""


def emitting(feed: Callable[[bytes, float], Sequence[Sample | Fix]], emit: Emit) -> Hear:
    """Give on what `feed` makes of the answer; it is whole when it has made something."""

    def hear(data: bytes, at: float) -> bool:
        found = feed(data, at)
        for one in found:
            emit(one)
        return bool(found)

    return hear


async def ask(
    port: Port, question: bytes, hear: Hear, timeout_s: float, now: Now = time.monotonic
) -> bool:
    """Write `question`, then give `hear` all that comes, until it has heard enough (True) or
    `timeout_s` is over (False).  OSError: the device is lost."""
    await port.write(question)
    try:
        async with asyncio.timeout(timeout_s):
            while not hear(await port.read(), now()):
                pass
    except TimeoutError:
        return False
    return True


async def wait_until(due: float, now: Now = time.monotonic) -> None:
    """Until the monotonic time `due`, but never less than the gap between two questions."""
    await asyncio.sleep(max(GAP_S, due - now()))
