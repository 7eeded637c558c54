"""Pictures and recordings that a unit holds: what they are, and their bytes in pieces."""

from __future__ import annotations

from agent.messages.base import Mark, Wire
from agent.messages.position import FixBody
from agent.messages.reading import Reading


class MediaItem(Wire, frozen=True, kw_only=True):
    """Body of a record of class `media`; also an entry of the answer to `media.list`."""

    id: str
    kind: str
    """`snapshot`, `recording`."""
    camera: str
    start: int
    """UTC ms of its first picture."""
    end: int | None = None
    """UTC ms of its last picture; none of a snapshot, or while it goes on."""
    media_type: str
    """`image/jpeg`, `video/mp4` ..."""
    size: int
    """Bytes."""
    digest: str
    """`sha256:` and 64 hexadecimal digits; empty while it goes on."""
    by: str = ""
    """Who asked for it; empty: the unit by itself."""
    locked: bool = False
    """It is not deleted to make room."""
    why: tuple[str, ...] = ()
    """It was locked: an alarm's code, `alarm`, `command`."""
    previous: str = ""
    """Of a recording: the digest of the side file of the one before, which makes a chain."""
    fix: FixBody | None = None
    """The unit's last position when it began."""
    readings: tuple[Reading, ...] = ()
    """The newest of each source and quantity then."""


class Chunk(Wire, frozen=True, kw_only=True):
    """On `media/{id}`, QoS 1, no record: a piece of a picture or recording, to who asked."""

    unit: str
    mark: Mark
    id: str
    offset: int
    """Of its first byte."""
    size: int
    """Bytes of the whole."""
    data: str
    """base64 (RFC 4648, section 4)."""
