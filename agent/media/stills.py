"""Single pictures at intervals, for links (or laptops) that carry no video."""

from __future__ import annotations

import time

import cv2

from agent.media.yuv import Yuv

WIDTH = 640
"""Stills are scaled down to this: about 30 kB, which a thin link carries each second."""
QUALITY = 70


class StillLease:
    """Who asked, asked for a while: nobody's pictures go on for ever because he went away."""

    def __init__(self, period_s: float, lease_s: float) -> None:
        now = time.monotonic()
        self.period_s = period_s
        self._until = now + lease_s
        self._next = now

    def is_over(self, now: float) -> bool:
        return now >= self._until

    def take(self, now: float) -> bool:
        """True where a still is due now."""
        if now < self._next or self.is_over(now):
            return False
        self._next = max(self._next + self.period_s, now)
        return True


def fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Width and height scaled down to fit, in their proportion; both even, as 4:2:0 needs."""
    scale = min(1.0, width / size[0], height / size[1])
    return max(2, int(size[0] * scale) & ~1), max(2, int(size[1] * scale) & ~1)


def fit(picture: Yuv, width: int, height: int) -> Yuv:
    """Scaled down to fit; itself where it does."""
    size = fitted((picture.width, picture.height), width, height)
    return picture if size == (picture.width, picture.height) else picture.resized(*size)


def jpeg(picture: Yuv) -> bytes:
    """OSError where OpenCV cannot encode it."""
    small = fit(picture, WIDTH, picture.height)
    done, data = cv2.imencode(".jpg", small.bgr(), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise OSError(f"a picture of {small.width}x{small.height} could not be made a JPEG")
    return data.tobytes()
