"""Sets of whole numbers kept as ranges: small however long a run of numbers is.  Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Self


class Ranges:
    """Disjoint, ordered, never touching ranges; both ends belong to a range."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in pairs:
            self.add(first, last)

    def copy(self) -> Self:
        twin = type(self)()
        twin._firsts = self._firsts.copy()
        twin._lasts = self._lasts.copy()
        return twin

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __len__(self) -> int:
        """How many ranges (not how many numbers)."""
        return len(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

    def count(self) -> int:
        """How many numbers."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def add(self, first: int, last: int) -> None:
        """All of first..last; nothing where first > last."""
        if first > last:
            return
        left = bisect_right(self._lasts, first - 2)
        right = bisect_right(self._firsts, last + 1)
        if left < right:
            first = min(first, self._firsts[left])
            last = max(last, self._lasts[right - 1])
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]

    def remove(self, first: int, last: int) -> None:
        """None of first..last."""
        if first > last:
            return
        left = bisect_right(self._lasts, first - 1)
        right = bisect_right(self._firsts, last)
        rest = [
            (a, b)
            for a, b in (
                (self._firsts[left], first - 1),
                (last + 1, self._lasts[right - 1]),
            )
            if a <= b
        ] if left < right else []  # fmt: skip
        self._firsts[left:right] = [a for a, _ in rest]
        self._lasts[left:right] = [b for _, b in rest]

    def holes(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """What first..last lacks, in order."""
        place = bisect_right(self._lasts, first - 1)
        while first <= last:
            if place >= len(self._firsts) or self._firsts[place] > last:
                yield first, last
                return
            if first < self._firsts[place]:
                yield first, self._firsts[place] - 1
            first = self._lasts[place] + 1
            place += 1
