"""Ranges against a set of whole numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.ranges import Ranges

EDGE = 40
NUMBERS = st.integers(-3, EDGE)
STEPS = st.lists(st.tuples(st.booleans(), NUMBERS, NUMBERS), max_size=30)


def built(steps: list[tuple[bool, int, int]]) -> tuple[Ranges, set[int]]:
    ranges, numbers = Ranges(), set[int]()
    for adds, first, last in steps:
        these = set(range(first, last + 1))
        if adds:
            ranges.add(first, last)
            numbers |= these
        else:
            ranges.remove(first, last)
            numbers -= these
    return ranges, numbers


@given(STEPS)
def test_it_holds_what_a_set_holds(steps: list[tuple[bool, int, int]]) -> None:
    ranges, numbers = built(steps)
    assert {n for first, last in ranges for n in range(first, last + 1)} == numbers
    assert ranges.count() == len(numbers)
    assert all((n in ranges) == (n in numbers) for n in range(-5, EDGE + 5))


@given(STEPS)
def test_ranges_are_in_order_and_never_touch(steps: list[tuple[bool, int, int]]) -> None:
    ranges, _ = built(steps)
    pairs = list(ranges)
    assert all(first <= last for first, last in pairs)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(pairs))
    assert len(ranges) == len(pairs)


@given(STEPS, NUMBERS, NUMBERS)
def test_holes_are_what_is_lacking(
    steps: list[tuple[bool, int, int]], first: int, last: int
) -> None:
    ranges, numbers = built(steps)
    holes = list(ranges.holes(first, last))
    lacking = [n for a, b in holes for n in range(a, b + 1)]
    assert lacking == [n for n in range(first, last + 1) if n not in numbers]
    assert all(a <= b for a, b in holes)


@given(STEPS)
def test_a_copy_goes_its_own_way(steps: list[tuple[bool, int, int]]) -> None:
    ranges, numbers = built(steps)
    twin = ranges.copy()
    assert twin == ranges == Ranges(list(ranges))
    twin.add(-10, EDGE + 10)
    assert ranges.count() == len(numbers)
    assert twin != ranges


def test_a_long_run_is_one_range() -> None:
    ranges = Ranges()
    for number in range(1, 10_001):
        ranges.add(number, number)
    assert list(ranges) == [(1, 10_000)]
    assert repr(ranges) == "Ranges([(1, 10000)])"
