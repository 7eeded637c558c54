"""Packets that are sent twice, and probes: what a viewer's link is asked to carry."""

from __future__ import annotations

import time

from agent.media.link.copies import AFTER_S, MAX_WAITING, Copies, Kept
from agent.media.link.link import PROBE_FACTOR, Link


def kept(seq: int) -> Kept:
    return Kept(seq, 0, False, b"x")


async def test_a_copy_follows_a_while_after_its_packet_and_in_its_order() -> None:
    copies = Copies()
    began = time.monotonic()
    copies.add(kept(1))
    copies.add(kept(2))
    assert [(await copies.get()).seq, (await copies.get()).seq] == [1, 2]
    assert time.monotonic() - began >= AFTER_S


async def test_copies_that_cannot_leave_do_not_pile_up() -> None:
    copies = Copies()
    for seq in range(MAX_WAITING + 50):
        copies.add(kept(seq))
    got = [(await copies.get()).seq for _ in range(MAX_WAITING)]
    assert got == list(range(MAX_WAITING))
    copies.add(kept(999))
    assert (await copies.get()).seq == 999


def due_after(link: Link, since: float) -> float:
    """In tenths of a second."""
    return next(n / 10 for n in range(1, 200) if link.probe_is_due(3000, since + n / 10))


def test_a_probe_that_comes_through_is_followed_by_another_and_one_that_does_not_by_rest() -> None:
    now = 10.0
    link = Link(3000, 0.0)
    link.estimator.feedback_at, link.estimator.kbit_s = now, 100
    usual_s = due_after(link, now - 10)
    assert link.probing(4, now) == 100 * PROBE_FACTOR
    without_answer_s = due_after(link, now)
    assert without_answer_s > usual_s
    for n in range(4):
        seq = link.number(1000, now + n * 0.03)
        if link._probe is not None:
            link._judge(link._probe, seq, 1000, 500 + n * 0.03, now + 0.2)
    assert link.estimator.kbit_s > 200
    assert due_after(link, now) < without_answer_s / 2


def test_after_a_cut_what_was_too_much_before_is_forgotten() -> None:
    now = 10.0
    link = Link(3000, 0.0)
    link.estimator.feedback_at, link.estimator.kbit_s = now, 100
    for n in range(4):
        link.probing(4, now + n)
    seldom_s = due_after(link, now + 3)
    link.estimator.cut_at = now + 3.5
    assert due_after(link, now + 3.5) < seldom_s
