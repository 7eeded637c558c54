"""What is held, and for how long.  Only retention deletes, and an event says what went.

By age everything goes.  For want of room there is an order of sacrifice: readings are thinned, the
oldest first and but for the newest; then the oldest readings go, then what is rarer and dearer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from typing import Protocol

import msgspec

from agent.clock import UnitClock, boottime_ms
from agent.delivery.rows import Epoch, Gone, Row
from agent.disk import reserve_bytes
from agent.messages import Class, Clock
from agent.settings.tables import StoreConfig
from agent.store import Store

log = logging.getLogger(__name__)

PERIOD_S = 60.0
DAY_MS = 86_400_000
PIECE = 5_000
"""Records deleted at once: the writer thread is not held up long."""
LOOK = 50_000
"""Records looked at per epoch and pass."""
FREE_SHARE = 0.25
FREE_PAGES = 1_000
"""Free pages beyond both are given back; fewer are left for the records to come."""
TRUSTED = frozenset({Clock.GNSS, Clock.NTP})

THIN_PIECE = 2_000
"""Readings that are looked at in one go: each is decoded on the writer thread."""
THIN_MS = 60_000
"""Where readings are thinned, the first of each source and quantity stays in each of these."""
WHOLE = 20_000
"""The newest numbers that are not thinned: seven minutes of a full vehicle."""
LAST_TO_GO = (Class.MEDIA, Class.ACK, Class.EVENTS, Class.ALARMS)
"""When no reading is left: in this order, SOS among the alarms."""


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What went, for the event that says it."""

    epoch: str
    """Its name."""
    first: int
    last: int
    reason: str
    """`age`, `size`."""
    klass: Class | None = None
    """Of the records from `first` to `last`, those of this class; None: all."""
    thinned: bool = False
    """One of each source and quantity has stayed in each minute."""
    count: int = 0
    """How many went, where not all did."""


OnDeleted = Callable[[Deleted], None]


async def keep_within(
    store: Store, clock: UnitClock, config: StoreConfig, on_deleted: OnDeleted
) -> None:
    """Until cancelled: delete what is older than `retention_days`, then the oldest while the
    store is larger than `max_mb` or the disk nearly full; give back what is free then."""
    while True:
        await delete_old(store, clock, round(config.retention_days * DAY_MS), on_deleted)
        await keep_small(store, config.max_mb, on_deleted)
        await asyncio.sleep(PERIOD_S)


async def keep_small(store: Store, max_mb: int, on_deleted: OnDeleted) -> None:
    """Delete while the store is larger than `max_mb` or the disk nearly full; give room back."""
    used = (await store.usage()).file_bytes
    disk = shutil.disk_usage(store.path.parent)
    limit = limit_bytes(max_mb * 1_000_000, used, disk.total, disk.free)
    await delete_large(store, limit, on_deleted)
    await give_back(store)


def limit_bytes(most: int, file_bytes: int, disk_total: int, disk_free: int) -> int:
    """How large the store may be, all in bytes: `most`, or what the disk bears."""
    return max(0, min(most, file_bytes + disk_free - reserve_bytes(disk_total)))


class Runs(Protocol):
    """The runs of one unit, as `Store` has them."""

    @property
    def epochs(self) -> dict[int, Epoch]: ...

    async def old_upto(
        self, epoch: int, look: int, is_old: Callable[[Row], bool | None]
    ) -> int: ...

    async def delete_before(self, epoch: int, seq: int) -> None: ...


async def delete_old(store: Runs, clock: UnitClock, age_ms: int, on_deleted: OnDeleted) -> None:
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


def _tell(epoch: Epoch, first: int, why: str, on_deleted: OnDeleted) -> None:
    """After it is done: what was begun and not done has not happened."""
    if epoch.first > first:
        log.info("epoch %s: %d to %d deleted by %s", epoch.name, first, epoch.first - 1, why)
        on_deleted(Deleted(epoch=epoch.name, first=first, last=epoch.first - 1, reason=why))


async def delete_large(store: Store, most_bytes: int, on_deleted: OnDeleted) -> None:
    """In the order of sacrifice, oldest first and a piece at a time, while more than `most_bytes`
    are in use."""
    thinned = {n: upto for n, upto in _thinned(store).items() if n in store.epochs}
    for number in sorted(store.epochs):
        newest = WHOLE if number == max(store.epochs) else 0
        await _thin(store, number, newest, thinned, most_bytes, on_deleted)
    for klass in (Class.READINGS, *LAST_TO_GO):
        for number in sorted(store.epochs):
            await _delete(store, number, klass, most_bytes, on_deleted)


async def _thin(
    store: Store, number: int, newest: int, thinned: dict[int, int], most_bytes: int,
    on_deleted: OnDeleted,
) -> None:  # fmt: skip
    epoch = store.epochs[number]
    first, last, went = thinned.get(number, 0) + 1, epoch.last - newest, []
    while first <= last and (await store.usage()).used_bytes > most_bytes:
        gone = await store.delete_some(
            number, Class.READINGS, first, last, THIN_PIECE, _but_one_a_minute
        )
        went += [gone] if gone else []
        first = gone.last + 1 if gone else last + 1
    if thinned.get(number, 0) < first - 1:
        # What has been thinned is not looked through again each minute, nor after a restart.
        thinned[number] = first - 1
        store.keep("thinned", msgspec.json.encode(thinned))
    _tell_class(epoch, Class.READINGS, went, on_deleted, thinned=True)


async def _delete(
    store: Store, number: int, klass: Class, most_bytes: int, on_deleted: OnDeleted
) -> None:
    epoch = store.epochs[number]
    went: list[Gone] = []
    while (await store.usage()).used_bytes > most_bytes:
        gone = await store.delete_some(number, klass, epoch.first, epoch.last, PIECE)
        if gone is None:
            break
        went.append(gone)
        if number not in store.epochs:
            break
    _tell_class(epoch, klass, went, on_deleted)


def _tell_class(
    epoch: Epoch, klass: Class, went: list[Gone], on_deleted: OnDeleted, *, thinned: bool = False
) -> None:
    if count := sum(gone.count for gone in went):
        deleted = Deleted(
            epoch=epoch.name, first=went[0].first, last=went[-1].last, reason="size",
            klass=klass, thinned=thinned, count=count,
        )  # fmt: skip
        log.info("retention: %s", deleted)
        on_deleted(deleted)


def _thinned(store: Store) -> dict[int, int]:
    """By epoch: up to which number its readings have been thinned."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(store.kept.get("thinned", b"{}"), type=dict[int, int])
    return {}


class _Body(msgspec.Struct):
    source: str = ""
    quantity: str = ""


_decode = msgspec.json.Decoder(_Body).decode


def _but_one_a_minute(rows: list[Row]) -> list[int]:
    """The numbers of those readings that are thinned out."""
    stays: set[tuple[str, str, int]] = set()
    out = []
    for row in rows:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            body = _decode(row.body)
            key = (body.source, body.quantity, row.t // THIN_MS)
            if key in stays:
                out.append(row.seq)
            stays.add(key)
    return out


async def give_back(store: Store) -> None:
    """Return free pages to the disk, a piece at a time, where there are many."""
    usage = await store.usage()
    while usage.free > max(FREE_PAGES, FREE_SHARE * usage.pages):
        await store.shrink()
        free, usage = usage.free, await store.usage()
        if usage.free >= free:
            # A database made without auto_vacuum has nothing to give.
            return
