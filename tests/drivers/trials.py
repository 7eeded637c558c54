"""What every decoder and every twin must stand: used by the tests of one driver each."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from drivers import Counters, Driver, Fix, Quality, Sample
from drivers.port import open_port
from drivers.sim.line import Fault, Line

from ..waiting import until

SPOILING = (Fault.GARBAGE, Fault.CUT_FRAME, Fault.BAD_CHECKSUM)

Row = tuple[str, float | None, str, Quality, float | None]


class Decoder(Protocol):
    @property
    def counters(self) -> Counters: ...

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]: ...


Make = Callable[[], Decoder]


def rows(samples: Iterable[Sample | Fix]) -> list[Row]:
    return [
        (s.quantity, s.value, s.unit, s.quality, s.full_scale)
        for s in samples
        if isinstance(s, Sample)
    ]


def same_however_cut(make: Make, data: bytes, expected: Sequence[Row]) -> None:
    """Whole, byte by byte, and cut in twenty random ways, `data` gives `expected`."""
    expected = list(expected)
    assert rows(make().feed(data, 1.0)) == expected
    single = make()
    assert rows(s for i in range(len(data)) for s in single.feed(data[i : i + 1], 1.0)) == expected
    dice = random.Random(len(data))
    for _ in range(20):
        edges = [0, *sorted(dice.choices(range(len(data)), k=4)), len(data)]
        decoder = make()
        pieces = [decoder.feed(data[a:b], 1.0) for a, b in itertools.pairwise(edges)]
        assert rows(itertools.chain(*pieces)) == expected
        assert decoder.counters.bytes_read == len(data)


def never_wrong_for_a_flipped_bit(make: Make, data: bytes, around: bytes = b"") -> None:
    """Each bit of `data` flipped once: what is still given as good is what was meant."""
    meant = _good(make().feed(around + data + around, 0.0))
    assert meant
    for bit in range(8 * len(data)):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        got = make().feed(around + bytes(spoilt) + around, 0.0)
        assert _good(got) <= meant, f"bit {bit}: {_good(got)}"


def _good(samples: Iterable[Sample | Fix]) -> set[tuple[str, float | None]]:
    return {
        (s.quantity, s.value)
        for s in samples
        if isinstance(s, Sample) and s.quality in (Quality.GOOD, Quality.CAL_DUE)
    }


class Got:
    """What a driver has emitted, and how many frames the line had carried by then."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.samples: list[tuple[int, Sample]] = []

    def take(self, sample: Sample | Fix) -> None:
        assert isinstance(sample, Sample)
        self.samples.append((self.line.counters.frames, sample))

    def of(self, quantity: str) -> list[Sample]:
        return [sample for _, sample in self.samples if sample.quantity == quantity]

    async def reads(
        self, quantity: str, value: float | None, quality: Quality = Quality.GOOD
    ) -> int:
        """Until a sample of `quantity` that is so is read; how many frames had been sent then."""
        start = len(self.samples)

        def found() -> list[int]:
            return [
                frames
                for frames, sample in self.samples[start:]
                if (sample.quantity, sample.value, sample.quality) == (quantity, value, quality)
            ]

        await until(lambda: bool(found()), f"{quantity} is {value} {quality}, {self.of(quantity)}")
        return found()[0]


@asynccontextmanager
async def playing(line: Line, twin: Any, driver: Driver) -> AsyncIterator[Got]:
    """The twin playing and the driver reading it; neither may end by itself."""
    got = Got(line)
    async with open_port(str(line.link)) as port:
        tasks = {
            asyncio.create_task(twin.run(), name="twin"),
            asyncio.create_task(driver.run(port, got.take), name="driver"),
        }
        try:
            yield got
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def stands_all_faults(
    line: Line,
    twin: Any,
    driver: Driver,
    quantity: str,
    values: tuple[float, float],
    *,
    faults: Sequence[Fault] = SPOILING,
    checked: bool = True,
    slack: int = 1,
) -> None:
    """Every fault of a line, one after the other: right values only, and back in step at the
    second whole frame (and `slack` that may have been sent in the meantime)."""
    first, second = values
    meant = {first}
    twin.set(**{quantity: first})
    async with playing(line, twin, driver) as got:
        await got.reads(quantity, first)
        injected = 0
        for fault, n in itertools.product(faults, (1, 3)):
            target = second if first in (s.value for s in got.of(quantity)[-1:]) else first
            before = line.counters.frames
            dropped = driver.counters.bytes_dropped
            bad = driver.counters.bad_checksums
            line.inject(fault, n)
            twin.set(**{quantity: target})
            meant.add(target)
            frames = await got.reads(quantity, target)
            assert frames - before <= n + 2 + slack, f"{fault} {n}: {frames - before} frames"
            injected += n
            await until(lambda: line.counters.faults >= injected, "all are spoilt")  # noqa: B023
            assert driver.counters.bytes_dropped > dropped, fault
            if fault is Fault.BAD_CHECKSUM and checked:
                assert driver.counters.bad_checksums >= bad + n
        line.inject(Fault.SILENCE)
        kept = line.counters.bytes_dropped
        await until(lambda: line.counters.bytes_dropped > kept, "something is kept back")
        count = len(got.samples)
        twin.set(**{quantity: first})
        line.inject(Fault.RESTORE)
        await got.reads(quantity, first)
        late = [s.value for _, s in got.samples[count:] if s.quantity == quantity]
        assert set(late) <= meant
        assert {s.value for s in got.of(quantity)} <= meant
        assert {s.quality for s in got.of(quantity)} == {Quality.GOOD}


async def comes_back_when_replugged(
    line: Line, twin: Any, make: Callable[[], Driver], quantity: str, values: tuple[float, float]
) -> None:
    """Pulled, the driver ends with an OSError; plugged in again, it reads what is now."""
    got = Got(line)
    twin.set(**{quantity: values[0]})
    running_twin = asyncio.create_task(twin.run())
    try:
        async with open_port(str(line.link)) as port:
            running = asyncio.create_task(make().run(port, got.take))
            await got.reads(quantity, values[0])
            line.inject(Fault.UNPLUG)
            ended = await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 10)
            assert isinstance(ended[0], OSError)
        twin.set(**{quantity: values[1]})
        line.inject(Fault.REPLUG)
        async with open_port(str(line.link)) as port:
            running = asyncio.create_task(make().run(port, got.take))
            await got.reads(quantity, values[1])
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        running_twin.cancel()
        await asyncio.gather(running_twin, return_exceptions=True)
    assert {s.value for s in got.of(quantity)} == set(values)
