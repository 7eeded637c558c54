"""Retention: what is too old or too much goes, an event says so, and nothing else does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.clock import UnitClock
from agent.delivery import retention
from agent.delivery.retention import (
    DAY_MS,
    Deleted,
    delete_large,
    delete_old,
    give_back,
    keep_within,
    limit_bytes,
)
from agent.delivery.rows import Row
from agent.messages import Class, Clock
from agent.settings.tables import StoreConfig
from agent.store import Store
from tests.agent.rig import Unit
from tests.waiting import until

NOW_MS = 1_795_519_200_000
UP_MS = 3_600_000
DELETED = list[tuple[str, int, int, str]]


class SetClock(UnitClock):
    """A clock whose readings the test says."""

    def __init__(self, source: Clock = Clock.NTP, now_ms: int = NOW_MS) -> None:
        super().__init__()
        self.boot = "this-boot"
        self.says = source
        self.at = now_ms

    @property
    def source(self) -> Clock:
        return self.says

    def now_ms(self) -> int:
        return self.at


@pytest.fixture(autouse=True)
def _uptime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "boottime_ms", lambda: UP_MS)


async def epoch_of(
    store: Store, number: int, rows: list[tuple[int, str, int]], boot: str = "last-boot"
) -> None:
    """An epoch whose records have these (t, clock, mono)."""
    epoch = store.begin_epoch(f"{number}-aa", boot)
    for seq, (t, clock, mono) in enumerate(rows, 1):
        row = Row(
            epoch=epoch.id, seq=seq, klass="readings", prev=seq - 1, t=t, clock=clock, mono=mono,
            body=b'{"source":"gas1","quantity":"cl2","value":0.0,"unit":"ppm","quality":"good"}',
        )  # fmt: skip
        store.append(row, urgent=False, done=lambda done: setattr(epoch, "last", done.seq))
    await store.flush()


def held(store: Store) -> dict[str, tuple[int, int]]:
    return {epoch.name: (epoch.first, epoch.last) for epoch in store.epochs.values()}


def told(deleted: DELETED) -> retention.OnDeleted:
    return lambda gone: deleted.append((gone.epoch, gone.first, gone.last, gone.reason))


async def test_what_is_older_goes_and_an_epoch_with_its_last_record(tmp_path: Path) -> None:
    old, young = (NOW_MS - 9 * DAY_MS, "ntp", 0), (NOW_MS - 7 * DAY_MS, "ntp", 0)
    deleted: DELETED = []
    async with Store.open(tmp_path) as store:
        await epoch_of(store, 1, [old] * 3)
        await epoch_of(store, 2, [old, old, young, young])
        await epoch_of(store, 3, [young])
        await delete_old(store, SetClock(), 8 * DAY_MS, told(deleted))
        assert held(store) == {"2-aa": (3, 4), "3-aa": (1, 1)}
        assert sorted(deleted) == [("1-aa", 1, 3, "age"), ("2-aa", 1, 2, "age")]
        assert await store.read(1, [(1, 9)], [Class.READINGS], 9) == []
    async with Store.open(tmp_path) as store:
        assert held(store) == {"2-aa": (3, 4), "3-aa": (1, 1)}


async def test_a_record_of_an_unset_clock_is_not_taken_for_old(tmp_path: Path) -> None:
    """It says 1970 and was made minutes ago."""
    deleted: DELETED = []
    async with Store.open(tmp_path) as store:
        await epoch_of(store, 1, [(60_000, "free", 0)] * 3)
        await epoch_of(store, 2, [(61_000, "rtc", UP_MS - 1000)] * 3, boot="this-boot")
        await delete_old(store, SetClock(), 8 * DAY_MS, told(deleted))
        assert deleted == []
        assert held(store) == {"1-aa": (1, 3), "2-aa": (1, 3)}


async def test_of_this_boot_the_kernel_knows_the_age(tmp_path: Path) -> None:
    """Its `t` says next year: a wrong clock has been set right since."""
    deleted: DELETED = []
    wrong = NOW_MS + 365 * DAY_MS
    async with Store.open(tmp_path) as store:
        rows = [(wrong, "ntp", 0), (wrong, "ntp", 1), (wrong, "ntp", UP_MS - 10)]
        await epoch_of(store, 1, rows, boot="this-boot")
        await delete_old(store, SetClock(Clock.FREE), UP_MS // 2, told(deleted))
        assert deleted == [("1-aa", 1, 2, "age")]


async def test_what_lies_before_an_old_record_is_old(tmp_path: Path) -> None:
    deleted: DELETED = []
    old = (NOW_MS - 9 * DAY_MS, "gnss", 0)
    async with Store.open(tmp_path) as store:
        await epoch_of(store, 1, [(0, "free", 0)] * 2)
        await epoch_of(store, 2, [(0, "free", 0), old, (0, "free", 0)])
        await delete_old(store, SetClock(), 8 * DAY_MS, told(deleted))
        assert held(store) == {"2-aa": (3, 3)}
        assert ("1-aa", 1, 2, "age") in deleted


async def test_a_clock_that_nothing_has_set_judges_no_other_boot(tmp_path: Path) -> None:
    deleted: DELETED = []
    async with Store.open(tmp_path) as store:
        await epoch_of(store, 1, [(NOW_MS - 9 * DAY_MS, "ntp", 0)])
        await delete_old(store, SetClock(Clock.RTC), 8 * DAY_MS, told(deleted))
        assert deleted == []


# -- the order of sacrifice ------------------------------------------------------------------------


async def an_hour_of(store: Store, classes: str, count: int) -> str:
    """The present epoch with `count` records of these classes in turn, one a second; its name."""
    epoch = store.begin_epoch("1-aa", "last-boot")
    kinds = [Class(name) for name in classes.split()]
    for seq in range(1, count + 1):
        row = Row(
            epoch=epoch.id, seq=seq, klass=kinds[seq % len(kinds)].value, prev=0,
            t=NOW_MS + 1000 * seq, clock="ntp", mono=0,
            body=b'{"source":"gas%d","quantity":"cl2","value":0.5,"unit":"ppm"}' % (seq % 2),
        )  # fmt: skip
        store.append(row, urgent=False, done=lambda done: setattr(epoch, "last", done.seq))
    await store.flush()
    return epoch.name


async def left(store: Store) -> dict[str, int]:
    """How many of each class are held."""
    return {
        klass.value: len(await store.read(1, [(1, 10**6)], [klass], 10**6))
        for klass in Class
    }  # fmt: skip


async def test_old_readings_are_thinned_first_and_the_newest_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "WHOLE", 600)
    monkeypatch.setattr(retention, "THIN_PIECE", 600)
    deleted: list[Deleted] = []
    async with Store.open(tmp_path) as store:
        name = await an_hour_of(store, "readings", 6000)
        size = (await store.usage()).used_bytes
        await delete_large(store, size - 1, deleted.append)
        # No more than is needed, and the oldest: one of each of two sources and ten minutes.
        (gone,) = deleted
        assert (gone.epoch, gone.reason, gone.klass) == (name, "size", Class.READINGS)
        assert (gone.first, gone.last, gone.count, gone.thinned) == (1, 600, 579, True)
        rows = await store.read(1, [(1, 600)], [Class.READINGS], 9999)
        assert {row.t // 60_000 - NOW_MS // 60_000 for row in rows} == set(range(11))
        assert len(rows) == 21
        await delete_large(store, size // 4, deleted.append)
        assert (deleted[1].first, deleted[1].last, deleted[1].thinned) == (601, 5400, True)
        assert len(await store.read(1, [(5401, 6000)], [Class.READINGS], 9999)) == 600
        assert (await store.usage()).used_bytes <= size // 4
        assert len(deleted) == 2
    async with Store.open(tmp_path) as store:
        assert held(store) == {name: (1, 6000)}


async def test_alarms_are_the_last_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE", 50)
    deleted: list[Deleted] = []
    async with Store.open(tmp_path) as store:
        await an_hour_of(store, "readings alarms events media ack readings readings", 2100)
        order: list[str] = []
        limit = (await store.usage()).used_bytes
        while limit > 0 and (await left(store))["alarms"]:
            limit -= 4096
            before = await left(store)
            await delete_large(store, limit, deleted.append)
            after = await left(store)
            went = [klass for klass in after if after[klass] < before[klass]]
            order += [klass for klass in went if klass not in order]
        assert order == ["readings", "media", "ack", "events", "alarms"]
        assert {gone.klass for gone in deleted} == set(Class)
        assert sum(gone.count for gone in deleted) == 2100 - sum((await left(store)).values())


async def test_a_store_that_is_over_its_limit_again_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "WHOLE", 100)
    looked: list[int] = []
    async with Store.open(tmp_path) as store:
        await an_hour_of(store, "readings", 3000)
        await delete_large(store, (await store.usage()).used_bytes - 1, lambda gone: None)
    async with Store.open(tmp_path) as store:
        really = store.delete_some

        async def delete_some(epoch: int, klass: Class, first: int, *how: Any) -> Any:
            looked.append(first)
            return await really(epoch, klass, first, *how)

        monkeypatch.setattr(store, "delete_some", delete_some)
        await delete_large(store, (await store.usage()).used_bytes - 1, lambda gone: None)
    assert looked[0] == 2001


async def test_a_reading_that_the_disk_has_damaged_is_not_what_thinning_fails_by(
    tmp_path: Path,
) -> None:
    async with Store.open(tmp_path) as store:
        epoch = store.begin_epoch("1-aa", "last-boot")
        store.begin_epoch("2-aa", "last-boot")
        for seq, body in enumerate([b"{", b"\xff", b"[]", b"{}"], 1):
            row = Row(
                epoch=epoch.id, seq=seq, klass="readings", prev=0, t=NOW_MS, clock="ntp", mono=0,
                body=body,
            )  # fmt: skip
            store.append(row, urgent=False, done=lambda done: setattr(epoch, "last", done.seq))
        await store.flush()
        await retention._thin(store, epoch.id, 0, {}, 0, lambda gone: None)
        assert held(store)["1-aa"] == (1, 4)


async def test_all_may_go_and_the_present_epoch_goes_on(tmp_path: Path) -> None:
    deleted: DELETED = []
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        unit.read(10)
        await store.flush()
        await delete_large(store, 0, told(deleted))
        assert deleted == [(unit.outbox.epoch.name, 1, 10, "size")]
        unit.read(1)
        await store.flush()
        assert held(store) == {unit.outbox.epoch.name: (11, 11)}


async def test_a_closed_epoch_goes_with_its_last_record(tmp_path: Path) -> None:
    deleted: DELETED = []
    async with Store.open(tmp_path) as store:
        await epoch_of(store, 1, [(NOW_MS, "ntp", 0)] * 1500)
        await epoch_of(store, 2, [(NOW_MS, "ntp", 0)] * 1500)
        await delete_large(store, 0, told(deleted))
        assert held(store) == {"2-aa": (1501, 1500)}
        assert deleted == [
            ("1-aa", 1, 1500, "size"), ("1-aa", 1, 1, "size"), ("2-aa", 1, 1500, "size")
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "file", "total", "free", "expected"),
    [
        (4_000, 100, 64_000_000, 64_100_000, 4_000),
        (4_000_000_000, 1_000_000, 1_000_000_000, 100_000_000, 37_000_000),
        (4_000_000_000, 1_000_000, 100_000_000_000, 6_000_000_000, 1_001_000_000),
        (4_000_000_000, 1_000_000, 1_000_000_000, 0, 0),
    ],
    ids=["max_mb", "64 MB stay free", "5 % stay free", "full"],
)
def test_the_disk_is_never_filled(
    most: int, file: int, total: int, free: int, expected: int
) -> None:
    assert limit_bytes(most, file, total, free) == expected


async def test_free_pages_go_back_where_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FREE_PAGES", 10)
    async with Store.open(tmp_path) as store:
        await epoch_of(store, 1, [(NOW_MS, "ntp", 0)] * 5000)
        await store.delete_before(1, 4900)
        assert (await store.usage()).free > 10
        await give_back(store)
        usage = await store.usage()
        assert usage.free <= max(10, 0.25 * usage.pages)


async def test_it_is_done_while_records_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PERIOD_S", 0.01)
    deleted: DELETED = []
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        clock = SetClock()
        clock.boot = unit.clock.boot
        config = StoreConfig(retention_days=UP_MS / 2 / DAY_MS)
        monkeypatch.setattr("agent.outbox.boottime_ms", lambda: 1)
        unit.read(5)
        monkeypatch.setattr("agent.outbox.boottime_ms", lambda: UP_MS)
        unit.read(5)
        task = asyncio.create_task(keep_within(store, clock, config, told(deleted)))
        await until(lambda: bool(deleted), "the first five are deleted")
        assert deleted == [(unit.outbox.epoch.name, 1, 5, "age")]
        task.cancel()
