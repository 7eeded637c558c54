"""How often a status goes over a link that may not carry much.  Pure: times are arguments.

One in which nothing has changed but numbers (ages, counts, a battery's charge) takes at most a
fiftieth of what the link may carry a day, but comes at least once an hour: births are in it.  One
that says something new goes at once, as long as all of those together stay under a tenth; beyond
that it waits, and the newest goes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.delivery.budget import DAY_MS

DAY_S = DAY_MS / 1000
SHARE = 0.02
SOON_SHARE = 0.1
AT_ONCE = 10
"""Statuses that say something new may come so many at once."""
PERIOD_S = (30.0, 3600.0)
NUMBERS_MATTER = ("limits",)
"""Of its members: where another number is another thing."""


def per_day(budget_bytes: float, rate_bytes_s: float) -> float:
    """What a link may carry a day; infinite where neither limits it (0)."""
    budget = budget_bytes or float("inf")
    return min(budget, rate_bytes_s * DAY_S if rate_bytes_s else float("inf"))


def period_s(size: int, day_bytes: float) -> float:
    """Between two of so many bytes in which nothing is new."""
    return min(PERIOD_S[1], max(PERIOD_S[0], size * DAY_S / (SHARE * day_bytes)))


class StatusPace:
    """Of one unit's status over one link."""

    def __init__(self) -> None:
        self._said: Any = None
        self._said_at = self._looked_at = 0.0
        self._room: float | None = None
        """Bytes of what is new that may go now; none: as many as fit."""

    def begin(self) -> None:
        """A connection is new: who hears it may know nothing."""
        self._said = None

    def due(self, payload: bytes, size: int, day_bytes: float, now: float) -> bool:
        """Whether this status goes now; then it counts as said.  `size`: with all headers;
        ValueError: it is no JSON object."""
        if day_bytes == float("inf"):
            return True
        said = _words(msgspec.json.decode(payload, type=dict[str, Any]))
        is_new = said != self._said
        room = self._save_up(AT_ONCE * size, day_bytes, now)
        goes = (
            self._is_first_or_last(said)
            or now - self._said_at >= period_s(size, day_bytes)
            or (is_new and room >= size)
        )
        if goes:
            self._room = room - (size if is_new else 0)
            self._said, self._said_at = said, now
        return goes

    def _save_up(self, most: float, day_bytes: float, now: float) -> float:
        before = most if self._room is None else self._room
        more = SOON_SHARE * day_bytes / DAY_S * (now - self._looked_at)
        self._looked_at = now
        self._room = min(most, before + more)
        return self._room

    def _is_first_or_last(self, said: Any) -> bool:
        """Of this connection; or the unit begins or stops."""
        return self._said is None or said.get("state") != self._said.get("state")


def _words(status: Any, *, numbers: bool = False) -> Any:
    """All of it but its numbers; a member that is one may be left out where it is 0."""
    match status:
        case dict():
            return {
                key: _words(value, numbers=numbers or key in NUMBERS_MATTER)
                for key, value in status.items() if numbers or not _is_number(value)
            }  # fmt: skip
        case list():
            return [_words(value, numbers=numbers) for value in status]
        case _:
            return status if numbers or not _is_number(status) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
