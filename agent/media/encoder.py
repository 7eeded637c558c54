"""One H.264 encoder and when it must make a keyframe."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream

from agent.media.blockcode import Image

CLOCK_RATE = 90_000
"""RTP's clock for video (RFC 6184, section 8.2.1): packets leave here in its unit."""
KEYFRAME_EVERY_S = 10.0
"""Without a request.  Viewers ask for what they need, so this only bounds damage."""
KEYFRAME_GAP_S = 0.25
"""Keyframes on request are no closer: one serves all who asked meanwhile, and who joins waits no
longer than this."""
VBV_S = 0.5
"""Of the bitrate: how long a burst may be.  Without VBV a later change of bitrate is ignored."""


if TYPE_CHECKING:
    VideoPacket = av.Packet[VideoStream]
else:
    VideoPacket = av.Packet  # generic in its stub only


class KeyframeGate:
    """Turns any number of requests, from any thread, into few keyframes."""

    def __init__(self, gap_s: float = KEYFRAME_GAP_S) -> None:
        self._gap_s = gap_s
        self._lock = threading.Lock()
        self._wanted = False
        self._last = float("-inf")

    def request(self) -> None:
        """A viewer has joined, has lost packets, or was too slow."""
        with self._lock:
            self._wanted = True

    def take(self, now: float) -> bool:
        """True where the frame encoded now shall be a keyframe; a request too early waits."""
        with self._lock:
            if not self._wanted or now - self._last < self._gap_s:
                return False
            self._wanted = False
            self._last = now
            return True


class H264Encoder:
    """libx264 for pictures of one size: constrained baseline, no delay, one thread."""

    def __init__(self, width: int, height: int, fps: float, bitrate_kbit_s: int) -> None:
        self.width = width
        self.height = height
        self._start = time.monotonic()
        self._last_pts = -1
        context = av.CodecContext.create("libx264", "w")
        context.width = width
        context.height = height
        context.pix_fmt = "yuv420p"
        context.framerate = Fraction(fps).limit_denominator(1000)
        context.time_base = Fraction(1, CLOCK_RATE)
        context.gop_size = max(1, round(fps * KEYFRAME_EVERY_S))
        context.max_b_frames = 0
        context.thread_count = 1
        context.bit_rate = bitrate_kbit_s * 1000
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "maxrate": str(bitrate_kbit_s * 1000),
            "bufsize": str(round(bitrate_kbit_s * 1000 * VBV_S)),
        }
        self._context = context

    def encode(self, image: Image, at: float, *, keyframe: bool) -> list[VideoPacket]:
        """`image` (blue green red) made at `at` (`time.monotonic()` s), as Annex B packets."""
        planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        # Two frames of one moment would be one frame to a receiver.
        self._last_pts = max(self._last_pts + 1, round((at - self._start) * CLOCK_RATE))
        frame.pts = self._last_pts
        frame.time_base = Fraction(1, CLOCK_RATE)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(frame)
        for packet in packets:
            packet.time_base = Fraction(1, CLOCK_RATE)
        return packets
