"""What the way to one center carries: measured at the kernel, kept over restarts, and said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from agent.clock import UnitClock
from agent.delivery import detail
from agent.delivery.allowance import Allowance
from agent.delivery.budget import Spent
from agent.delivery.detail import Demand
from agent.delivery.meter import passed
from agent.delivery.records import Shelf
from agent.messages import Clock, Event, UplinkStatus
from agent.mqtt import Connection
from agent.settings.tables import UplinkConfig

log = logging.getLogger(__name__)

LOOK_S = 1.0
KEEP_S = 5.0
"""A kill -9 forgets what has passed in so long."""
WINDOW = 60
"""Looks over which the rate is told."""
KNOWN = frozenset({Clock.GNSS, Clock.NTP})


class Ration:
    """One per uplink, over all its connections."""

    def __init__(
        self, config: UplinkConfig, shelf: Shelf, clock: UnitClock, tell: Callable[[Event], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._config = config
        self._shelf = shelf
        self._clock = clock
        self._tell = tell
        self._key = f"spent.{config.name}"
        kept = _spent(shelf.kept.get(self._key, b"{}"))
        self.allowance = Allowance(config.most_kbit_s, config.budget_bytes, kept, loop.time())
        self._connection: Connection | None = None
        self._before = (0, 0)
        self._sent: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._kept_at = loop.time()
        self._blind = False

    def limit(self, rate_kbit_s: float | None, budget_mb_per_day: float | None) -> None:
        """From now on; None: as the configuration has it."""
        config = self._config
        rate = config.most_kbit_s if rate_kbit_s is None else rate_kbit_s
        per_day = config.budget_bytes if budget_mb_per_day is None else budget_mb_per_day * 1e6
        self.allowance.limit(rate, round(per_day), asyncio.get_running_loop().time())

    def open(self, connection: Connection) -> None:
        self._connection = connection
        self._before = (0, 0)

    def close(self) -> None:
        self.keep()
        self._connection = None

    def learn(self, kept: dict[str, bytes]) -> None:
        """The store could be opened only now: what had been spent today counts on."""
        before, spent = _spent(kept.get(self._key, b"{}")), self.allowance.budget.spent
        if before.day >= spent.day:
            spent.bytes += before.bytes
            spent.day = before.day

    @property
    def level(self) -> int:
        return self.allowance.detail.level

    def look(self, demand: Demand, waited_s: float, throughput: float) -> bool:
        """Each second; True: the detail has changed."""
        now, now_ms = asyncio.get_running_loop().time(), self._clock.now_ms()
        self._measure(now, now_ms)
        changed = self.allowance.look(demand, waited_s, throughput, now, now_ms)
        if changed:
            self._say_detail()
        if now - self._kept_at >= KEEP_S:
            self.keep()
        return changed

    def _measure(self, now: float, now_ms: int) -> None:
        if self._connection is None:
            return
        try:
            total = passed(self._connection.fileno())
        except OSError as error:
            if not self._blind:
                log.warning("uplink %s: its bytes cannot be counted: %s", self._config.name, error)
            self._blind = True
            return
        sent, received = (max(0, a - b) for a, b in zip(total, self._before, strict=True))
        self._before = total
        self._sent.append((now, sent))
        known = self._clock.source in KNOWN
        over = self.allowance.measured(sent, received, now_ms, known=known)
        if over is not None:
            data = {"day": over.day, "bytes": over.bytes, "budget": self._config.budget_bytes}
            self._tell(Event(event="uplink_spent", source=self._config.name, data=data))

    def _say_detail(self) -> None:
        name = detail.NAMES[self.level]
        log.warning("uplink %s: readings go out as %s", self._config.name, name)
        data = msgspec.to_builtins(self.status())
        self._tell(
            Event(event="uplink_detail", source=self._config.name, detail=name, data=data)
        )  # fmt: skip

    def keep(self) -> None:
        """Store what has been spent."""
        self._kept_at = asyncio.get_running_loop().time()
        value = msgspec.json.encode(self.allowance.budget.spent)
        if value != self._shelf.kept.get(self._key):
            self._shelf.keep(self._key, value)

    def status(self) -> UplinkStatus:
        config, spent = self._config, self.allowance.budget.spent
        return UplinkStatus(
            kind=config.kind, readings=detail.NAMES[self.level],
            sent_kbit_s=round(self._sent_bytes_s() / 125, 2), rate_kbit_s=config.most_kbit_s,
            spent_mb=round(spent.bytes / 1e6, 4), budget_mb_per_day=config.budget_bytes / 1e6,
        )  # fmt: skip

    def _sent_bytes_s(self) -> float:
        if len(self._sent) < 2:
            return 0.0
        seconds = self._sent[-1][0] - self._sent[0][0]
        # The first says when the time began; what it counted went before.
        return sum(count for _, count in list(self._sent)[1:]) / seconds if seconds > 0 else 0.0


def _spent(kept: bytes) -> Spent:
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(kept, type=Spent)
    return Spent()
