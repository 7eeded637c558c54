"""Pictures: WebRTC signalling, and stills where no video path exists."""

from __future__ import annotations

import msgspec

from agent.media.ways.servers import IceServer
from agent.messages.base import Mark, Wire


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """On `rtc/{session}/offer`."""

    by: str
    issued: int
    mark: Mark = Mark.ACTUAL
    camera: str = ""
    """Empty: the unit's first camera."""
    sdp: str
    sig: str = ""
    """As of a command."""


class Answer(Wire, frozen=True, kw_only=True):
    """On `rtc/{session}/answer`: an answer, or the reason why there is none."""

    sdp: str = ""
    code: str = "ok"
    """`ok`, `unavailable`, `not_found`, `refused`, `expired`, `malformed`, `unsigned` ..."""
    detail: str = ""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN and TURN servers that the viewer may use too; their passwords end by themselves."""


class Still(Wire, frozen=True, kw_only=True):
    """On `still/{camera}`, QoS 0, not retained: a picture where no video path exists."""

    unit: str
    mark: Mark
    camera: str
    t: int
    jpeg: str
    """base64 (RFC 4648, section 4)."""
