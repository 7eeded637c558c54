"""Satellites by system: in view, and how strong, from GSV (a group for each talker and signal).

Pure."""

from __future__ import annotations

from collections.abc import Sequence

STALE_S = 10.0
"""A constellation not heard of for so long is no longer counted as seen."""
GROUPS_MAX = 64
SATELLITES_MAX = 64


SYSTEMS = {
    "GP": "GPS", "GL": "GLONASS", "GA": "Galileo", "GB": "BeiDou", "BD": "BeiDou",
    "GQ": "QZSS", "QZ": "QZSS", "GI": "NavIC", "IR": "NavIC",
    "1": "GPS", "2": "GLONASS", "3": "Galileo", "4": "BeiDou", "5": "QZSS", "6": "NavIC",
}  # fmt: skip
"""Talkers, old and new, and the system ids of 4.11; GN, all together, is none of them."""


def system(talker: str, ident: str = "") -> str:
    """The system that a sentence speaks of; 4.11's id tells it where every talker is GN."""
    return SYSTEMS.get(ident) or SYSTEMS.get(talker, talker)


class Sky:
    """How many satellites a receiver sees, whatever the number of constellations and signals."""

    def __init__(self) -> None:
        self._building: dict[str, dict[str, float]] = {}
        self._groups: dict[str, tuple[float, dict[str, float]]] = {}

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
            self._building[group] = {}
        seen = self._building.get(group)
        if seen is None:
            return
        if len(seen) < SATELLITES_MAX:
            for start in range(0, len(satellites) // 4 * 4, 4):
                sv, strength = satellites[start], satellites[start + 3]
                if sv:
                    of = f"{system(talker)} {sv}"
                    seen[of] = float(strength) if strength.isdecimal() else 0.0
        if index == total:
            del self._building[group]
            if len(self._groups) >= GROUPS_MAX:
                self._groups.clear()
            self._groups[group] = (at, seen)

    def count(self, at: float) -> int | None:
        """Each satellite once, however many of its signals are heard; None: nothing is known."""
        fresh = self._fresh(at)
        return len(frozenset().union(*fresh)) if fresh else None

    def strengths(self, at: float) -> list[float]:
        """C/N0 of each signal that is received, dB-Hz."""
        return [value for group in self._fresh(at) for value in group.values() if value > 0]

    def _fresh(self, at: float) -> list[dict[str, float]]:
        return [group for heard, group in self._groups.values() if at - heard <= STALE_S]
