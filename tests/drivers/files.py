"""Runs a driver that has no wire, as the supervisor does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drivers import Driver, Fix, Quality, Sample
from drivers.noport import NoPort

from ..waiting import until


class Heard:
    """What a driver has emitted."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def take(self, sample: Sample | Fix) -> None:
        assert isinstance(sample, Sample)
        self.samples.append(sample)

    def last(self) -> dict[str, Sample]:
        """The newest sample of each quantity."""
        return {sample.quantity: sample for sample in self.samples}

    async def reads(
        self, quantity: str, value: float | None, quality: Quality = Quality.GOOD
    ) -> Sample:
        """The next sample of `quantity` that is so."""
        start = len(self.samples)

        def found() -> list[Sample]:
            return [
                sample
                for sample in self.samples[start:]
                if (sample.quantity, sample.value, sample.quality) == (quantity, value, quality)
            ]

        await until(lambda: bool(found()), f"{quantity} is {value} {quality}: {self.last()}")
        return found()[0]


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[Heard]:
    """The driver on no port; it may not end by itself."""
    heard = Heard()
    async with NoPort() as port:
        task = asyncio.create_task(driver.run(port, heard.take))
        try:
            yield heard
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
