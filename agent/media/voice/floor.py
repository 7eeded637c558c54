"""The floor: one talker at a time to a unit's speaker.  Pure; the core keeps it."""

from __future__ import annotations

import msgspec

YIELD_S = 2.0
"""An open line that has been silent for so long gives way to somebody who wants to talk."""


class FloorError(RuntimeError):
    """Why not, in a sentence: `code` as of a command's outcome."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Talker(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the floor."""

    session: str
    by: str
    open: bool = False
    """An open line, not a key that is held."""
    since_s: float
    until_s: float


class Floor:
    """Times are monotonic seconds."""

    def __init__(self, talk_s: float) -> None:
        self._talk_s = talk_s
        self._talker: Talker | None = None
        self._heard_s = float("-inf")

    @property
    def talker(self) -> Talker | None:
        return self._talker

    def ask(self, session: str, by: str, now_s: float, *, open_line: bool = False) -> Talker:
        """Take the floor, or keep it.  FloorError: somebody else talks."""
        self.tick(now_s)
        held = self._talker
        if held is not None and held.session != session:
            silent = held.open and now_s - max(self._heard_s, held.since_s) >= YIELD_S
            if not silent:
                raise FloorError(
                    "busy",
                    f"{held.by!r} has been talking for {now_s - held.since_s:.0f} s: one at a time",
                )
            held = None
        self._talker = Talker(
            session=session, by=by, open=open_line,
            since_s=now_s if held is None else held.since_s, until_s=now_s + self._talk_s,
        )  # fmt: skip
        return self._talker

    def heard(self, session: str, now_s: float) -> None:
        """The session's voice was loud enough to be one."""
        if self._talker is not None and self._talker.session == session:
            self._heard_s = now_s

    def release(self, session: str) -> bool:
        """False where it had not the floor."""
        if self._talker is None or self._talker.session != session:
            return False
        self._talker = None
        return True

    def tick(self, now_s: float) -> Talker | None:
        """The talker whose time is over, once."""
        over = self._talker
        if over is None or now_s < over.until_s:
            return None
        self._talker = None
        return over
