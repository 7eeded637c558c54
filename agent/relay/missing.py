"""What is missing here of one kit's records, and which of it to ask the kit for now.  Pure: the
caller's clock is an argument.

A vehicle begins somewhere: of an epoch that was under way when it first heard of the kit, what lies
before the first record is not missed.  What was looked at once is not looked at again: a floor in
each epoch rises over what came, what does not come, and what retention has let go since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from agent.center.gap_closer import GapCloser
from agent.center.receiver import Gap
from agent.delivery.ranges import Ranges
from agent.messages import EpochStatus, epoch_order
from agent.relay.kit import EPOCHS_MAX, Kit

KEY = "missing"
"""On the kit's shelf."""
EARLIER_MS = 600_000
"""A kit may have begun so long before its vehicle heard of it, and is asked for all of it."""


class _Kept(msgspec.Struct):
    since: int = 0
    """UTC ms at which the kit was first heard of; 0: it has not been."""
    floors: dict[str, int] = {}
    """By epoch: numbers below it are looked at no more."""


class _Births(msgspec.Struct):
    epoch: str
    state: str
    epochs: tuple[EpochStatus, ...] = ()


class _Run:
    """One epoch."""

    def __init__(self) -> None:
        self.told = Ranges()
        """The kit says that these do not come."""
        self.committed = 0
        self.closed = False


class Missing:
    """One per kit."""

    def __init__(self, kit: Kit, now_ms: int) -> None:
        self._kit = kit
        self._kept = _read(kit.kept.get(KEY, b"{}"))
        self._runs: dict[str, _Run] = {}
        self._closer = GapCloser()
        self._changed = False
        if not self._kept.since:
            self._kept.since = now_ms
            self._changed = True
        for epoch in kit.epochs.values():
            self._run(epoch.name)

    def _run(self, name: str) -> _Run | None:
        """None: there are too many."""
        run = self._runs.get(name)
        if run is None and len(self._runs) < EPOCHS_MAX:
            run = self._runs[name] = _Run()
        return run

    # -- what is heard of the kit ----------------------------------------------------------------

    def came(self, epoch: str, first: int) -> None:
        """A message with records, the first of them this."""
        self._run(epoch)
        if epoch not in self._kept.floors and self._is_earlier(epoch):
            self._kept.floors[epoch] = first
            self._changed = True

    def _is_earlier(self, epoch: str) -> bool:
        """Begun before anybody here heard of the kit."""
        return epoch_order(epoch) < self._kept.since - EARLIER_MS

    def told(self, epoch: str, ranges: Sequence[tuple[int, int]]) -> None:
        """These do not come."""
        if (run := self._run(epoch)) is not None:
            for first, last in ranges:
                run.told.add(first, last)

    def hear(self, status: bytes) -> None:
        """A birth.  ValueError: it is none."""
        births = msgspec.json.decode(status, type=_Births)
        for known in births.epochs:
            if self._is_earlier(known.epoch) and known.epoch not in self._runs:
                continue
            if (run := self._run(known.epoch)) is not None:
                run.committed = max(run.committed, known.last)
                run.closed = known.epoch != births.epoch or births.state == "stopped"

    def let_go(self, epoch: str, last: int) -> None:
        """Retention has taken something up to this number: there is no room for more of it."""
        self._rise(epoch, last + 1)

    def away(self) -> None:
        """The kit is not connected here: what it owes it brings when it is back, unasked."""
        self._closer = GapCloser()

    # -- what is missing -------------------------------------------------------------------------

    def due(self, now_s: float) -> list[Gap]:
        """What to ask for now; what is given back counts as asked."""
        gaps = []
        for name in sorted(self._runs, key=epoch_order):
            floor = self._floor(name)
            if floor is None:
                continue
            upto = self._upto(name)
            holes = [Gap(name, first, last) for first, last in self._holes(name, floor, upto)]
            self._rise(name, holes[0].first if holes else upto + 1)
            gaps += holes
        self._forget()
        return self._closer.due(gaps, now_s)

    def _floor(self, name: str) -> int | None:
        """None: it was under way before the kit was heard of, and nothing has come of it yet."""
        if (floor := self._kept.floors.get(name)) is not None:
            return floor
        return None if self._is_earlier(name) else 1

    def _upto(self, name: str) -> int:
        run, number = self._runs[name], self._kit.epoch_id(name)
        highest = 0 if number is None else self._kit.epochs[number].last
        return run.committed if run.closed else max(run.committed, highest)

    def _holes(self, name: str, first: int, last: int) -> Iterator[tuple[int, int]]:
        number = self._kit.epoch_id(name)
        here = Ranges() if number is None else self._kit.held[number]
        coming = Ranges() if number is None else self._kit.coming[number]
        for a, b in here.holes(first, last):
            for c, d in coming.holes(a, b):
                yield from self._runs[name].told.holes(c, d)

    def _rise(self, name: str, floor: int) -> None:
        """Numbers below this are looked at no more."""
        if floor > self._kept.floors.get(name, 1):
            self._kept.floors[name] = floor
            self._changed = True
            if (run := self._runs.get(name)) is not None:
                run.told.remove(1, floor - 1)

    def _forget(self) -> None:
        """Of what is over and complete the floor says enough."""
        for name in [name for name, run in self._runs.items() if run.closed]:
            if self._floor(name) == self._upto(name) + 1:
                del self._runs[name]
        while len(self._kept.floors) > EPOCHS_MAX:
            del self._kept.floors[min(self._kept.floors, key=epoch_order)]

    def keep(self) -> None:
        """Onto the shelf, where anything has changed."""
        if self._changed:
            self._changed = False
            self._kit.keep(KEY, msgspec.json.encode(self._kept))


def _read(kept: bytes) -> _Kept:
    try:
        return msgspec.json.decode(kept, type=_Kept)
    except msgspec.DecodeError:
        # It costs some questions.
        return _Kept()
