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
    """The header extensions that were negotiated, by their numbers (1 to 14).

    All fields have a fixed size and place, so that a block is packed in one go, with and without
    the playout delay.
    """

    def __init__(self, parameters: Sequence[RTCRtpHeaderExtensionParameters], mid: str) -> None:
        ids = {e.uri: e.id for e in parameters if 1 <= e.id <= 14}
        self.twcc = ids.get(twcc.URI, 0)
        send_time, self._playout = ids.get(ABS_SEND_TIME, 0), ids.get(PLAYOUT_DELAY, 0)
        name = mid.encode()
        number = ids.get(MID, 0)
        before = bytes((number << 4 | len(name) - 1,)) + name if number and name else b""
        form = f"{len(before)}s" + "BH" * bool(self.twcc) + "L" * bool(send_time)
        self._before = before
        self._twcc_head = self.twcc << 4 | 1
        self._send_time_head = (send_time << 4 | 2) << 24 if send_time else 0
        self._plain = _block(form)
        self._asks = _block(form + "L")
        self.is_empty = not (before or self.twcc or send_time)

    def block(self, seq: int, send_s: float, playout_s: tuple[float, float] | None) -> bytes:
        """`seq` is transport-wide, `send_s` any clock's seconds; `playout_s` (least, most) is what
        the receiver is asked for, where it is told again."""
        form, words = self._plain
        last: tuple[int, ...] = ()
        if self._playout and playout_s is not None:
            least, most = (min(round(s / PLAYOUT_STEP_S), PLAYOUT_MAX) for s in playout_s)
            form, words = self._asks
            last = ((self._playout << 4 | 2) << 24 | least << 12 | most,)
        elif self.is_empty:
            return b""
        if self._send_time_head:
            last = (self._send_time_head | int(send_s * (1 << 18)) & 0xFFFFFF, *last)
        if self.twcc:
            last = (self._twcc_head, seq & 0xFFFF, *last)
        return form.pack(0xBEDE, words, self._before, *last)


def _block(form: str) -> tuple[struct.Struct, int]:
    """With RFC 8285's head and padding; and how many words follow the head."""
    size = struct.calcsize("!" + form)
    return struct.Struct(f"!HH{form}{-size % 4}x"), (size + 3) // 4


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
