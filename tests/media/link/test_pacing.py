"""Packets leave at a rate, whatever comes in one go."""

from __future__ import annotations

from agent.media.link.pacing import Pacer


def sent(pacer: Pacer, size: int, seconds: float) -> list[float]:
    """When packets leave that are all there from the start."""
    now, times = 0.0, []
    while now < seconds:
        if wait_s := pacer.wait_s(size, now):
            now += wait_s
        else:
            times.append(now)
    return times


def test_a_burst_leaves_at_once_and_the_rest_at_the_rate() -> None:
    times = sent(Pacer(800, 5000), 1000, 2.0)
    assert times[:5] == [0.0] * 5
    rate = (len(times) - 6) * 8 / 2.0
    assert 780 < rate < 830


def test_a_pause_is_not_made_up_for_by_more_than_a_burst() -> None:
    pacer = Pacer(800, 3000)
    sent(pacer, 1000, 1.0)
    burst = 0
    while not pacer.wait_s(1000, 100.0):
        burst += 1
    assert burst == 3
