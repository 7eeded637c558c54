"""One layer of a camera: an encoder that is there while somebody takes its pictures."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from agent.media import encoders
from agent.media.encoded import Encoded
from agent.media.encoder import H264Encoder, KeyframeGate
from agent.media.fanout import Fanout
from agent.media.yuv import Yuv

WINDOW_S = 3.0
DEBT_S = 0.4
"""So far a layer may be ahead of its rate before it leaves pictures out."""
FEWER = ((0.4, 1), (0.2, 2), (0.0, 3))
"""From this share of the layer's rate on, one picture in so many: few good ones rather than many
that are mush."""


class Layer:
    """`pick`, `encode` and `publish` belong to the camera's thread, the rest to the loop's."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lock: threading.Lock,
        fps: float,
        limit_kbit_s: int,
    ) -> None:
        self.gate = KeyframeGate()
        self.fanout = Fanout(loop, self.gate.request, lock)
        self.fps = fps
        self.limit_kbit_s = limit_kbit_s
        self.kbit_s = float(limit_kbit_s)
        """What it shall make."""
        self.encoder: H264Encoder | None = None
        self.pictures = self.keyframes = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=256)
        self._due = 0.0
        self._owed = 0.0
        """Bytes made beyond what the rate has let through."""
        self._owed_at = 0.0

    @property
    def is_wanted(self) -> bool:
        return self.fanout.viewers > 0

    def fps_at(self, now: float) -> float:
        """Pictures a second of late."""
        return sum(now - at < WINDOW_S for at, _ in list(self._recent)) / WINDOW_S

    def kbit_s_at(self, now: float) -> float:
        """What was made of late."""
        return sum(n for at, n in list(self._recent) if now - at < WINDOW_S) / WINDOW_S / 125

    def pick(self, now: float) -> bool:
        """This moment's picture is one of this layer's."""
        if not self.is_wanted:
            self.encoder = None
            return False
        if self.fanout.is_behind(now):
            # A picture that is not encoded is missed by no decoder.
            return False
        step = self.one_in / self.fps
        # A source has jitter: somewhat early is in time.
        early = now < self._due - step / 4
        if (early or self._owes(now)) and not self.gate.is_due(now):
            return False
        self._due = max(self._due + step, now + step / 2)
        return True

    def _owes(self, now: float) -> bool:
        """More was made than the rate allows: it has just fallen, or a keyframe was needed."""
        rate = self.kbit_s * 125
        self._owed = max(0.0, self._owed - (now - self._owed_at) * rate)
        self._owed_at = now
        return self._owed > rate * DEBT_S

    @property
    def one_in(self) -> int:
        """At a low rate fewer pictures are made."""
        share = self.kbit_s / self.limit_kbit_s
        return next(n for least, n in FEWER if share >= least)

    def encode(self, picture: Yuv, now: float) -> None:
        """And publish."""
        width, height = picture.width, picture.height
        encoder = self.encoder
        if encoder is None or (encoder.width, encoder.height) != (width, height):
            kind = encoders.best()
            encoder = H264Encoder(width, height, self.fps, self.limit_kbit_s, kind)
            self.encoder = encoder
        encoder.follow(self.kbit_s * self.one_in)
        for encoded in encoder.encode(picture, now, keyframe=self.gate.take(now)):
            self.publish(encoded)

    def publish(self, picture: Encoded) -> None:
        self.pictures += 1
        self.keyframes += picture.keyframe
        self._recent.append((picture.at, len(picture.data)))
        self._owed += len(picture.data)
        self.fanout.publish(picture)
