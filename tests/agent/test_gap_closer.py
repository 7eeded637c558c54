"""When a gap is asked for."""

from __future__ import annotations

from agent.center.gap_closer import MAX_ASKED, PATIENCE_S, PIECE, QUESTIONS, RETRY_S, GapCloser
from agent.center.receiver import Gap

EPOCH = "1700000000000-aaaa"


def test_a_young_gap_is_left_alone_and_an_old_one_asked_for() -> None:
    closer = GapCloser()
    gap = Gap(EPOCH, 3, 5)
    assert closer.due([gap], 10.0) == []
    assert closer.due([gap], 10.0 + PATIENCE_S - 0.1) == []
    assert closer.due([gap], 10.0 + PATIENCE_S) == [gap]
    assert closer.due([gap], 10.0 + PATIENCE_S + RETRY_S - 0.1) == []
    assert closer.due([gap], 10.0 + PATIENCE_S + RETRY_S) == [gap]


def test_a_gap_that_shrinks_is_being_filled() -> None:
    closer = GapCloser()
    for step in range(20):
        assert closer.due([Gap(EPOCH, 1 + step, 100)], float(step)) == []
    assert closer.due([Gap(EPOCH, 20, 100)], 22.0) == [Gap(EPOCH, 20, 100)]


def test_a_wide_gap_is_asked_for_in_pieces() -> None:
    closer = GapCloser()
    wide = Gap(EPOCH, 11, 1_000_000)
    closer.due([wide], 0.0)
    assert closer.due([wide], PATIENCE_S) == [Gap(EPOCH, 11, 10 + PIECE)]


def test_questions_are_few_and_every_gap_gets_its_turn() -> None:
    closer = GapCloser()
    gaps = [Gap(EPOCH, n, n) for n in range(2, 2 + 6 * QUESTIONS, 2)]
    closer.due(gaps, 0.0)
    asked: list[Gap] = []
    for call in range(3):
        now = closer.due(gaps, PATIENCE_S + call)
        assert len(now) <= QUESTIONS
        asked += now
    assert asked == gaps


def test_what_never_comes_is_asked_for_no_more() -> None:
    closer = GapCloser()
    gap = Gap(EPOCH, 1, 1)
    asked = sum(len(closer.due([gap], float(second))) for second in range(3600))
    assert asked == MAX_ASKED
