"""Classes of records that nobody takes now, and until when.  Pure: times are the caller's."""

from __future__ import annotations

from agent.messages import Class

RETRY_S = (2.0, 30.0)
"""The first pause, and the longest; each is twice the one before."""


class Pauses:
    """Of one stream of records on one connection: a center may take some classes and not others,
    and only the class that is not taken waits."""

    def __init__(self) -> None:
        self._until: dict[Class, float] = {}
        self._pause_s: dict[Class, float] = {}

    def __contains__(self, klass: object) -> bool:
        return klass in self._until

    def __len__(self) -> int:
        return len(self._until)

    def clear(self) -> None:
        self._until.clear()
        self._pause_s.clear()

    def begin(self, klass: Class, now: float) -> bool:
        """Nobody has taken it; True: for the first time since somebody did."""
        first = klass not in self._pause_s
        if klass not in self._until:
            pause_s = self._pause_s.get(klass, RETRY_S[0])
            self._until[klass] = now + pause_s
            self._pause_s[klass] = min(RETRY_S[1], pause_s * 2)
        return first

    def taken(self, klass: str) -> None:
        """Somebody has it: the next pause is a short one."""
        if self._pause_s:
            self._pause_s.pop(Class(klass), None)

    def end(self, now: float) -> list[Class]:
        """Those whose pause is over."""
        over = [klass for klass, until in self._until.items() if until <= now]
        for klass in over:
            del self._until[klass]
        return over

    def next_end(self) -> float | None:
        return min(self._until.values(), default=None)
