"""RTP packets for one viewer: a header and its extensions before payloads that all viewers share
(RFC 3550 section 5.1, RFC 8285 one-byte extensions, RFC 4588 retransmission)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters

from agent.media.link import twcc

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
PLAYOUT_STEP_S = 0.01
PLAYOUT_MAX = 0xFFF
_HEAD = struct.Struct("!BBHLL")


class Stream(msgspec.Struct, frozen=True):
    """One synchronization source."""

    ssrc: int
    payload_type: int


class Extensions:
    """The header extensions that were negotiated, by their numbers (1 to 14)."""

    def __init__(self, parameters: Sequence[RTCRtpHeaderExtensionParameters], mid: str) -> None:
        ids = {e.uri: e.id for e in parameters if 1 <= e.id <= 14}
        self.twcc = ids.get(twcc.URI, 0)
        self._send_time = ids.get(ABS_SEND_TIME, 0)
        self._playout = ids.get(PLAYOUT_DELAY, 0)
        name = mid.encode()
        number = ids.get(MID, 0)
        self._mid = bytes((number << 4 | len(name) - 1,)) + name if number and name else b""

    def block(self, seq: int, send_s: float, playout_s: tuple[float, float] | None) -> bytes:
        """`seq` is transport-wide, `send_s` any clock's seconds; `playout_s` (least, most) is what
        the receiver is asked for, where it is told again."""
        parts = self._mid
        if self.twcc:
            parts += struct.pack("!BH", self.twcc << 4 | 1, seq & 0xFFFF)
        if self._send_time:
            stamp = int(send_s * (1 << 18)) & 0xFFFFFF
            parts += bytes((self._send_time << 4 | 2,)) + stamp.to_bytes(3)
        if self._playout and playout_s is not None:
            least, most = (min(round(s / PLAYOUT_STEP_S), PLAYOUT_MAX) for s in playout_s)
            parts += bytes((self._playout << 4 | 2,)) + (least << 12 | most).to_bytes(3)
        if not parts:
            return b""
        parts += bytes(-len(parts) % 4)
        return struct.pack("!HH", 0xBEDE, len(parts) // 4) + parts


def head(stream: Stream, seq: int, timestamp: int, *, marker: bool, extensions: bytes) -> bytes:
    """What stands before the payload."""
    first = 0x90 if extensions else 0x80
    return (
        _HEAD.pack(
            first,
            marker << 7 | stream.payload_type,
            seq & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            stream.ssrc,
        )
        + extensions
    )


def again(seq: int, payload: bytes) -> bytes:
    """The payload of a retransmission of packet `seq`."""
    return (seq & 0xFFFF).to_bytes(2) + payload
