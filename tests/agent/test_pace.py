"""How much may be on its way, against a link that is simulated by arithmetic."""

from __future__ import annotations

import pytest

from agent.delivery.pace import FEWEST, FIRST, MOST, SLACK_S, Pace

RECORD = 200
"""Bytes."""


def drive(pace: Pace, rate: float, rtt_s: float, seconds: float) -> list[float]:
    """A link that takes `rate` bytes a second and answers after `rtt_s`, always kept full; the
    delay of each message."""
    now, free_at, under_way = 0.0, 0.0, list[tuple[float, float, int]]()
    weight, delays = 0, []
    while now < seconds:
        while weight < pace.limit:
            count = min(100 * RECORD, pace.limit // 2, pace.limit - weight)
            free_at = max(now, free_at) + count / rate
            under_way.append((free_at + rtt_s, now, count))
            weight += count
        back_at, sent_at, count = under_way.pop(0)
        now = back_at
        pace.acknowledged(count, weight, sent_at, now)
        weight -= count
        delays.append(now - sent_at)
    return delays


@pytest.mark.parametrize(
    ("rate", "rtt_s"), [(4e3, 0.05), (2e4, 0.6), (2e5, 0.6), (1e6, 0.01), (1e4, 3.0)]
)
def test_a_queue_of_our_own_making_stays_short_and_the_link_full(rate: float, rtt_s: float) -> None:
    pace = Pace()
    delays = drive(pace, rate, rtt_s, 300.0)
    late = delays[len(delays) // 4 :]
    assert max(late) <= 2.5 * rtt_s + 2.0
    assert pace.limit >= min(rate * rtt_s, MOST) / 4


def test_a_fast_link_opens_up() -> None:
    pace = Pace()
    drive(pace, 2e8, 0.05, 30.0)
    assert pace.limit == MOST


def test_it_never_closes_altogether() -> None:
    pace = Pace()
    pace.acknowledged(1, pace.limit, 0.0, 0.01)
    for second in range(1, 20):
        pace.acknowledged(10 * RECORD, pace.limit, 100.0 * second, 100.0 * second + 29.0)
    assert pace.limit >= FEWEST


def test_one_flight_that_was_slow_halves_once() -> None:
    pace = Pace()
    pace.acknowledged(1, 1, 0.0, 0.01)
    for _ in range(5):
        pace.acknowledged(10 * RECORD, pace.limit, 1.0, 3.0 + SLACK_S)
    assert pace.limit == FIRST // 2


def test_a_limit_that_nobody_came_near_does_not_grow() -> None:
    pace = Pace()
    for second in range(1000):
        pace.acknowledged(1, 1, float(second), second + 0.01)
    assert pace.limit == FIRST


def test_a_link_that_has_become_slower_is_learnt_anew() -> None:
    pace = Pace()
    drive(pace, 2e5, 0.02, 60.0)
    slow = Pace.__new__(Pace)
    slow.__dict__.update(pace.__dict__)
    now = 1000.0
    for _ in range(200):
        # Always answered after 2 s, however little is under way: no queue of ours.
        slow.acknowledged(10 * RECORD, slow.limit, now, now + 2.0)
        now += 1.0
    assert slow.limit > FIRST


def test_a_way_that_has_become_longer_halves_once() -> None:
    """Few readings on a satellite's way: the limit must not close around what is in flight."""
    pace = Pace()
    now = 0.0
    # A thin link has closed it, and a wide one since then has not needed more.
    for delay_s in (0.02, 2.0, 1.0, 0.5):
        pace.acknowledged(RECORD, pace.limit, now, now + delay_s)
        now += 3.0
    for _ in range(100):
        pace.acknowledged(RECORD, RECORD, now, now + 0.02)
        now += 0.125
    assert pace.limit < FIRST // 2
    for _ in range(40):
        pace.acknowledged(RECORD, 5 * RECORD, now, now + 0.6)
        now += 0.125
    assert pace.limit >= FIRST
    assert pace.best_s == pytest.approx(0.6)
    # It is short again: that shows at once.
    pace.acknowledged(RECORD, RECORD, now, now + 0.02)
    assert pace.best_s == pytest.approx(0.02)


def test_half_of_it_is_enough_to_grow() -> None:
    """The history lane by itself never uses more."""
    pace = Pace()
    for number in range(100):
        half = pace.limit // 2
        pace.acknowledged(min(100 * RECORD, half), half, float(number), number + 0.01)
    assert pace.limit > 50 * FIRST
