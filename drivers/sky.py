"""Satellites in view, from GSV: one group of sentences for each talker and signal.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

STALE_S = 10.0
"""A constellation not heard of for so long is no longer counted as seen."""
GROUPS_MAX = 64
SATELLITES_MAX = 64


class Sky:
    """How many satellites a receiver sees, whatever the number of constellations and signals."""

    def __init__(self) -> None:
        self._building: dict[str, set[str]] = {}
        self._groups: dict[str, tuple[float, frozenset[str]]] = {}

    def add(self, talker: str, fields: Sequence[str], at: float) -> None:
        """One GSV: total, index, in view, then four fields a satellite, then (4.11) the signal."""
        if len(fields) < 3:
            return
        total, index, satellites = fields[0], fields[1], fields[3:]
        # An odd field after the satellites is the signal, not a satellite of its own.
        signal = satellites[-1] if len(satellites) % 4 == 1 else ""
        group = f"{talker} {signal}"
        if index == "1":
            self._building.pop(group, None)
            if len(self._building) >= GROUPS_MAX:
                self._building.clear()
            self._building[group] = set()
        seen = self._building.get(group)
        if seen is None:
            return
        if len(seen) < SATELLITES_MAX:
            whole = len(satellites) // 4 * 4
            seen.update(f"{talker} {sv}" for sv in satellites[:whole:4] if sv)
        if index == total:
            del self._building[group]
            if len(self._groups) >= GROUPS_MAX:
                self._groups.clear()
            self._groups[group] = (at, frozenset(seen))

    def count(self, at: float) -> int | None:
        """Each satellite once, however many of its signals are heard; None: nothing is known."""
        fresh = [group for heard, group in self._groups.values() if at - heard <= STALE_S]
        return len(frozenset().union(*fresh)) if fresh else None
