"""What one uplink's broker has acknowledged, and what is on its way to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agent.delivery.ranges import Ranges
from agent.delivery.records import Shelf
from agent.delivery.rows import Row


class Cursor:
    """One per uplink, over all connections: its marks are stored."""

    def __init__(self, store: Shelf, uplink: str) -> None:
        self._store = store
        self._uplink = uplink
        self.settled: dict[int, Ranges] = {
            number: ranges.copy() for number, ranges in store.marks.get(uplink, {}).items()
        }
        self._claimed: dict[int, Ranges] = {}
        """Settled, or on its way, or in a lane."""
        self._dirty: set[int] = set()
        self._unwanted = _read_counts(store.kept.get(f"unwanted.{uplink}", b"{}"))
        """By epoch: how many of what waits this center does not want (as far as was counted)."""
        self._counted = False
        self.release_all()

    def release_all(self) -> None:
        """The connection is gone: what was on its way is unsettled again."""
        self._claimed = {number: ranges.copy() for number, ranges in self.settled.items()}

    def learn(self) -> None:
        """The store could be opened only now: what was acknowledged of earlier epochs."""
        for number, ranges in self._store.marks.get(self._uplink, {}).items():
            if number not in self.settled:
                self.settled[number] = ranges.copy()
                self._claimed[number] = ranges.copy()

    def claim(self, rows: Iterable[Row]) -> None:
        for row in rows:
            _of(self._claimed, row.epoch).add(row.seq, row.seq)

    def is_claimed(self, row: Row) -> bool:
        return row.epoch in self._claimed and row.seq in self._claimed[row.epoch]

    def release(self, epoch: int, seqs: Iterable[int]) -> None:
        """Not delivered: back to the history lane."""
        claimed = _of(self._claimed, epoch)
        for seq in seqs:
            claimed.remove(seq, seq)

    def settle(self, epoch: int, seqs: Iterable[int]) -> None:
        """The broker has acknowledged them."""
        settled = _of(self.settled, epoch)
        for seq in seqs:
            settled.add(seq, seq)
        self._dirty.add(epoch)

    def is_settled(self, epoch: int, seq: int) -> bool:
        """Whether the broker has acknowledged it."""
        return epoch in self.settled and seq in self.settled[epoch]

    def pieces(self, epoch: int) -> int:
        """How many ranges the settled numbers of an epoch are in."""
        return len(self.settled.get(epoch, ()))

    def count_unwanted(self, epoch: int, count: int) -> None:
        """So many more (or, negative, fewer) that wait are not wanted by this center."""
        self._unwanted[epoch] = max(0, self._unwanted.get(epoch, 0) + count)
        self._counted = True

    def forget_unwanted(self) -> None:
        """All that waited has been gone through."""
        self._counted = self._counted or bool(self._unwanted)
        self._unwanted.clear()

    def skip(self, epoch: int, first: int, last: int) -> None:
        """Not to be sent: not wanted, not held, or larger than the broker takes."""
        _of(self.settled, epoch).add(first, last)
        _of(self._claimed, epoch).add(first, last)
        self._dirty.add(epoch)

    def again(self, epoch: int, first: int, last: int) -> int:
        """To be sent again, or told not to be held any more; how many of them are held."""
        held = self._store.epochs[epoch]
        last = min(last, held.last)
        _of(self.settled, epoch).remove(first, last)
        _of(self._claimed, epoch).remove(first, last)
        self._dirty.add(epoch)
        return max(0, last - max(first, held.first) + 1)

    def deleted(self) -> list[tuple[int, int, int]]:
        """(epoch, first, last) of what retention has deleted before this center got it."""
        return [
            (epoch, first, last)
            for epoch, held in self._store.epochs.items()
            for first, last in (self._claimed.get(epoch) or Ranges()).holes(1, held.first - 1)
        ]

    def unclaimed(self, *, newest: bool = False) -> list[tuple[int, list[tuple[int, int]]]]:
        """What waits: (epoch, ranges), oldest epoch and number first, or `newest` first."""
        waiting = []
        for epoch, held in sorted(self._store.epochs.items(), reverse=newest):
            claimed = self._claimed.get(epoch) or Ranges()
            if holes := list(claimed.holes(held.first, held.last)):
                waiting.append((epoch, holes[::-1] if newest else holes))
        return waiting

    def unclaimed_of(self, asked: dict[int, Ranges]) -> list[tuple[int, list[tuple[int, int]]]]:
        """As `unclaimed`, of these numbers of these epochs alone."""
        waiting = []
        for epoch in sorted(set(asked) & set(self._store.epochs)):
            claimed, held = self._claimed.get(epoch) or Ranges(), self._store.epochs[epoch]
            holes = [
                hole
                for first, last in asked[epoch]
                for hole in claimed.holes(max(first, held.first), min(last, held.last))
            ]
            if holes:
                waiting.append((epoch, holes))
        return waiting

    def pending(self) -> int:
        """Committed records that this uplink's broker has not acknowledged, without those that
        the center does not want, as far as they were counted."""
        count = 0
        for epoch, held in self._store.epochs.items():
            holes = (self.settled.get(epoch) or Ranges()).holes(held.first, held.last)
            waiting = sum(last - first + 1 for first, last in holes)
            count += max(0, waiting - self._unwanted.get(epoch, 0))
        return count

    def oldest(self) -> tuple[int, int] | None:
        """(epoch, number) of the first that this uplink's broker has not acknowledged."""
        for epoch, held in sorted(self._store.epochs.items()):
            for first, _ in (self.settled.get(epoch) or Ranges()).holes(held.first, held.last):
                return epoch, first
        return None

    def save(self) -> int:
        """Hand what changed to the store; how many ranges that were."""
        count = 0
        for epoch in self._dirty:
            if epoch in self._store.epochs:
                self._store.save_mark(self._uplink, epoch, self.settled[epoch])
                count += len(self.settled[epoch])
        self._dirty.clear()
        if self._counted:
            self._counted = False
            self._store.keep(f"unwanted.{self._uplink}", msgspec.json.encode(self._unwanted))
        tables: tuple[dict[int, Any], ...] = (self.settled, self._claimed, self._unwanted)
        for table in tables:
            for gone in [epoch for epoch in table if epoch not in self._store.epochs]:
                del table[gone]
        return count


def _read_counts(kept: bytes) -> dict[int, int]:
    try:
        return msgspec.json.decode(kept, type=dict[int, int])
    except msgspec.DecodeError:
        # Only a display needs it.
        return {}


def _of(table: dict[int, Ranges], epoch: int) -> Ranges:
    ranges = table.get(epoch)
    if ranges is None:
        ranges = table[epoch] = Ranges()
    return ranges
