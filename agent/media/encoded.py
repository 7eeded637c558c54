"""One encoded picture, as it is handed to viewers, recorders and publishers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import msgspec
from aiortc.codecs import h264
from av.video.stream import VideoStream

CLOCK_RATE = 90_000
"""RTP's clock for video (RFC 6184, section 8.2.1)."""
TIME_BASE = Fraction(1, CLOCK_RATE)

if TYPE_CHECKING:
    VideoPacket = av.Packet[VideoStream]
else:
    VideoPacket = av.Packet  # generic in its stub only


class Packetizer(h264.H264Encoder):
    """RFC 6184's payloads.  aiortc makes the first ones a byte longer than the others; so that they
    can leave in one system call, all have one size but the last, which is shorter."""

    @staticmethod
    def _packetize_fu_a(data: bytes) -> list[bytes]:
        most = h264.PACKET_MAX - h264.FU_A_HEADER_SIZE
        body = memoryview(data)[h264.NAL_HEADER_SIZE :]
        size = -(-len(body) // -(-len(body) // most))
        indicator, kind = data[0] & 0xE0 | h264.NAL_TYPE_FU_A, data[0] & 0x1F
        starts = range(0, len(body), size)
        return [
            bytes((indicator, kind | (start == 0) << 7 | (start == starts[-1]) << 6))
            + body[start : start + size]
            for start in starts
        ]


class Encoded(msgspec.Struct, frozen=True, eq=False):
    """H.264 of one moment.  Made once; never changed after."""

    data: bytes
    """Annex B; a keyframe begins with its parameter sets."""
    timestamp: int
    """In 1/90000 s of `time.monotonic()`: one clock for all layers and cameras."""
    keyframe: bool
    payloads: tuple[bytes, ...]
    """RTP payloads (RFC 6184), the same for all viewers."""
    at: float
    """`time.monotonic()` when the picture was made."""

    @classmethod
    def of(cls, packet: VideoPacket, at: float) -> Encoded:
        """From a packet in Annex B."""
        packet.pts = timestamp = round(at * CLOCK_RATE)
        packet.time_base = TIME_BASE
        payloads, _ = Packetizer().pack(packet)
        return cls(bytes(packet), timestamp, bool(packet.is_keyframe), tuple(payloads), at)
