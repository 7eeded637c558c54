"""How deep the outbox is, how old, how large, and what it had to give up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from agent.clock import UnitClock
from agent.delivery.cursor import Cursor
from agent.delivery.retention import Deleted
from agent.messages import OutboxStatus
from agent.store import Store

PERIOD_S = 10.0


class Center(Protocol):
    """An uplink."""

    @property
    def cursor(self) -> Cursor: ...


class Figures:
    """Of one store; nothing here grows with what it holds."""

    def __init__(self, store: Store, clock: UnitClock) -> None:
        self._store = store
        self._clock = clock
        self._bytes = 0
        self._oldest: dict[Cursor, int] = {}
        """UTC ms at which the oldest record that waits was made."""
        self._dropped: Counter[str] = Counter()

    def deleted(self, gone: Deleted) -> None:
        """By retention: what is too old was meant to go, what is too much was not."""
        if gone.klass is not None:
            self._dropped[gone.klass.value] += gone.count

    async def run(self, centers: Iterable[Center]) -> None:
        """Until cancelled: look."""
        cursors = [center.cursor for center in centers]
        while True:
            await self.look(cursors)
            await asyncio.sleep(PERIOD_S)

    async def look(self, cursors: Iterable[Cursor]) -> None:
        """Once."""
        self._bytes = (await self._store.usage()).used_bytes
        for cursor in cursors:
            oldest = None
            if (place := cursor.oldest()) is not None:
                oldest = await self._store.first_from(*place)
            if oldest is None:
                self._oldest.pop(cursor, None)
            else:
                epoch = self._store.epochs.get(oldest.epoch)
                boot = epoch.boot if epoch is not None else ""
                self._oldest[cursor], _ = self._clock.restamp(
                    oldest.t, oldest.clock, oldest.mono, boot
                )

    def status(self, cursor: Cursor) -> OutboxStatus:
        depth, now = cursor.pending(), self._clock.now_ms()
        at = self._oldest.get(cursor, now) if depth else now
        return OutboxStatus(
            depth=depth, bytes=self._bytes,
            oldest_s=max(0.0, (now - at) / 1000),
            dropped=dict(self._dropped + self._store.not_kept_of),
        )  # fmt: skip
