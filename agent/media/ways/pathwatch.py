"""Whether a path still carries anything, decided in about a second.

Pure: time is an argument.  aioice asks every 5 s and gives up after six failures (RFC 7675); this
listens instead: whatever comes from the other end proves the path, and only where it is quiet
something is asked.  A path is lost when several questions in a row stayed unanswered for longer
than an answer can take.
"""

from __future__ import annotations

from enum import Enum

QUIET_S = 0.35
"""Silence after which something is asked."""
ASK_EVERY_S = 0.2
LOST_S = 1.0
LOST_ASKED = 3
"""Questions without an answer that it takes at least, so that no single loss counts."""
HURRY_S = 0.3
"""The same after an interface has changed."""
ONE_WAY_ASK_S = 2.0
"""Something is asked so often even where something comes in: it may be a path in one direction."""
ONE_WAY_S = 3.0
"""Longer than `LOST_S`: an answer may wait behind our own pictures."""
CONSENT_S = 30.0
"""RFC 7675, 5.1: an answer at least so often, or nothing more may be sent."""
RTT_MAX_S = 4.0


class Do(Enum):
    NOTHING = "nothing"
    ASK = "ask"
    REPLACE = "replace"
    """The path is lost: look for another one."""
    END = "end"
    """Consent has expired."""


class PathWatch:
    """One path.  All times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self.rtt_s = 0.1
        self._heard = now
        self._consent = now
        self._asked = now
        self._begun = now
        """When the first question without an answer was asked."""
        self._unanswered = 0
        self._hurry = False

    def heard(self, now: float) -> None:
        """Something came from the other end (media, its reports, or its checks)."""
        self._heard = now
        self._hurry = False

    def answered(self, now: float, rtt_s: float) -> None:
        """An answer to what was asked; consent for 30 s more."""
        self.heard(now)
        self._consent = now
        self._unanswered = 0
        self.rtt_s = min(RTT_MAX_S, 0.7 * self.rtt_s + 0.3 * rtt_s if rtt_s else self.rtt_s)

    def hurry(self, now: float) -> None:
        """An interface has changed: ask now, and wait less."""
        self._hurry = True
        self._heard = min(self._heard, now - QUIET_S)
        self._asked = min(self._asked, now - ASK_EVERY_S)
        self._unanswered = 0

    def _is_lost(self, now: float) -> bool:
        if now - self._asked < ASK_EVERY_S:
            return False
        answer_s = 2 * self.rtt_s
        if self._hurry:
            return self._unanswered >= 2 and now - self._heard > HURRY_S + answer_s
        if self._unanswered < LOST_ASKED:
            return False
        return now - self._heard > LOST_S + answer_s or now - self._begun > ONE_WAY_S + answer_s

    def _ask_at(self) -> float:
        """When the next question is due, as far as is known now."""
        often = self._asked + (ONE_WAY_ASK_S if not self._unanswered else 2 * ASK_EVERY_S)
        return min(often, max(self._heard + QUIET_S, self._asked + ASK_EVERY_S))

    def next(self, now: float) -> Do:
        """What to do now.  After ASK it counts as asked, after REPLACE the waiting begins anew."""
        if now - self._consent > CONSENT_S:
            return Do.END
        if self._is_lost(now):
            self._unanswered = 0
            return Do.REPLACE
        if now >= self._ask_at():
            if not self._unanswered:
                self._begun = now
            self._asked = now
            self._unanswered += 1
            return Do.ASK
        return Do.NOTHING

    def wait_s(self, now: float) -> float:
        """So long nothing is due."""
        return max(0.01, self._ask_at() - now)
