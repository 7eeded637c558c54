"""Single pictures at intervals, for links (or laptops) that carry no video."""

from __future__ import annotations

import time

import cv2

from agent.media.blockcode import Image

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


def fit(image: Image, width: int, height: int) -> Image:
    """Scaled down to fit, its shape kept; both sides even, as 4:2:0 needs."""
    scale = min(1.0, width / image.shape[1], height / image.shape[0])
    w = max(2, int(image.shape[1] * scale) & ~1)
    h = max(2, int(image.shape[0] * scale) & ~1)
    if (h, w) == image.shape[:2]:
        return image
    return cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA).astype("uint8", copy=False)


def jpeg(image: Image) -> bytes:
    """OSError where OpenCV cannot encode it."""
    small = fit(image, WIDTH, image.shape[0])
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise OSError(f"a picture of {small.shape[1]}x{small.shape[0]} could not be made a JPEG")
    return data.tobytes()
