"""Pictures make way for alarms and readings, and come back."""

from __future__ import annotations

from agent.delivery.share import DOWN_S, LEAST_KBIT_S, UP_S, Share


def test_nothing_is_limited_while_acknowledgements_come_in_time() -> None:
    share = Share()
    assert [share.look(0.1, 1500, n * 0.25) for n in range(40)] == [0] * 40


def test_late_acknowledgements_halve_it_step_by_step_down_to_a_thin_picture() -> None:
    share = Share()
    seen = [share.look(2.0 + n * 0.5, 1500, n * DOWN_S) for n in range(8)]
    assert seen[:3] == [750, 375, 188]
    assert seen[-1] == LEAST_KBIT_S


def test_one_step_must_show_its_effect_before_the_next() -> None:
    share = Share()
    assert share.look(2.0, 1000, 0.0) == 500
    assert share.look(2.0, 1000, DOWN_S / 2) == 500


def test_it_grows_until_there_is_no_limit_and_holds_in_between() -> None:
    share = Share()
    share.look(2.0, 400, 0.0)
    assert share.look(0.5, 200, DOWN_S) == 200
    seen = [share.look(0.0, 200, DOWN_S + (n + 1) * UP_S) for n in range(12)]
    assert seen[:2] == [400, 800]
    assert seen[-1] == 0


def test_a_way_that_has_become_longer_takes_nothing_from_pictures_for_ever() -> None:
    """600 ms instead of 40: messages are under way for any time up to that."""
    share = Share()
    late = [(n % 4) * 0.2 for n in range(400)]
    seen = [share.look(0.9 if n < 4 else late[n], 1500, n * 0.25) for n in range(400)]
    assert seen[0] == 750
    assert seen[100:] == [0] * 300


def test_without_pictures_nothing_is_taken_from_them() -> None:
    assert Share().look(9.0, 0, 0.0) == 0
