"""Listening on a port, rate by rate, until some driver understands what comes.  Nothing is sent.

FIELD.md 6: each of 9600, 115200, 38400, 4800, 19200, 57600 for 1.2 s; where bytes come that nobody
understands yet, a little longer, as many instruments speak once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from agent.doctor.recognise import Candidate, candidates
from drivers import Port, ports
from drivers.recording import Chunk

BAUDRATES = (9600, 115200, 38400, 4800, 19200, 57600)
LISTEN_S = 1.2
LONGER_S = 3.6
"""For a line that is not silent: three frames of an instrument that speaks once a second."""
STEP_S = 0.4
BYTES_MAX = 32 * 1024
"""Enough of any instrument; a torrent is not kept."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a port said at one rate."""

    baudrate: int
    chunks: tuple[Chunk, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def count(self) -> int:
        """Bytes."""
        return sum(len(chunk.data) for chunk in self.chunks)


async def listen(
    device: str,
    baudrates: Sequence[int] = BAUDRATES,
    *,
    first_s: float = LISTEN_S,
    longer_s: float = LONGER_S,
) -> Heard:
    """The first rate at which a driver understands the port, else the one with the most bytes.
    OSError: it cannot be opened, or is lost."""
    best: Heard | None = None
    # The rate means nothing to a port of the network.
    for baudrate in baudrates[:1] if ports.is_network(device) else baudrates:
        async with ports.open_port(device, baudrate=baudrate) as port:
            heard = await _listen_at(port, baudrate, first_s, longer_s)
        if heard.candidates:
            return heard
        if best is None or heard.count > best.count:
            best = heard
    assert best is not None, "there is at least one rate"
    return best


async def _listen_at(port: Port, baudrate: int, first_s: float, longer_s: float) -> Heard:
    loop = asyncio.get_running_loop()
    began = loop.time()
    chunks: list[Chunk] = []
    until_s = first_s
    while True:
        await gather(port, began, began + until_s, chunks)
        found = await asyncio.to_thread(candidates, tuple(chunks)) if chunks else []
        silent, full = not chunks, sum(len(chunk.data) for chunk in chunks) >= BYTES_MAX
        if found or silent or full or until_s >= longer_s:
            return Heard(baudrate=baudrate, chunks=tuple(chunks), candidates=tuple(found))
        until_s = min(longer_s, until_s + STEP_S)


async def gather(port: Port, began: float, until: float, chunks: list[Chunk]) -> None:
    """Add what comes before the loop's time `until`; chunks count their seconds from `began`."""
    loop = asyncio.get_running_loop()
    count = sum(len(chunk.data) for chunk in chunks)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            while count < BYTES_MAX:
                data = await port.read()
                chunks.append(Chunk(loop.time() - began, data))
                count += len(data)
