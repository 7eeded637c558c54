"""Live readings made into roll-ups, for a link that does not bear them all.

A roll-up has no number: the readings that it stands for are listed on `skipped`, still wait, and
come as history when there is room.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from agent.delivery import compression
from agent.delivery.channel import Answer, Channel, Lane
from agent.delivery.ranges import Ranges
from agent.delivery.records import Records
from agent.delivery.rollup import Period, Roller
from agent.delivery.rows import Row
from agent.delivery.skips import Skips
from agent.messages import Rollup
from agent.settings.tables import UnitConfig

WAITING_MAX = 100
"""Roll-ups that wait for a way out; the oldest goes, and its readings count as held back."""
GRACE_S = 0.5
"""A period is over so long after its end: what was read in it has been committed by then."""

_encode = msgspec.json.Encoder().encode


class Thinning:
    """One stream of readings to one center."""

    def __init__(
        self, records: Records, unit: UnitConfig, root: str, channel: Channel, skips: Skips
    ) -> None:
        self._records = records
        self._unit = unit
        self._topic = f"{root}/rollups"
        self._channel = channel
        self._skips = skips
        self._roller = Roller()
        self._untold: dict[int, Ranges] = {}
        """By epoch: numbers that are in the roller, and that the center has not been told of."""
        self._waiting: deque[Period] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, row: object) -> bool:
        """It is in a period that is not over."""
        return isinstance(row, Row) and row.seq in self._untold.get(row.epoch, ())

    def gathered(self, epoch: int) -> Ranges:
        """Numbers of a period that is not over, and that the center has not been told of."""
        return self._untold.get(epoch) or Ranges()

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def take(self, row: Row, period_s: int) -> bool:
        """False: it cannot be read, and goes out as it is."""
        try:
            done = self._roller.take(row, period_s)
        except ValueError:
            return False
        if done is not None:
            self._over(done)
        self._untold.setdefault(row.epoch, Ranges()).add(row.seq, row.seq)
        if self._timer is None:
            loop, t = asyncio.get_running_loop(), row.t / 1000
            due_s = period_s - t % period_s + GRACE_S
            self._timer = loop.call_later(due_s, self.end)
        return True

    def end(self) -> None:
        """The period is over, or readings go out in another detail from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (done := self._roller.end()) is not None:
            self._over(done)
            self._channel.pump()

    def close(self) -> None:
        """Roll-ups that wait do so until there is a connection again."""
        self.end()

    def tell(self) -> None:
        """Something with a greater number goes out: what lies before it must be no gap."""
        untold, self._untold = self._untold, {}
        for epoch, ranges in untold.items():
            for first, last in ranges:
                self._skips.say_once(epoch, first, last, "thinned")

    def _over(self, period: Period) -> None:
        self.tell()
        self._waiting.append(period)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()

    def send(self) -> bool:
        """One that waits; False: none does."""
        if not self._waiting:
            return False
        period = self._waiting.popleft()
        if (epoch := self._records.store.epochs.get(period.epoch)) is None:
            # Retention was faster.
            return True
        message = Rollup(
            unit=self._unit.id, epoch=epoch.name, mark=self._unit.mark,
            ranges=tuple(period.ranges), t=period.t, until=period.until, clock=period.clock,
            period_s=period.period_s, rolled=period.rolled,
        )  # fmt: skip
        self.publish(message)
        return True

    def publish(self, message: Rollup) -> None:
        """Over the connection there is."""
        payload = _encode(message)
        if self._channel.compress:
            payload = compression.shrink(payload)
        self._channel.publish(self._topic, payload, _forget, lane=Lane.LIVE)


def _forget(answer: Answer) -> None:
    """A roll-up that nobody took is not sent again: its readings are kept."""
