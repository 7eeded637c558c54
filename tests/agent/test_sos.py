"""A call for help, step by step: queued, reached, confirmed; unconfirmed after 60 s."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms import sos
from agent.alarms.sos import Call, CancelCode, Stage

RULES = {"unconfirmed_s": 60.0, "repeat_s": 60.0}


def played(
    reached_at: float | None, until: int = 200, **rules: float
) -> tuple[Call, list[tuple[float, Stage]]]:
    """A call at 0, looked at each half second; what its caller is told, and when."""
    call, told = sos.begin(1, 0.0, silent=False), []
    for step in range(2 * until + 1):
        at = step / 2
        reached = reached_at is not None and at >= reached_at
        call, news = sos.step(call, at, reached=reached, **(RULES | rules))
        told += [(at, stage) for stage in news]
    return call, told


@pytest.mark.parametrize(
    ("reached_at", "expected"),
    [
        # FIELD.md 4.5 repeats until somebody answers; the issue: 60 s, then it says so and repeats
        (2.0, [(2.0, Stage.REACHED), (60.0, Stage.UNCONFIRMED), (120.0, Stage.UNCONFIRMED),
               (180.0, Stage.UNCONFIRMED)]),
        (None, [(60.0, Stage.UNCONFIRMED), (120.0, Stage.UNCONFIRMED), (180.0, Stage.UNCONFIRMED)]),
        (90.0, [(60.0, Stage.UNCONFIRMED), (90.0, Stage.REACHED), (120.0, Stage.UNCONFIRMED),
                (180.0, Stage.UNCONFIRMED)]),
    ],
)  # fmt: skip
def test_what_the_caller_is_told(
    reached_at: float | None, expected: list[tuple[float, Stage]]
) -> None:
    call, told = played(reached_at)
    assert told == expected
    assert call.stage is Stage.UNCONFIRMED


def test_the_repeat_has_its_own_time() -> None:
    _, told = played(None, until=100, unconfirmed_s=30.0, repeat_s=10.0)
    assert [at for at, _ in told] == [30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]


def test_before_it_is_unconfirmed_it_is_queued_or_reached() -> None:
    assert sos.begin(1, 0.0, silent=False).stage is Stage.QUEUED
    call, _ = played(5.0, until=30)
    assert call.stage is Stage.REACHED


def test_it_keeps_the_first_number_and_the_last_ones() -> None:
    call = sos.begin(1, 0.0, silent=False)
    for number in range(100):
        call = sos.numbered(call, (1, number))
    assert call.numbers[0] == (1, 0)
    assert call.numbers[-1] == (1, 99)
    assert len(call.numbers) == sos.KEPT_NUMBERS


def test_a_restart_does_not_begin_the_minute_anew_and_a_reboot_ends_it() -> None:
    call = sos.begin(1, 100.0, silent=False)
    same = sos.restored(call, 150.0, same_boot=True)
    assert sos.step(same, 160.0, reached=False, **RULES)[1] == (Stage.UNCONFIRMED,)
    # A power cut: nobody knows for how long.
    rebooted = sos.restored(call, 3.0, same_boot=False)
    assert sos.step(rebooted, 3.0, reached=False, **RULES)[1] == (Stage.UNCONFIRMED,)


@given(
    times=st.lists(st.floats(0.01, 50.0), max_size=40),
    reached=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_nobody_waits_longer_than_a_minute_for_a_word(
    times: list[float], reached: list[bool]
) -> None:
    call, at, raised = sos.begin(1, 0.0, silent=False), 0.0, 0.0
    was_reached = False
    for wait_s, one in zip(times, reached, strict=False):
        at += wait_s
        was_reached = was_reached or one
        call, news = sos.step(call, at, reached=was_reached, **RULES)
        if Stage.UNCONFIRMED in news:
            raised = at
        assert at - raised < 60.0
        assert call.reached is was_reached


def entered(presses: list[float]) -> str | None:
    """The code that comes of presses at these seconds, looked at each 0.1 s."""
    code = CancelCode()
    code.begin(0.0)
    waiting = list(presses)
    for step in range(300):
        at = step / 10
        while waiting and waiting[0] <= at:
            code.press(waiting.pop(0))
        if (whole := code.tick(at)) is not None:
            return whole
    return None


@pytest.mark.parametrize(
    ("presses", "expected"),
    [
        ([], ""),
        ([1.0], "1"),
        ([1.0, 1.4, 1.9], "3"),
        ([1.0, 1.4, 3.0], "21"),
        ([1.0, 2.3, 3.6], "111"),
        ([1.0, 1.3, 1.6, 3.0, 3.3, 5.0], "321"),
        ([14.0], "1"),
    ],
)
def test_a_code_of_presses(presses: list[float], expected: str) -> None:
    assert entered(presses) == expected


def test_a_code_has_a_ceiling() -> None:
    whole = entered([1.0 + 1.3 * number for number in range(20)])
    assert whole is not None
    assert len(whole) == CancelCode.DIGITS_MAX


def test_nothing_is_entered_before_it_begins() -> None:
    code = CancelCode()
    assert code.tick(100.0) is None
    assert not code.entering
