"""What is held, and for how long.  Only retention deletes, and an event says what went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.clock import UnitClock
from agent.config import StoreConfig
from agent.store import Store

log = logging.getLogger(__name__)

PERIOD_S = 60.0
DAY_MS = 86_400_000
PIECE = 20_000
"""Records deleted at once where the size is exceeded: the writer thread is not held up long."""

OnDeleted = Callable[[str, int, int, str], None]
"""(epoch's name, first, last, reason)."""


async def keep_within(
    store: Store, clock: UnitClock, config: StoreConfig, on_deleted: OnDeleted
) -> None:
    """Until cancelled: delete what is older than `retention_days`, then the oldest while the
    store is larger than `max_mb`."""
    while True:
        await delete_old(store, clock.now_ms() - round(config.retention_days * DAY_MS), on_deleted)
        await delete_large(store, config.max_mb * 1_000_000, on_deleted)
        await asyncio.sleep(PERIOD_S)


async def delete_old(store: Store, before_ms: int, on_deleted: OnDeleted) -> None:
    """Everything made before `before_ms` (UTC)."""
    for number in sorted(store.epochs):
        epoch = store.epochs[number]
        first = await store.first_since(number, before_ms)
        if first > epoch.first:
            on_deleted(epoch.name, epoch.first, first - 1, "age")
            await store.delete_before(number, first)


async def delete_large(store: Store, limit_bytes: int, on_deleted: OnDeleted) -> None:
    """The oldest records, a piece at a time, while more than `limit_bytes` are in use."""
    while await store.size_bytes() > limit_bytes:
        oldest = min((n for n, e in store.epochs.items() if e.last >= e.first), default=None)
        if oldest is None:
            return
        epoch = store.epochs[oldest]
        upto = min(epoch.last, epoch.first + PIECE - 1)
        on_deleted(epoch.name, epoch.first, upto, "size")
        await store.delete_before(oldest, upto + 1)
