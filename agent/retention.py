"""What is held, and for how long.  Only retention deletes, and an event says what went."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable

from agent.clock import UnitClock, boottime_ms
from agent.config import StoreConfig
from agent.messages import Clock
from agent.rows import Epoch, Row
from agent.store import Store

log = logging.getLogger(__name__)

PERIOD_S = 60.0
DAY_MS = 86_400_000
PIECE = 5_000
"""Records deleted at once: the writer thread is not held up long."""
LOOK = 50_000
"""Records looked at per epoch and pass."""
RESERVE_BYTES = 64_000_000
RESERVE_SHARE = 0.05
"""The larger of the two stays free on the disk, whatever `max_mb` says."""
FREE_SHARE = 0.25
FREE_PAGES = 1_000
"""Free pages beyond both are given back; fewer are left for the records to come."""
TRUSTED = frozenset({Clock.GNSS, Clock.NTP})

OnDeleted = Callable[[str, int, int, str], None]
"""(epoch's name, first, last, reason)."""


async def keep_within(
    store: Store, clock: UnitClock, config: StoreConfig, on_deleted: OnDeleted
) -> None:
    """Until cancelled: delete what is older than `retention_days`, then the oldest while the
    store is larger than `max_mb` or the disk nearly full; give back what is free then."""
    while True:
        await delete_old(store, clock, round(config.retention_days * DAY_MS), on_deleted)
        used = (await store.usage()).file_bytes
        disk = shutil.disk_usage(store.path.parent)
        limit = limit_bytes(config.max_mb * 1_000_000, used, disk.total, disk.free)
        await delete_large(store, limit, on_deleted)
        await give_back(store)
        await asyncio.sleep(PERIOD_S)


def limit_bytes(most: int, file_bytes: int, disk_total: int, disk_free: int) -> int:
    """How large the store may be, all in bytes: `most`, or what the disk bears."""
    reserve = max(RESERVE_BYTES, round(disk_total * RESERVE_SHARE))
    return max(0, min(most, file_bytes + disk_free - reserve))


async def delete_old(store: Store, clock: UnitClock, age_ms: int, on_deleted: OnDeleted) -> None:
    """Everything that was made more than `age_ms` ago, as far as that can be told."""
    all_older = False
    for number in sorted(store.epochs, reverse=True):
        epoch = store.epochs[number]
        is_old = _judge(epoch.boot == clock.boot != "", clock, age_ms)
        # What came before an old record is old, whatever its own clock said.
        upto = epoch.last if all_older else await store.old_upto(number, LOOK, is_old)
        all_older = all_older or upto > 0
        first = epoch.first
        while epoch.first <= upto:
            await store.delete_before(number, min(upto, epoch.first + PIECE - 1) + 1)
        _tell(epoch, first, "age", on_deleted)


def _judge(same_boot: bool, clock: UnitClock, age_ms: int) -> Callable[[Row], bool | None]:
    """Of this boot the kernel knows each record's age, however the clock was set meanwhile.  Of
    another boot only a clock that GNSS or NTP had set tells it."""
    up_ms, now_ms, now_is_known = boottime_ms(), clock.now_ms(), clock.source in TRUSTED

    def is_old(row: Row) -> bool | None:
        if same_boot:
            return up_ms - row.mono > age_ms
        if not now_is_known or row.clock not in TRUSTED:
            return None
        return now_ms - row.t > age_ms

    return is_old


async def delete_large(store: Store, most_bytes: int, on_deleted: OnDeleted) -> None:
    """The oldest records, a piece at a time, while more than `most_bytes` are in use."""
    for number in sorted(store.epochs):
        epoch = store.epochs[number]
        first = epoch.first
        while epoch.first <= epoch.last and (await store.usage()).used_bytes > most_bytes:
            await store.delete_before(number, min(epoch.last, epoch.first + PIECE - 1) + 1)
        _tell(epoch, first, "size", on_deleted)


def _tell(epoch: Epoch, first: int, why: str, on_deleted: OnDeleted) -> None:
    """After it is done: what was begun and not done has not happened."""
    if epoch.first > first:
        log.info("epoch %s: %d to %d deleted by %s", epoch.name, first, epoch.first - 1, why)
        on_deleted(epoch.name, first, epoch.first - 1, why)


async def give_back(store: Store) -> None:
    """Return free pages to the disk, a piece at a time, where there are many."""
    usage = await store.usage()
    while usage.free > max(FREE_PAGES, FREE_SHARE * usage.pages):
        await store.shrink()
        free, usage = usage.free, await store.usage()
        if usage.free >= free:
            # A database made without auto_vacuum has nothing to give.
            return
