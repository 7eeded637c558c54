"""What goes wrong: each fault begins, lasts and ends by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tests.mosquitto import Mosquitto
from tests.torture.link import BadLink
from tests.torture.unit import Unit

CLOCK_STEPS_S = (-7200, -90, 90, 7200)

Fault = Callable[[], Awaitable[None]]


class Faults:
    """A choice of them, by a seed."""

    def __init__(
        self, unit: Unit, broker: Mosquitto, link: BadLink, rng: random.Random,
        only: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.more: Mapping[str, Fault] = {}
        """What there is to break beside these."""
        self._unit, self._broker, self._link, self._rng = unit, broker, link, rng
        self._only = only
        self.played: dict[str, int] = {}

    async def one(self) -> None:
        """One fault, begun and ended."""
        faults: dict[str, Fault] = {
            "agent killed": self._unit.kill,
            "broker killed": self._kill_broker,
            "link cut": self._cut,
            "link delayed": self._delay,
            "link lossy": self._lose,
            "disk full": self._fill_disk,
            "disk full at the start": self._start_on_a_full_disk,
            "clock moved": self._move_clock,
            **self.more,
        }
        name = self._rng.choice(sorted(self._only or faults))
        self.played[name] = self.played.get(name, 0) + 1
        await faults[name]()

    async def _last(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._rng.uniform(least_s, most_s))

    async def _kill_broker(self) -> None:
        await self.kill_broker(self._broker)

    async def kill_broker(self, broker: Mosquitto) -> None:
        broker.kill()
        await self._last(0.2, 2.0)
        await asyncio.to_thread(broker.start)

    async def _cut(self) -> None:
        self._link.cut = True
        self._link.abort_all()
        await self._last(0.5, 4.0)
        self._link.cut = False

    async def _delay(self) -> None:
        self._link.delay_s = self._rng.uniform(0.05, 0.4)
        await self._last(1.0, 4.0)
        self._link.delay_s = 0.0

    async def _lose(self) -> None:
        self._link.loss = self._rng.uniform(0.01, 0.1)
        await self._last(1.0, 4.0)
        self._link.loss = 0.0

    async def _fill_disk(self) -> None:
        await self._unit.runs()
        self._unit.fill_disk()
        await self._last(0.5, 2.0)
        self._unit.free_disk()

    async def _start_on_a_full_disk(self) -> None:
        await self._unit.runs()
        await self._unit.kill(disk_full=True)
        await self._last(1.0, 3.0)
        self._unit.free_disk()
        # What it has sent from memory is to be kept before it is killed again.
        await self._unit.runs()

    async def _move_clock(self) -> None:
        self._unit.move_clock(self._rng.choice(CLOCK_STEPS_S))
        await self._last(1.0, 3.0)
        self._unit.move_clock(0)
