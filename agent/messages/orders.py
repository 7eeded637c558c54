"""What a center tells the people at a unit, and what becomes of it: messages and tasks."""

from __future__ import annotations

from enum import StrEnum

from agent.messages.base import Wire


class Urgency(StrEnum):
    ROUTINE = "routine"
    URGENT = "urgent"


class ShownMessage(Wire, frozen=True, kw_only=True):
    """A text that is shown at the unit until a person there has confirmed it."""

    id: str
    text: str
    urgency: Urgency = Urgency.ROUTINE
    by: str
    t: int
    """UTC ms at which it came."""
    state: str = "delivered"
    """`delivered`: shown, and announced; `unconfirmed`: for too long nobody has confirmed it."""


class TaskState(StrEnum):
    GIVEN = "given"
    ACCEPTED = "accepted"
    ARRIVED = "arrived"
    DONE = "done"
    DECLINED = "declined"
    CANCELLED = "cancelled"


class Task(Wire, frozen=True, kw_only=True):
    """What the people at the unit are to do; told until it is over."""

    id: str
    text: str
    by: str
    """Who gave it."""
    t: int
    """UTC ms at which it came."""
    state: TaskState = TaskState.GIVEN
    changed: int
    """UTC ms of its state."""
    changed_by: str = ""
    """Who said so; empty: nobody yet."""
    note: str = ""
    lat: float | None = None
    lon: float | None = None
    """Where, WGS-84 degrees."""
