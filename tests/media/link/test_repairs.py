"""Some packets are sent again; where it would take too long a keyframe is better."""

from __future__ import annotations

from agent.media.link.copies import Kept
from agent.media.link.repairs import FORGET_S, Repairs


def packets(first: int, count: int) -> list[Kept]:
    return [Kept(seq, 0, False, bytes(1000)) for seq in range(first, first + count)]


def test_what_is_more_than_a_keyframe_is_not_worth_it() -> None:
    repairs = Repairs()
    repairs.keyframe_bytes = 5000
    assert repairs.asked(packets(0, 5), 1.0)
    # Being asked for it again makes it no more.
    assert repairs.asked(packets(0, 5), 1.2)
    assert not repairs.asked(packets(5, 1), 1.3)


def test_what_was_sent_again_or_forgotten_or_given_up_is_lacking_no_more() -> None:
    repairs = Repairs()
    repairs.keyframe_bytes = 5000
    repairs.asked(packets(0, 5), 1.0)
    assert repairs.are_due(1.05)
    for seq in range(5):
        repairs.sent(seq, 1.1)
    assert not repairs.are_due(1.15)
    assert repairs.asked(packets(5, 5), 1.2)
    assert repairs.are_due(1.25)
    assert not repairs.are_due(1.25 + FORGET_S)
    assert repairs.asked(packets(10, 5), 1.3 + FORGET_S)
    repairs.give_up()
    assert not repairs.are_due(1.3 + FORGET_S)
    assert repairs.asked(packets(15, 5), 1.4 + FORGET_S)


def test_nothing_is_sent_again_twice_within_a_round_trip() -> None:
    repairs = Repairs()
    assert repairs.is_due(5, 0.3, 1.0)
    repairs.sent(5, 1.0)
    assert not repairs.is_due(5, 0.3, 1.2)
    assert repairs.is_due(5, 0.3, 1.4)
