"""A call for help, from the button to the person who answers.  Pure; `at` is seconds on an axis
that goes on through a restart of the agent.

The caller is told three things that are not the same: it is queued here, a broker has it, a person
has confirmed it.  What nobody confirms in time is said to be unconfirmed, and is raised again.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

CODES = ("sos", "sos_silent")
KEPT_NUMBERS = 16


class Stage(StrEnum):
    QUEUED = "queued"
    """Written down here; no broker has acknowledged it."""
    REACHED = "reached"
    """A broker has acknowledged it (PUBACK) on at least one uplink."""
    UNCONFIRMED = "unconfirmed"
    """For too long no person has confirmed it."""
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call for help."""

    since: int
    """UTC ms."""
    at: float
    """When it was made."""
    raised_at: float
    """When it was raised last."""
    silent: bool = False
    numbers: tuple[tuple[int, int], ...] = ()
    """(epoch's id, seq) of its records: the first one and the last ones."""
    reached: bool = False
    overdue: bool = False

    @property
    def code(self) -> str:
        return "sos_silent" if self.silent else "sos"

    @property
    def stage(self) -> Stage:
        if self.overdue:
            return Stage.UNCONFIRMED
        return Stage.REACHED if self.reached else Stage.QUEUED


def begin(since: int, at: float, *, silent: bool) -> Call:
    return Call(since=since, at=at, raised_at=at, silent=silent)


def numbered(call: Call, number: tuple[int, int]) -> Call:
    """One more of its records has a number."""
    numbers = (*call.numbers[:1], *call.numbers[1:][2 - KEPT_NUMBERS :], number)
    return msgspec.structs.replace(call, numbers=numbers)


def step(
    call: Call, at: float, *, reached: bool, unconfirmed_s: float, repeat_s: float
) -> tuple[Call, tuple[Stage, ...]]:
    """Time has passed; what the caller must be told now.  `UNCONFIRMED` also says: raise it again.

    The caller is told once that it has reached a broker, and at each repeat that nobody answers."""
    news: list[Stage] = []
    if reached and not call.reached:
        call = msgspec.structs.replace(call, reached=True)
        news.append(Stage.REACHED)
    due_s = repeat_s if call.overdue else unconfirmed_s
    if at - call.raised_at >= due_s:
        call = msgspec.structs.replace(call, overdue=True, raised_at=at)
        news.append(Stage.UNCONFIRMED)
    return call, tuple(news)


def restored(call: Call, at: float, *, same_boot: bool) -> Call:
    """As it was kept.  After a reboot nobody knows how long it has waited: long enough."""
    if same_boot and call.raised_at <= at:
        return call
    long_ago = at - 10 * 86400.0
    return msgspec.structs.replace(call, at=long_ago, raised_at=long_ago)


class CancelCode:
    """The caller's own way out: a code of presses, each digit that many, digits apart by a pause.

    A press alone must not end a call for help, so that a code is entered only after a long hold,
    and a wrong one changes nothing."""

    PAUSE_S = 1.2
    """Between two digits."""
    DONE_S = 3.0
    """After the last press the code is whole."""
    PATIENCE_S = 15.0
    """Without any press."""
    DIGITS_MAX = 7
    """One more than any code has."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._digits: list[int] = []
        self.entering = False

    def begin(self, at: float) -> None:
        self.entering, self._digits, self._last = True, [], at

    def press(self, at: float) -> None:
        """One press; only while a code is entered."""
        if self._digits and self._last is not None and at - self._last < self.PAUSE_S:
            self._digits[-1] = min(9, self._digits[-1] + 1)
        elif len(self._digits) < self.DIGITS_MAX:
            self._digits.append(1)
        self._last = at

    def tick(self, at: float) -> str | None:
        """The whole code, once; "" where none was entered in time; None: not yet."""
        if not self.entering or self._last is None:
            return None
        if at - self._last < (self.DONE_S if self._digits else self.PATIENCE_S):
            return None
        self.entering = False
        return "".join(map(str, self._digits))
