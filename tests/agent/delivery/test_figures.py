"""What a unit says of its outbox: depth, age, size, and what it had to give up."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import UnitClock
from agent.delivery.cursor import Cursor
from agent.delivery.figures import Figures
from agent.delivery.retention import Deleted
from agent.delivery.rows import Row
from agent.messages import Class
from agent.store import Store
from agent.store import store as rooms

AGE_MS = 90_000


async def _held(store: Store, clock: UnitClock, count: int) -> int:
    epoch = store.begin_epoch("1000-ab", clock.boot)

    def done(row: Row) -> None:
        epoch.last = max(epoch.last, row.seq)

    for seq in range(1, count + 1):
        row = Row(
            epoch=epoch.id, seq=seq, klass=Class.READINGS, prev=seq - 1, clock="ntp", mono=0,
            t=clock.now_ms() - AGE_MS + 1000 * seq, body=b'{"source":"gas1"}',
        )  # fmt: skip
        store.append(row, urgent=False, done=done)
    await store.flush()
    return epoch.id


async def test_depth_age_and_size_follow_what_waits(tmp_path: Path) -> None:
    clock = UnitClock()
    async with Store.open(tmp_path) as store:
        epoch = await _held(store, clock, 10)
        cursor, figures = Cursor(store, "center"), Figures(store, clock)
        await figures.look([cursor])
        whole = figures.status(cursor)
        assert whole.depth == 10
        assert AGE_MS / 1000 - 1 <= whole.oldest_s < AGE_MS / 1000 + 60
        assert whole.bytes >= 4096
        cursor.settle(epoch, range(1, 6))
        await figures.look([cursor])
        half = figures.status(cursor)
        assert half.depth == 5
        assert whole.oldest_s - 5 <= half.oldest_s <= whole.oldest_s + 60 - 5
        cursor.settle(epoch, range(6, 11))
        # What is looked at now and then is never said of nothing.
        assert figures.status(cursor).oldest_s == 0
        assert figures.status(cursor).depth == 0


async def test_what_is_given_up_is_counted_by_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = UnitClock()
    monkeypatch.setattr(rooms, "WAITING_MAX", 0)
    async with Store.open(tmp_path) as store:
        figures, cursor = Figures(store, clock), Cursor(store, "center")
        await _held(store, clock, 3)
        gone = Deleted(epoch="1000-ab", first=1, last=9, reason="size", klass=Class.EVENTS, count=7)
        figures.deleted(gone)
        figures.deleted(Deleted(epoch="1000-ab", first=1, last=9, reason="age"))
        assert figures.status(cursor).dropped == {"readings": 3, "events": 7}
