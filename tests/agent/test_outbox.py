"""The outbox: numbers, who is told when, and what an uplink still owes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import outbox as outbox_module
from agent.delivery.cursor import Cursor
from agent.delivery.ranges import Ranges
from agent.delivery.rows import Epoch, Row
from agent.messages import Class, Clock, epoch_order
from agent.outbox import LATE_MS
from agent.store import Store
from tests.agent.rig import Unit, alarm
from tests.waiting import until

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine's disk is no stalled one, but where a stall is what is tried."""
    if "stalled" not in request.node.name:
        monkeypatch.setattr(outbox_module, "STALL_S", 60.0)


async def test_numbers_run_from_one_and_prev_is_of_the_same_class(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        unit.read(2)
        unit.alarms([alarm()])
        unit.read(1)
        unit.alarms([alarm("gas2")])
        await store.flush()
        rows = []
        for klass in Class:
            rows += await store.read(unit.outbox.epoch.id, [(1, 9)], [klass], 9)
        chain = {row.seq: (row.klass, row.prev) for row in rows}
        assert chain == {
            1: ("readings", 0), 2: ("readings", 1), 3: ("alarms", 0), 4: ("readings", 2),
            5: ("alarms", 3),
        }  # fmt: skip
        assert unit.outbox.made == unit.outbox.epoch.last == 5


async def test_each_start_has_an_epoch_greater_than_any_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for hours in (0, -5, -1, 24, 0):
        async with Store.open(tmp_path) as store:
            now = 1_795_519_200_000 + hours * HOUR_MS
            monkeypatch.setattr("agent.clock._system_ms", lambda now=now: now)
            unit = Unit(store)
            unit.read(1)
            names.append(unit.outbox.epoch.name)
    orders = [epoch_order(name) for name in names]
    assert orders == sorted(set(orders))


async def test_an_epoch_that_left_no_records_is_still_not_given_again(tmp_path: Path) -> None:
    names = set()
    for _ in range(5):
        async with Store.open(tmp_path) as store:
            names.add(Unit(store).outbox.epoch.name)
    assert len({epoch_order(name) for name in names}) == 5


async def test_a_lost_database_repeats_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.clock._system_ms", lambda: 1_795_519_200_000)
    names = set()
    for number in range(8):
        async with Store.open(tmp_path / str(number)) as store:
            names.add(Unit(store).outbox.epoch.name)
    assert len(names) == 8


async def test_listeners_hear_in_order_once_it_is_committed(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        heard: list[tuple[int, int]] = []
        unit.outbox.listeners.append(lambda row: heard.append((row.seq, unit.outbox.epoch.last)))
        unit.read(5)
        assert heard == []
        await until(lambda: len(heard) == 5, "all five are committed")
        assert heard == [(seq, seq) for seq in range(1, 6)]


async def test_a_stalled_disk_delays_nobody_and_the_commit_is_told_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[Row, object]] = []
    monkeypatch.setattr(
        Store, "append", lambda self, row, *, done, **_: kept.append((row, done))
    )  # fmt: skip
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        heard: list[int] = []
        unit.outbox.listeners.append(lambda row: heard.append(row.seq))
        unit.read(3)
        await until(lambda: heard == [1, 2, 3], "the stall is noticed")
        assert unit.outbox.epoch.last == 0
        for row, done in kept:
            assert callable(done)
            done(row)
        # Who had no way out when the disk stalled is told again.
        assert heard == [1, 2, 3, 1, 2, 3]
        assert unit.outbox.epoch.last == 3


async def test_a_record_goes_out_with_the_time_that_is_known_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        clock = unit.clock
        monkeypatch.setattr(clock, "_synchronised", False)
        monkeypatch.setattr("agent.clock._system_ms", lambda: 1_000_000)
        (row,) = unit.read(1)
        assert row.clock == "free"
        before = msgspec.json.decode(unit.outbox.encode(row, late=False))
        assert (before["t"], before["clock"]) == (1_000_000, "free")
        clock.gnss("2026-11-20T08:00:00Z", 0.0)
        after = msgspec.json.decode(unit.outbox.encode(row, late=False))
        assert after["clock"] == "gnss"
        assert after["t"] == pytest.approx(1_795_161_600_000, abs=2000)
        assert after["late"] is False
        assert {key: after[key] for key in ("seq", "prev", "source", "value")} == {
            "seq": 1, "prev": 0, "source": "gas1", "value": 0.0,
        }  # fmt: skip


async def test_how_wrong_the_guessed_times_were_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        clock, events = unit.clock, list[dict[str, Any]]()
        unit.outbox.listeners.append(
            lambda row: (
                events.append(msgspec.json.decode(row.body)) if row.klass == "events" else None
            )
        )
        monkeypatch.setattr(clock, "_synchronised", True)
        unit.read(2)
        monkeypatch.setattr(clock, "_synchronised", False)
        guessed = 1_795_161_600_000 - HOUR_MS
        monkeypatch.setattr("agent.clock._system_ms", lambda: guessed)
        unit.read(3)
        clock.gnss("2026-11-20T08:00:00Z", 0.0)
        unit.read(3)
        await until(lambda: unit.outbox.epoch.last == 9, "all are committed")
        (event,) = events
        assert event["event"] == "clock_corrected"
        assert event["data"].pop("offset_ms") == pytest.approx(HOUR_MS, abs=1000)
        assert event["data"] == {"epoch": unit.outbox.epoch.name, "first": 3, "last": 5}


async def test_trouble_with_the_disk_is_an_event_and_so_is_its_end(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        heard: list[Row] = []
        unit.outbox.listeners.append(heard.append)
        store.on_trouble("database or disk is full")
        store.on_trouble("")
        await until(lambda: len(heard) == 2, "both are told")
        first, second = (msgspec.json.decode(row.body) for row in heard)
        assert (first["event"], first["detail"]) == ("store_trouble", "database or disk is full")
        assert second["event"] == "store_well"


async def test_what_is_older_than_five_seconds_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        (row,) = unit.read(1)
        assert b'"late":false' in unit.outbox.encode(row, late=False)
        assert b'"late":true' in unit.outbox.encode(row, late=True)
        later = row.t + LATE_MS + 1
        monkeypatch.setattr(unit.clock, "now_ms", lambda: later)
        assert b'"late":true' in unit.outbox.encode(row, late=False)
        assert row.clock != Clock.FREE


async def test_the_newest_of_each_quantity_is_kept_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "NEWEST_MAX", 2)
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        for source in ("a", "b", "c"):
            unit.read(3, source)
        assert {name: row.seq for name, row in unit.outbox.newest.items()} == {
            "a/cl2": 3, "b/cl2": 6,
        }  # fmt: skip


# -- the cursor ----------------------------------------------------------------------------------


class Held:
    """What a cursor needs of a store."""

    def __init__(self, *epochs: Epoch) -> None:
        self.epochs = {epoch.id: epoch for epoch in epochs}
        self.marks: dict[str, dict[int, Ranges]] = {}
        self.kept: dict[str, bytes] = {}

    def keep(self, name: str, value: bytes) -> None:
        self.kept[name] = value

    def save_mark(self, uplink: str, epoch: int, settled: Ranges) -> None:
        self.marks.setdefault(uplink, {})[epoch] = settled.copy()


def held(*lasts: int) -> Held:
    return Held(*(Epoch(id=n, name=f"{n}-x", boot="", last=m) for n, m in enumerate(lasts, 1)))


def cursor(store: Held) -> Cursor:
    return Cursor(store, "center")  # type: ignore[arg-type]


def rows(epoch: int, *seqs: int) -> list[Row]:
    return [
        Row(epoch=epoch, seq=seq, klass="readings", prev=0, t=0, clock="ntp", mono=0, body=b"{}")
        for seq in seqs
    ]


def test_what_was_on_its_way_when_the_link_was_lost_waits_again() -> None:
    store = held(5)
    mine = cursor(store)
    mine.claim(rows(1, 1, 2, 3))
    mine.settle(1, [2])
    assert mine.unclaimed() == [(1, [(4, 5)])]
    assert mine.pending() == 4
    mine.release_all()
    assert mine.unclaimed() == [(1, [(1, 1), (3, 5)])]
    mine.save()
    assert cursor(store).pending() == 4


def test_resend_of_a_closed_epoch_and_beyond_what_is_held() -> None:
    store = held(10, 4)
    store.epochs[1].first = 3
    mine = cursor(store)
    mine.settle(1, range(1, 11))
    mine.settle(2, range(1, 5))
    mine.release_all()
    assert mine.pending() == 0
    assert mine.again(1, 1, 5) == 3
    assert mine.again(1, 11, 99) == 0
    assert mine.again(1, 1, 2) == 0
    assert mine.unclaimed() == [(1, [(3, 5)])]
    assert mine.pending() == 3


def test_an_epoch_that_retention_took_is_forgotten() -> None:
    store = held(10, 4)
    mine = cursor(store)
    mine.settle(1, [1, 2])
    del store.epochs[1]
    assert mine.save() == 0
    assert mine.settled == {}
    assert store.marks == {}
    mine.release(1, [1])
    assert mine.unclaimed() == [(2, [(1, 4)])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["claim", "release", "settle", "again", "skip", "drop", "save"]),
            st.integers(1, 2), st.integers(1, 12), st.integers(0, 4),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_nothing_is_settled_that_was_not_and_nothing_is_forgotten(
    steps: list[tuple[str, int, int, int]],
) -> None:
    store = held(12, 12)
    mine = cursor(store)
    settled: set[tuple[int, int]] = set()
    claimed: set[tuple[int, int]] = set()
    for what, epoch, first, more in steps:
        seqs = range(first, min(12, first + more) + 1)
        these = {(epoch, seq) for seq in seqs}
        match what:
            case "claim":
                mine.claim(rows(epoch, *seqs))
                claimed |= these
            case "release":
                # Only what is on its way, and no broker has it yet, is ever released.
                free = [seq for seq in seqs if (epoch, seq) not in settled]
                mine.release(epoch, free)
                claimed -= {(epoch, seq) for seq in free}
            case "settle":
                mine.claim(rows(epoch, *seqs))
                mine.settle(epoch, seqs)
                settled |= these
                claimed |= these
            case "again":
                assert mine.again(epoch, seqs[0], seqs[-1]) == len(seqs)
                settled -= these
                claimed -= these
            case "skip":
                mine.skip(epoch, seqs[0], seqs[-1])
                settled |= these
                claimed |= these
            case "drop":
                mine.release_all()
                claimed = settled.copy()
            case _:
                mine.save()
                fresh = cursor(store)
                assert fresh.pending() == mine.pending()
        waiting = {
            (epoch, seq)
            for epoch, holes in mine.unclaimed()
            for a, b in holes
            for seq in range(a, b + 1)
        }
        assert waiting == {(e, s) for e in (1, 2) for s in range(1, 13)} - claimed
        assert mine.pending() == 24 - len(settled)


async def test_a_loop_that_appends_is_not_held_up_by_the_writer(tmp_path: Path) -> None:
    """Appending returns at once: no call of it waits for the disk."""
    async with Store.open(tmp_path) as store:
        unit = Unit(store)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await asyncio.sleep(0)
        before = turns
        unit.read(500)
        assert turns == before
        await until(lambda: unit.outbox.epoch.last == 500, "all are committed")
        counting.cancel()
        assert turns > before
