"""What happened at a unit."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.messages.base import Wire


class Event(Wire, frozen=True, kw_only=True):
    """Body of a record of class `events`."""

    event: str
    """`started`, `stopping`, `source_up`, `source_down`, `command`, `clock_corrected` ..."""
    source: str = ""
    detail: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
