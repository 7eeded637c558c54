"""How much a link may carry, and in how much detail: against links and days made of arithmetic."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.allowance import Allowance
from agent.delivery.budget import BURST_BYTES, DAY_MS, Bucket, Budget, Spent
from agent.delivery.detail import (
    COARSER_S,
    COARSEST,
    FINER_S,
    MARGIN,
    PERIODS_S,
    Demand,
    Detail,
)

DAY = 20_000
NOON = DAY * DAY_MS + DAY_MS // 2


# -- a day's budget ------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, DAY_MS // 3)), max_size=50))
def test_every_byte_is_counted_on_one_day(passed: list[tuple[int, int]]) -> None:
    budget, now, over = Budget(10**7), NOON, []
    for count, step in passed:
        now += step
        if (done := budget.spend(count, now, known=True)) is not None:
            over.append(done)
    days = [one.day for one in over]
    assert days == sorted(set(days))
    total = sum(one.bytes for one in over) + budget.spent.bytes
    assert total == sum(count for count, _ in passed)


def test_a_clock_that_nobody_has_set_gives_no_new_day_by_going_back() -> None:
    budget = Budget(1000)
    budget.spend(900, NOON, known=True)
    assert budget.spend(50, NOON - 3 * DAY_MS, known=False) is None
    assert budget.spent == Spent(day=DAY, bytes=950)
    # One that is right, and says that it was wrong before.
    assert budget.spend(1, NOON - 3 * DAY_MS, known=True) == Spent(day=DAY, bytes=950)
    assert budget.spent == Spent(day=DAY - 3, bytes=1)


def test_a_budget_is_spread_over_what_is_left_of_the_day() -> None:
    budget = Budget(43_200_000)
    budget.spend(0, NOON, known=True)
    assert budget.pace(NOON) == pytest.approx(900.0)
    budget.spend(43_200_000, NOON, known=True)
    assert budget.pace(NOON) == 0.0
    budget.spend(0, NOON + DAY_MS, known=True)
    assert budget.pace(NOON + DAY_MS) == pytest.approx(900.0)
    assert Budget(0).pace(NOON) == float("inf")


@given(
    st.floats(100, 1e6),
    st.lists(st.tuples(st.integers(1, 20_000), st.floats(0, 3)), min_size=1, max_size=200),
)
def test_a_rate_is_kept(rate: float, wanted: list[tuple[int, float]]) -> None:
    bucket, now, sent, largest = Bucket(rate, 0.0), 0.0, 0, 0
    for size, step in wanted:
        now += step
        if bucket.free(now) > 0:
            bucket.take(size)
            sent += size
            largest = max(largest, size)
    assert sent <= max(rate, BURST_BYTES) + rate * now + largest + 1


# -- the detail ----------------------------------------------------------------------------------


def drive(detail: Detail, demand: Demand, available: float, start: int, seconds: int) -> list[int]:
    levels = []
    for second in range(start, start + seconds):
        detail.look(demand, available, float(second))
        levels.append(detail.level)
    return levels


def test_it_goes_where_it_is_affordable_and_comes_back_a_step_at_a_time() -> None:
    detail, demand = Detail(), Demand(full=10_000.0, series=10)
    levels = drive(detail, demand, 300.0, 0, 60)
    assert levels[: int(COARSER_S)] == [0] * int(COARSER_S)
    assert demand.of(levels[-1]) <= 300.0 < demand.of(levels[-1] - 1)
    back = drive(detail, demand, float("inf"), 60, 200)
    assert back == sorted(back, reverse=True)
    assert back[-1] == 0
    assert back.count(levels[-1]) >= FINER_S


def test_what_cannot_be_afforded_at_all_still_goes_each_minute() -> None:
    detail = Detail()
    assert drive(detail, Demand(full=1000.0, series=5), 0.0, 0, 100)[-1] == COARSEST


def test_at_the_edge_it_does_not_flutter() -> None:
    """The link says nothing of itself but when too much is asked of it."""
    detail, demand = Detail(), Demand(full=1000.0, series=3)
    levels = []
    for second in range(7200):
        congested = detail.level == 0
        detail.look(demand, 600.0 if congested else float("inf"), float(second))
        levels.append(detail.level)
    changes = [b for a, b in itertools.pairwise(levels) if a != b]
    assert len(changes) < 2 * 7200 / 240
    assert 1 in levels[-1000:]


@given(
    st.floats(0, 1e5), st.integers(1, 100), st.lists(st.floats(0, 1e5), min_size=1, max_size=300)
)
def test_it_is_never_coarser_than_what_was_too_dear_and_never_leaves_its_bounds(
    full: float, series: int, available: list[float]
) -> None:
    detail, demand, before = Detail(), Demand(full=full, series=series), 0
    for second, one in enumerate(available):
        detail.look(demand, one, float(second))
        assert 0 <= detail.level < len(PERIODS_S)
        if detail.level > before:
            assert demand.of(before) > one
        if detail.level < before:
            assert demand.of(detail.level) <= MARGIN * one
        before = detail.level


# -- both together -------------------------------------------------------------------------------


@pytest.mark.parametrize(("mb", "records_s"), [(20.0, 10.0), (50.0, 5.0), (5.0, 50.0)])
def test_a_day_on_a_budget_is_never_blind_and_keeps_to_it(mb: float, records_s: float) -> None:
    """Live readings as its detail has them, history with all the room that it gives."""
    allowance = Allowance(0.0, round(mb * 1e6), Spent(day=DAY), 0.0)
    live = history = 0.0
    demand = Demand(full=350.0 * records_s, series=12)
    for second in range(86_400):
        now, now_ms = float(second), DAY * DAY_MS + 1000 * second
        size = round(demand.of(allowance.detail.level))
        allowance.charge(size, history=False)
        live += size
        room = round(allowance.history_room(now))
        allowance.charge(room, history=True)
        history += room
        allowance.measured(size + room, 0, now_ms, known=True)
        allowance.look(demand, 0.0, 0.0, now, now_ms)
    assert 0.5 * mb * 1e6 < live + history <= mb * 1e6
    assert history > 0


def test_what_was_asked_for_is_not_held_back_by_a_budget_that_is_spent() -> None:
    allowance = Allowance(64.0, 1000, Spent(), 0.0)
    allowance.measured(5000, 0, NOON, known=True)
    allowance.look(Demand(full=100.0, series=1), 0.0, 0.0, 10.0, NOON)
    allowance.charge(BURST_BYTES, history=True)
    assert allowance.history_room(20.0) == 0
    assert allowance.history_room(20.0, asked=True) > 0


def test_live_records_that_wait_without_an_end_thin_themselves() -> None:
    allowance = Allowance(0.0, 0, Spent(), 0.0)
    demand = Demand(full=2000.0, series=4)
    for second in range(20):
        allowance.look(demand, float(second), 1000.0, float(second), NOON)
    assert allowance.detail.level > 0
