"""One encoded picture, as it is handed to viewers, recorders and publishers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import msgspec
from aiortc.codecs.h264 import H264Encoder as Packetizer
from av.video.stream import VideoStream

CLOCK_RATE = 90_000
"""RTP's clock for video (RFC 6184, section 8.2.1)."""
TIME_BASE = Fraction(1, CLOCK_RATE)

if TYPE_CHECKING:
    VideoPacket = av.Packet[VideoStream]
else:
    VideoPacket = av.Packet  # generic in its stub only


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
