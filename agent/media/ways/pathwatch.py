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
CONSENT_EVERY_S = 5.0
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
        self._unanswered = 0
        self._hurry = False

    @property
    def silent_since(self) -> float:
        return self._heard

    def heard(self, now: float) -> None:
        """Something came from the other end (media, its reports, or its checks)."""
        self._heard = now
        self._unanswered = 0
        self._hurry = False

    def answered(self, now: float, rtt_s: float) -> None:
        """An answer to what was asked; consent for 30 s more."""
        self.heard(now)
        self._consent = now
        self.rtt_s = min(RTT_MAX_S, 0.7 * self.rtt_s + 0.3 * rtt_s if rtt_s else self.rtt_s)

    def hurry(self, now: float) -> None:
        """An interface has changed: ask now, and wait less."""
        self._hurry = True
        self._heard = min(self._heard, now - QUIET_S)
        self._asked = min(self._asked, now - ASK_EVERY_S)
        self._unanswered = 0

    def _patience_s(self) -> float:
        return (HURRY_S if self._hurry else LOST_S) + 2 * self.rtt_s

    def next(self, now: float) -> Do:
        """What to do now.  After ASK it counts as asked, after REPLACE the waiting begins anew."""
        if now - self._consent > CONSENT_S:
            return Do.END
        silent_s = now - self._heard
        needed = 2 if self._hurry else LOST_ASKED
        waited = now - self._asked >= min(ASK_EVERY_S, self._patience_s())
        if silent_s > self._patience_s() and self._unanswered >= needed and waited:
            self._unanswered = 0
            return Do.REPLACE
        quiet = silent_s >= QUIET_S and now - self._asked >= ASK_EVERY_S
        if quiet or now - max(self._asked, self._consent) >= CONSENT_EVERY_S:
            self._asked = now
            self._unanswered += 1
            return Do.ASK
        return Do.NOTHING

    def wait_s(self, now: float) -> float:
        """So long nothing is due."""
        if now - self._heard >= QUIET_S:
            return max(0.01, self._asked + ASK_EVERY_S - now)
        return max(0.01, self._heard + QUIET_S - now)
