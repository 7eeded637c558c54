"""Pictures make way for alarms and readings, and come back."""

from __future__ import annotations

from agent.delivery.share import LEAST_KBIT_S, STEP_S, Share


def test_nothing_is_limited_while_acknowledgements_come_in_time() -> None:
    share = Share()
    assert [share.look(0.1, 1500, n * 0.25) for n in range(40)] == [0] * 40


def test_late_acknowledgements_halve_it_step_by_step_down_to_a_thin_picture() -> None:
    share = Share()
    seen = [share.look(2.0, 1500, n * STEP_S) for n in range(8)]
    assert seen[:3] == [750, 375, 188]
    assert seen[-1] == LEAST_KBIT_S


def test_one_step_must_show_its_effect_before_the_next() -> None:
    share = Share()
    assert share.look(2.0, 1000, 0.0) == 500
    assert share.look(2.0, 1000, STEP_S / 2) == 500


def test_it_grows_until_there_is_no_limit_and_holds_in_between() -> None:
    share = Share()
    share.look(2.0, 400, 0.0)
    assert share.look(0.5, 200, STEP_S) == 200
    seen = [share.look(0.0, 200, (n + 2) * STEP_S) for n in range(12)]
    assert seen[:2] == [300, 450]
    assert seen[-1] == 0


def test_without_pictures_nothing_is_taken_from_them() -> None:
    assert Share().look(9.0, 0, 0.0) == 0
