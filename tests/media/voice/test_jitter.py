"""Packets in order, bounded, and no later than the path makes them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agent.media.voice.jitter import DEPTH, HOLD_MAX, LOST, Jitter


def fill(jitter: Jitter, numbers: list[int], start_s: float = 0.0) -> None:
    for index, number in enumerate(numbers):
        at = start_s + index * 0.02
        jitter.put(number & 0xFFFF, number * 960 & 0xFFFFFFFF, bytes([number & 0xFF]), at)


def test_what_comes_out_of_order_is_played_in_order() -> None:
    jitter = Jitter()
    fill(jitter, [10, 12, 11, 13])
    assert [jitter.take() for _ in range(4)] == [b"\x0a", b"\x0b", b"\x0c", b"\x0d"]
    assert jitter.take() is None


def test_the_first_waits_for_the_second() -> None:
    jitter = Jitter()
    fill(jitter, [1])
    assert jitter.take() is None
    fill(jitter, [2])
    assert jitter.take() == b"\x01"


def test_one_that_is_missing_is_lost_and_too_late_afterwards() -> None:
    jitter = Jitter()
    fill(jitter, [1, 2, 4, 5])
    assert [jitter.take() for _ in range(4)] == [b"\x01", b"\x02", LOST, b"\x04"]
    fill(jitter, [3])
    assert (jitter.lost, jitter.late) == (1, 1)
    assert jitter.take() == b"\x05"


def test_numbers_go_round() -> None:
    jitter = Jitter()
    fill(jitter, [65534, 65535, 65536, 65537])
    assert [jitter.take() for _ in range(4)] == [b"\xfe", b"\xff", b"\x00", b"\x01"]
    assert jitter.lost == 0


def test_a_talker_who_begins_anew_far_away_is_heard() -> None:
    jitter = Jitter()
    fill(jitter, [50_000, 50_001])
    assert jitter.take() is not None
    fill(jitter, [7, 8, 9])
    assert jitter.take() == b"\x07"
    assert jitter.take() == b"\x08"


def test_a_path_that_jitters_is_waited_for_and_a_clean_one_is_not() -> None:
    clean, rough = Jitter(), Jitter()
    source = random.Random(1)
    for number in range(200):
        clean.put(number, number * 960, b"x", number * 0.02)
        rough.put(number, number * 960, b"x", number * 0.02 + source.uniform(0, 0.15))
        clean.take()
        rough.take()
    assert clean.depth == DEPTH[0]
    assert DEPTH[0] < rough.depth <= DEPTH[1]


def test_what_has_piled_up_is_caught_up_with() -> None:
    """A talker's clock that is too fast, or a stall of the path, does not stay in the ear."""
    jitter = Jitter()
    fill(jitter, list(range(30)))
    number = 30
    for _ in range(2000):
        jitter.put(number, number * 960, b"x", number * 0.02)
        number += 1
        jitter.take()
    assert jitter.held <= jitter.depth + 5
    assert jitter.dropped >= 20


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(min_size=1, max_size=3)), max_size=300))
def test_whatever_comes_it_holds_no_more_than_a_second(packets: list[tuple[int, bytes]]) -> None:
    jitter = Jitter()
    for index, (number, payload) in enumerate(packets):
        jitter.put(number, index * 960, payload, index * 0.01)
        assert jitter.held <= HOLD_MAX
        if index % 3 == 0:
            jitter.take()
    for _ in range(2000):
        if jitter.take() is None:
            break
    assert jitter.held < DEPTH[1]
