"""What the estimate does on links whose truth is known."""

from __future__ import annotations

import pytest

from agent.media.link.estimator import START_KBIT_S, Estimator, Result, is_swamped
from tests.media.link.synthetic import Moment, SyntheticLink


def between(moments: list[Moment], start: float, end: float) -> list[Moment]:
    return [m for m in moments if start <= m.t < end]


def mean(moments: list[Moment]) -> float:
    return sum(m.estimate for m in moments) / len(moments)


@pytest.mark.parametrize("kbit_s", [256, 1000, 2000])
@pytest.mark.parametrize("delay_s", [0.01, 0.3])
def test_it_finds_the_rate_and_keeps_the_queue_short(kbit_s: float, delay_s: float) -> None:
    moments = SyntheticLink((0, kbit_s), delay_s=delay_s).run(60)
    settled = between(moments, 25, 60)
    assert 0.65 * kbit_s < mean(settled) < 1.05 * kbit_s
    queues = sorted(m.queue_s for m in settled)
    assert queues[int(len(queues) * 0.95)] < 0.3


@pytest.mark.parametrize("delay_s", [0.02, 0.3])
@pytest.mark.parametrize("less", [256, 64])
def test_a_link_that_narrows_is_followed_within_five_seconds(less: float, delay_s: float) -> None:
    moments = SyntheticLink((0, 2000), (15, less), delay_s=delay_s).run(40)
    assert mean(between(moments, 10, 15)) > 1200
    after = between(moments, 20, 40)
    assert mean(after) < 1.1 * less
    assert mean(after) > 0.4 * less
    assert min(m.estimate for m in after) > 0.25 * less  # no panic
    assert max(m.queue_s for m in between(moments, 20, 25)) < 0.4  # what had piled up is gone


def test_a_link_that_widens_is_followed() -> None:
    moments = SyntheticLink((0, 256), (15, 2000)).run(40)
    assert mean(between(moments, 10, 15)) < 300
    assert mean(between(moments, 30, 40)) > 1200


@pytest.mark.parametrize("delay_s", [0.02, 0.3])
def test_random_loss_of_a_twentieth_is_no_congestion(delay_s: float) -> None:
    moments = SyntheticLink((0, 1500), loss=0.05, delay_s=delay_s).run(60)
    assert mean(between(moments, 30, 60)) > 0.6 * 1500


def test_heavy_loss_is_congestion() -> None:
    moments = SyntheticLink((0, 2000), loss=0.25).run(20)
    assert moments[-1].estimate < START_KBIT_S


def test_jitter_alone_does_not_starve_it() -> None:
    moments = SyntheticLink((0, 2000), jitter_s=0.03).run(40)
    assert mean(between(moments, 20, 40)) > 1200


def test_a_way_that_becomes_longer_is_no_queue_for_ever() -> None:
    link = SyntheticLink((0, 1000))
    link.longer = (15.0, 0.28)
    moments = link.run(40)
    assert mean(between(moments, 28, 40)) > 600


def test_a_path_that_says_nothing_any_more_is_given_less_and_less() -> None:
    link = SyntheticLink((0, 2000))
    link.run(5)
    before = link.estimator.kbit_s
    for n in range(30):
        link.estimator.silence(n * 0.1, 5 + n * 0.1)
    assert link.estimator.kbit_s < before / 8


def test_another_path_is_given_time_to_be_heard_of_and_then_no_more() -> None:
    link = SyntheticLink((0, 2000))
    link.run(5)
    before = min(link.estimator.kbit_s, 800.0)
    link.estimator.silence(1.5, 6.0)
    link.estimator.moved(6.1)
    assert link.estimator.kbit_s >= before
    link.estimator.silence(3.0, 9.0)
    assert link.estimator.kbit_s >= before
    given = link.estimator.kbit_s
    link.estimator.silence(4.5, 10.6)
    assert link.estimator.kbit_s < given


def narrowed() -> SyntheticLink:
    """Has just been found to bear much less."""
    link = SyntheticLink((0, 2000), (5, 64))
    for moment in link.run(5.6):
        if link.estimator.pause_until > moment.t:
            break
    return link


def test_pictures_stand_still_until_a_queue_has_drained() -> None:
    assert 5.0 < narrowed().estimator.pause_until < 6.5


def test_a_pause_of_ours_is_no_silence_of_the_path() -> None:
    estimator = narrowed().estimator
    before = estimator.kbit_s
    estimator.silence(3.0, estimator.pause_until + 0.1)
    assert estimator.kbit_s == before
    estimator.silence(3.0, estimator.pause_until + 3.0)
    assert estimator.kbit_s < before


def test_where_the_way_is_long_and_lossy_it_says_so_and_only_there() -> None:
    for delay_s, loss, expected in ((0.3, 0.05, True), (0.3, 0.0, False), (0.02, 0.05, False)):
        link = SyntheticLink((0, 512), delay_s=delay_s, loss=loss)
        link.run(40)
        assert link.estimator.is_lossy_and_far is expected


def test_receiver_reports_and_remb_serve_where_nothing_better_comes() -> None:
    estimator = Estimator(800, 3000)
    for n in range(10):
        estimator.report(0.0, 0.05, float(n))
    assert estimator.kbit_s > 800
    grown = estimator.kbit_s
    estimator.report(0.3, 0.05, 10.0)
    assert estimator.kbit_s < grown * 0.9
    estimator.remb(300)
    assert estimator.kbit_s == 300
    estimator.remb(5000)
    assert estimator.kbit_s == 300  # a limit, not a wish


def test_it_never_leaves_its_bounds() -> None:
    estimator = Estimator(800, 500)
    estimator.report(0.0, 0.05, 1.0)
    assert estimator.kbit_s == 500
    for n in range(60):
        estimator.report(1.0, 0.05, 2.0 + n)
    assert estimator.kbit_s == 10


def came(every_s: float, count: int = 6, size: int = 1200) -> list[Result]:
    """Packets of one burst, as far apart as the link made them."""
    return [Result(1.0, size, 50.0 + n * every_s) for n in range(count)]


def test_a_link_that_takes_half_of_what_comes_is_told_from_a_burst_and_from_jitter() -> None:
    growing = [5.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0]
    assert is_swamped(came(1200 / 125 / 256), growing, 2000.0)
    # A keyframe queues for as long, but comes at the link's rate.
    assert not is_swamped(came(1200 / 125 / 2000), growing, 2000.0)
    # One packet was late, and the others made up for it.
    assert not is_swamped(came(0.03), [5.0, 150.0, 120.0, 90.0, 80.0, 75.0, 70.0], 2000.0)
    # Too few to say.
    assert not is_swamped(came(0.06, count=2), [5.0, 40.0, 100.0], 2000.0)


def test_what_a_full_queue_drops_makes_no_way_a_lossy_one() -> None:
    link = SyntheticLink((0, 2000), (15, 256), delay_s=0.3)
    link.run(25)
    assert link.lost > 10
    assert not link.estimator.is_lossy_and_far
