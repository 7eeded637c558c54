"""When to ask a unit for what is missing.  Pure: the caller's clock is an argument.

A gap is left alone while it is young (records of two classes overtake each other) or while it
shrinks (the unit's history lane is filling it); then it is asked for by the verb `resend`, piece by
piece, less and less often, and at last no more: what retention has deleted never comes.
"""

from __future__ import annotations

import msgspec

from agent.center.receiver import Gap

PATIENCE_S = 2.0
RETRY_S = 4.0
"""After the first question; doubled with each further one."""
MAX_RETRY_S = 60.0
MAX_ASKED = 10
"""Questions for the same gap without any answer, about six minutes in all."""
PIECE = 2000
"""Numbers in one question at most."""
QUESTIONS = 4
"""In one call of `due`."""


class _Watched(msgspec.Struct):
    gap: Gap
    since_s: float
    asked: int = 0
    asked_s: float = 0.0


class GapCloser:
    """Watches the gaps of one unit."""

    def __init__(self) -> None:
        self._watched: list[_Watched] = []

    def due(self, gaps: list[Gap], now_s: float) -> list[Gap]:
        """The ranges to ask for now, at most `QUESTIONS` of at most `PIECE` numbers.

        `now_s` is any clock that only rises.  What is given back counts as asked."""
        before = {watched.gap: watched for watched in self._watched}
        self._watched = [before.get(gap) or _Watched(gap, now_s) for gap in gaps]
        ripe = [watched for watched in self._watched if _is_ripe(watched, now_s)]
        for watched in ripe[:QUESTIONS]:
            watched.asked += 1
            watched.asked_s = now_s
        return [_piece(watched.gap) for watched in ripe[:QUESTIONS]]


def _is_ripe(watched: _Watched, now_s: float) -> bool:
    if watched.asked == 0:
        return now_s - watched.since_s >= PATIENCE_S
    pause_s = min(RETRY_S * 2 ** (watched.asked - 1), MAX_RETRY_S)
    return watched.asked < MAX_ASKED and now_s - watched.asked_s >= pause_s


def _piece(gap: Gap) -> Gap:
    return Gap(gap.epoch, gap.first, min(gap.last, gap.first + PIECE - 1))
