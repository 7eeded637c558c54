from __future__ import annotations

import pytest

from agent.drill.route import Ending, Route


def test_a_loop_goes_round_and_round() -> None:
    route = Route([(0, 0), (0, 10), (10, 10), (10, 0)], 2.0, Ending.LOOP)
    assert route.period_s == pytest.approx(20)
    middle = route.at(2.5)
    assert (middle.east_m, middle.north_m) == pytest.approx((0, 5))
    assert (middle.speed_m_s, middle.track_deg) == pytest.approx((2, 0))
    assert route.at(7.5).track_deg == pytest.approx(90)
    home = route.at(17.5)
    assert (home.east_m, home.north_m, home.track_deg) == pytest.approx((5, 0, 270))
    assert route.at(22.5) == middle


def test_a_unit_waits_where_it_is_told_to() -> None:
    route = Route([(0, 0, 5), (0, 10)], 1.0, Ending.LOOP)
    assert route.at(4.9).speed_m_s == 0.0
    assert route.at(4.9).north_m == 0.0
    assert route.at(6.0).north_m == pytest.approx(1.0)
    assert route.period_s == pytest.approx(25)


def test_there_and_back() -> None:
    route = Route([(0, 0), (0, 10, 3), (5, 10)], 1.0, Ending.RETURN)
    assert route.at(20.5).north_m == pytest.approx(10)
    assert route.at(10.0).speed_m_s == 0.0
    back = route.at(route.period_s - 1.0)
    assert (back.north_m, back.track_deg) == pytest.approx((1.0, 180.0))


def test_at_the_end_it_stays() -> None:
    route = Route([(0, 0), (0, 10)], 1.0, Ending.STAY)
    there = route.at(1e6)
    assert (there.east_m, there.north_m, there.speed_m_s) == pytest.approx((0, 10, 0))


@pytest.mark.parametrize("ending", list(Ending))
def test_a_single_point_is_a_post(ending: Ending) -> None:
    post = Route([(3, 4)], 1.0, ending).at(77.0)
    assert (post.east_m, post.north_m, post.speed_m_s) == (3, 4, 0)


@pytest.mark.parametrize("ending", list(Ending))
def test_nobody_jumps(ending: Ending) -> None:
    route = Route([(0, 0, 2), (7, 3), (-4, 9, 1), (2, -8)], 1.5, ending)
    before = route.at(0.0)
    for tenth in range(1, 2000):
        now = route.at(tenth / 10)
        moved = ((now.east_m - before.east_m) ** 2 + (now.north_m - before.north_m) ** 2) ** 0.5
        assert moved <= 0.15 + 1e-9
        before = now
