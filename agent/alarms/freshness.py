"""Silence is as loud as an alarm, and is seen here alone.  Pure: time (monotonic s) is given.

A quantity that says nothing for too long is `silent`.  Where a whole bus of several quantities says
nothing, that is one `bus` and not ten silences.
"""

from __future__ import annotations

from collections.abc import Iterator

ANY = "any"
"""The quantity of a source that has said nothing at all yet, and of a whole bus."""
BUS_SHARE = 0.5
"""A bus is dead when one of its quantities is overdue and none was heard for this share of that."""

Silence = tuple[str, str, str]
"""(source, quantity, code) with the code `silent` or `bus`."""


class Freshness:
    """When each quantity of each source was last heard."""

    def __init__(self, silent_s: dict[str, float], at: float) -> None:
        """`silent_s`: by source, after how many seconds it is silent; `at`: now."""
        self._silent_s = silent_s
        self._last: dict[str, dict[str, float]] = {source: {ANY: at} for source in silent_s}
        self._holding: set[Silence] = set()

    def heard(self, source: str, quantity: str, at: float) -> list[Silence]:
        """A sample has come; returns what is no longer silent."""
        quantities = self._last.setdefault(source, {})
        quantities.pop(ANY, None)
        bus = (source, ANY, "bus")
        if bus in self._holding:
            # The bus is back: each of its quantities gets its time again.
            quantities.update(dict.fromkeys(quantities, at))
        quantities[quantity] = at
        ended = [
            silence
            for silence in (bus, (source, quantity, "silent"), (source, ANY, "silent"))
            if silence in self._holding
        ]
        self._holding.difference_update(ended)
        return ended

    def changes(self, at: float) -> Iterator[tuple[Silence, bool]]:
        """(silence, whether it holds) of what the passing of time has changed."""
        for source, quantities in self._last.items():
            overdue = [quantity for quantity in quantities if self._is_due(source, quantity, at)]
            if not overdue:
                continue
            quiet_s = at - max(quantities.values())
            if len(quantities) > 1 and quiet_s >= BUS_SHARE * self._silent_s[source]:
                for silence in [held for held in self._holding if held[0] == source]:
                    self._holding.remove(silence)
                    yield silence, False
                bus = (source, ANY, "bus")
                self._holding.add(bus)
                yield bus, True
                continue
            for quantity in overdue:
                silence = (source, quantity, "silent")
                self._holding.add(silence)
                yield silence, True

    def _is_due(self, source: str, quantity: str, at: float) -> bool:
        if (source, ANY, "bus") in self._holding or (source, quantity, "silent") in self._holding:
            return False
        return at - self._last[source][quantity] >= self._silent_s[source]

    def restore(self, source: str, quantity: str, code: str, at: float) -> None:
        """Silent since before a restart."""
        if source in self._silent_s:
            if quantity != ANY:
                self._last[source].pop(ANY, None)
                self._last[source][quantity] = at
            self._holding.add((source, quantity, code))

    def next_due(self) -> float | None:
        """Monotonic seconds of the next silence if nothing comes; None: nothing to wait for."""
        waiting = [
            last + self._silent_s[source]
            for source, quantities in self._last.items()
            if (source, ANY, "bus") not in self._holding
            for quantity, last in quantities.items()
            if (source, quantity, "silent") not in self._holding
        ]
        return min(waiting, default=None)
