"""Who watches which unit, from what is said on `rtc/...`.  Pure.

A unit's pictures go straight to who watches and not through its link's proxy; to cut a link
honestly, the director must end them too.
"""

from __future__ import annotations

from collections import deque

MAX = 16
"""Sessions that are remembered of a unit; the oldest are forgotten."""


class Sessions:
    """Open, as far as was heard."""

    def __init__(self) -> None:
        self._open: dict[str, deque[str]] = {}

    def take(self, unit: str, path: tuple[str, ...]) -> None:
        """What a topic `rtc/{session}/...` of a unit says; others say nothing."""
        match path:
            case ("rtc", session, "offer"):
                self._open.setdefault(unit, deque(maxlen=MAX)).append(session)
            case ("rtc", session, "close") if session in self._open.get(unit, ()):
                self._open[unit].remove(session)

    def of(self, unit: str) -> tuple[str, ...]:
        return tuple(self._open.get(unit, ()))
