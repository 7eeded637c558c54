"""Messages that wait until somebody at the unit has confirmed them.  Pure: times are arguments
(CLOCK_BOOTTIME, seconds)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agent.messages.orders import ShownMessage

WAITING_MAX = 20


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A message and how long it may wait."""

    shown: ShownMessage
    within_s: float
    since: float
    told: bool = False
    """That nobody has confirmed it in time."""


class Notes:
    """In the order in which they came."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}

    def __iter__(self) -> Iterator[Note]:
        return iter(list(self._notes.values()))

    def put(self, note: Note) -> None:
        """ValueError: too many wait already."""
        if len(self._notes) >= WAITING_MAX:
            raise ValueError(f"{WAITING_MAX} messages wait to be confirmed already")
        self._notes[note.shown.id] = note

    def confirm(self, name: str) -> Note:
        """LookupError: none of that id waits."""
        if name not in self._notes:
            raise LookupError(f"no message {name!r} waits to be confirmed")
        return self._notes.pop(name)

    def late(self, at: float) -> list[Note]:
        """Those which have just waited too long; told once."""
        found = [n for n in self._notes.values() if not n.told and at - n.since >= n.within_s]
        for note in found:
            shown = msgspec.structs.replace(note.shown, state="unconfirmed")
            self._notes[shown.id] = msgspec.structs.replace(note, shown=shown, told=True)
        return found
