"""What a unit holds on disk, and what it had to give up."""

from __future__ import annotations

import msgspec

from agent.messages.base import Wire


class OutboxStatus(Wire, frozen=True, kw_only=True):
    """In `status`, to each center its own; depth and drops at that moment, the rest looked at each
    10 s."""

    depth: int
    """Records on disk that this center has not acknowledged, as `pending`."""
    oldest_s: float = 0.0
    """How long ago the oldest of them was made; 0: none waits."""
    bytes: int = 0
    """In use in the database, what was delivered and is kept for `resend` included."""
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    """By class, since the unit was started: deleted or thinned for want of room, and not stored
    because the disk took nothing."""
