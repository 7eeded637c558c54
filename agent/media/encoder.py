"""One H.264 encoder, when it must make a keyframe, and how much it may make."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import av
from av.video.frame import PictureType

from agent.media import encoders
from agent.media.encoded import CLOCK_RATE, Encoded
from agent.media.yuv import Yuv

KEYFRAME_GAP_S = 0.25
"""Keyframes on request are no closer: one serves all who asked meanwhile, and who joins waits no
longer than this."""
RATE_STEP = 0.03
"""Smaller changes are not worth it."""
REOPEN_STEP, REOPEN_S = 0.25, 3.0
"""An encoder that must be opened anew for a change, with a keyframe, is so only for this much,
and no more often."""


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

    def is_due(self, now: float) -> bool:
        """`take` would say yes."""
        with self._lock:
            return self._wanted and now - self._last >= self._gap_s

    def take(self, now: float) -> bool:
        """True where the frame encoded now shall be a keyframe; a request too early waits."""
        with self._lock:
            if not self._wanted or now - self._last < self._gap_s:
                return False
            self._wanted = False
            self._last = now
            return True


class H264Encoder:
    """For pictures of one size: no B-frames, no delay, one thread."""

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        bitrate_kbit_s: int,
        kind: encoders.Kind = encoders.SOFTWARE,
    ) -> None:
        self.width = width
        self.height = height
        self.kind = kind
        self.kbit_s = bitrate_kbit_s
        self._fps = fps
        self._limit_kbit_s = bitrate_kbit_s
        self._last_at = float("-inf")
        self._opened_at = time.monotonic()
        self._context = encoders.open_context(kind, width, height, fps, bitrate_kbit_s)

    def follow(self, kbit_s: float) -> None:
        """Make so much from now on, at most what it was opened with."""
        wanted = round(min(kbit_s, self._limit_kbit_s))
        change = abs(wanted - self.kbit_s) / self.kbit_s
        if change < RATE_STEP:
            return
        if self.kind.in_place:
            self._context.bit_rate = wanted * 1000
        elif change < REOPEN_STEP or time.monotonic() - self._opened_at < REOPEN_S:
            return
        else:
            self._opened_at = time.monotonic()
            size = (self.width, self.height)
            self._context = encoders.open_context(self.kind, *size, self._fps, wanted)
        self.kbit_s = wanted

    def encode(self, picture: Yuv, at: float, *, keyframe: bool) -> list[Encoded]:
        """`picture`, made at `at` (`time.monotonic()` s), is not copied: nobody may draw in it any
        more."""
        frame = av.VideoFrame.from_numpy_buffer(picture.planes, "yuv420p")
        # Two frames of one moment would be one frame to a receiver.
        at = self._last_at = max(self._last_at + 1 / CLOCK_RATE, at)
        frame.pts = round(at * CLOCK_RATE)
        frame.time_base = Fraction(1, CLOCK_RATE)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        return [Encoded.of(packet, at) for packet in self._context.encode(frame)]
