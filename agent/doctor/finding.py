"""One thing that the doctor has found.  Codes here; the words are in words.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Level(StrEnum):
    """How bad it is."""

    GOOD = "good"
    NOTE = "note"
    """Neither good nor bad: what there is."""
    WARN = "warn"
    """It works, or may work; somebody should look at it."""
    BAD = "bad"
    """It does not work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`code` says which sentence of words.py this is; `data` fills it."""

    part: str
    """`ports`, `cameras`, `sound`, `gpio`, `network`, `clock`, `disk`, `unit`, `listening`."""
    code: str
    level: Level = Level.NOTE
    data: dict[str, Any] = {}
