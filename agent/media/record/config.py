"""What core and media process say of recordings to each other.  No media library.

agent/settings/record.py checks what a person wrote, config/media.toml is the manual.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FOLDER = "recordings"


class RecordConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`[media.record]`."""

    mode: Literal["off", "on_alarm", "always"] = "off"
    """`off`: only on command; `on_alarm`: the last `pre_s` are held, and kept when an alarm or a
    call for help comes; `always`."""
    cameras: tuple[str, ...] = ()
    """Which; empty: all."""
    dir: str = ""
    """Empty: `recordings` in the store's folder."""
    max_mb: int = 4096
    """All recordings together; the oldest go first."""
    locked_mb: int = 2048
    """Of these, so much may be locked."""
    free_mb: int = 512
    """Left free on the disk, beyond what the store needs."""
    days: float = 30.0
    """What is not locked is deleted after so long."""
    segment_s: float = 30.0
    pre_s: float = 30.0
    post_s: float = 60.0
    audio: bool = True
    """The microphone's sound too, while it is open: a recorder never opens it."""
    key_file: str = ""
    """32 bytes in hexadecimal or base64: recordings are encrypted.  Empty: they are not."""


class RecordStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of the heartbeat."""

    state: str = "off"
    """`off`, `recording`, `paused` (no room, or the disk takes nothing)."""
    detail: str = ""
    cameras: tuple[str, ...] = ()
    """That are recorded now."""
    locking: bool = False
    """What is recorded now is locked."""
    recordings: int = 0
    mb: float = 0.0
    locked_mb: float = 0.0
    dropped: int = 0
    """Pictures that a slow disk has cost."""
