"""Silence is as loud as an alarm, and is seen here alone.  Pure: time (monotonic s) is given."""

from __future__ import annotations

from collections.abc import Iterator

ANY = "any"
"""The quantity of a source that has said nothing at all yet."""


class Freshness:
    """When each quantity of each source was last heard."""

    def __init__(self, silent_s: dict[str, float], at: float) -> None:
        """`silent_s`: by source, after how many seconds it is silent; `at`: now."""
        self._silent_s = silent_s
        self._last = dict.fromkeys(((source, ANY) for source in silent_s), at)
        self._silent: set[tuple[str, str]] = set()

    def heard(self, source: str, quantity: str, at: float) -> list[tuple[str, str]]:
        """A sample has come; returns what is no longer silent."""
        key = (source, quantity)
        self._last.pop((source, ANY), None)
        self._last[key] = at
        ended = [k for k in (key, (source, ANY)) if k in self._silent]
        self._silent.difference_update(ended)
        return ended

    def newly_silent(self, at: float) -> Iterator[tuple[str, str, float]]:
        """(source, quantity, seconds of silence) of what has become silent."""
        for (source, quantity), last in self._last.items():
            silence = at - last
            key = (source, quantity)
            if key not in self._silent and silence >= self._silent_s[source]:
                self._silent.add(key)
                yield source, quantity, silence

    def restore(self, source: str, quantity: str, at: float) -> None:
        """Silent since before a restart."""
        if source in self._silent_s:
            self._last[(source, quantity)] = at
            self._silent.add((source, quantity))

    def next_due(self) -> float | None:
        """Monotonic seconds of the next silence if nothing comes; None: nothing to wait for."""
        waiting = [
            last + self._silent_s[key[0]]
            for key, last in self._last.items()
            if key not in self._silent
        ]
        return min(waiting, default=None)
