"""Real pseudo-terminals for the driver tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from drivers import Driver, Fix, Sample
from drivers.port import open_port
from tests.ptys import raw_pty


@asynccontextmanager
async def pty() -> AsyncIterator[tuple[int, str]]:
    """A raw pty: the master's descriptor (non-blocking), and the name of the slave."""
    with raw_pty() as (master, name):
        try:
            yield master, name
        finally:
            asyncio.get_running_loop().remove_reader(master)


@asynccontextmanager
async def pty_pair() -> AsyncIterator[tuple[str, str]]:
    """Two slaves joined like the ends of a null-modem cable."""
    async with pty() as (left, left_name), pty() as (right, right_name):
        loop = asyncio.get_running_loop()
        loop.add_reader(left, lambda: os.write(right, os.read(left, 4096)))
        loop.add_reader(right, lambda: os.write(left, os.read(right, 4096)))
        yield left_name, right_name


async def run_until(
    driver: Driver, device: str, enough: Callable[[list[Sample]], bool], timeout_s: float = 10.0
) -> list[Sample]:
    """What the driver gives on `device`, until `enough` of it."""
    got: list[Sample] = []
    done = asyncio.Event()

    def emit(sample: Sample | Fix) -> None:
        assert isinstance(sample, Sample)
        got.append(sample)
        if enough(got):
            done.set()

    async with open_port(device) as port:
        task = asyncio.create_task(driver.run(port, emit))
        waiter = asyncio.create_task(done.wait())
        try:
            await asyncio.wait({task, waiter}, timeout=timeout_s, return_when="FIRST_COMPLETED")
            if task.done():
                task.result()
            assert done.is_set(), f"not enough within {timeout_s} s: {got}"
        finally:
            task.cancel()
            waiter.cancel()
            await asyncio.gather(task, waiter, return_exceptions=True)
    return got
