"""The synthetic scene: a yard with a leaking tank, smoke in the wind and a passing vehicle.

It stands in for a camera in drills, so it always carries the block code and always moves: a frozen
picture is seen at once, by a person and by a test.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from agent.media import blockcode
from agent.media.blockcode import Image

PUFFS = 9


class Scene:
    """Draws pictures of `width` x `height`."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._still = self._backdrop()

    def draw(self, frame: int, t_s: float) -> Image:
        """The picture of moment `t_s`; `frame` goes into the block code."""
        image = self._still.copy()
        self._smoke(image, t_s)
        self._vehicle(image, t_s)
        self._lamp(image, t_s)
        blockcode.draw(image, frame, blockcode.now_us())
        return image

    def _backdrop(self) -> Image:
        w, h = self.width, self.height
        horizon = int(h * 0.55)
        rows = np.linspace(0, 1, h)[:, np.newaxis]
        sky = np.array([200, 175, 150]) * (1 - rows) + np.array([235, 225, 215]) * rows
        image = np.repeat(sky[:, np.newaxis, :], w, axis=1).astype(np.uint8)
        image[horizon:] = (92, 104, 108)
        rng = np.random.default_rng(1)
        grain = rng.integers(-9, 9, (h - horizon, w, 1), dtype=np.int16)
        ground = image[horizon:].astype(np.int16) + grain
        image[horizon:] = np.clip(ground, 0, 255).astype(np.uint8)
        for x in range(0, w, max(8, w // 16)):
            top = horizon - int(h * (0.05 + 0.08 * abs(math.sin(x * 0.013))))
            cv2.rectangle(image, (x, top), (x + w // 18, horizon), (120, 124, 118), -1)
        cv2.rectangle(image, (0, int(h * 0.78)), (w, int(h * 0.93)), (62, 62, 64), -1)
        for x in range(0, w, w // 10):
            cv2.line(image, (x, int(h * 0.855)), (x + w // 22, int(h * 0.855)), (210, 210, 210), 3)
        tank, radius = (int(w * 0.2), int(h * 0.56)), int(h * 0.09)
        cv2.rectangle(
            image,
            (tank[0] - radius * 2, tank[1] - radius),
            (tank[0] + radius * 2, tank[1] + radius),
            (188, 190, 186),
            -1,
        )
        for side in (-2, 2):
            cv2.circle(image, (tank[0] + side * radius, tank[1]), radius, (188, 190, 186), -1)
        cv2.putText(
            image,
            "Cl2",
            (tank[0] - radius, tank[1] + radius // 3),
            cv2.FONT_HERSHEY_SIMPLEX,
            radius / 34,
            (40, 90, 40),
            2,
            cv2.LINE_AA,
        )
        return image

    def _smoke(self, image: Image, t_s: float) -> None:
        """Puffs drift downwind and grow; blended only where they are, for the processor's sake."""
        for n in range(PUFFS):
            age = (t_s * 0.11 + n / PUFFS) % 1.0
            x = int(self.width * (0.24 + 0.7 * age))
            y = int(self.height * (0.5 - 0.1 * age + 0.02 * math.sin(t_s + n)))
            radius = int(self.height * (0.02 + 0.09 * age))
            x0, x1 = max(0, x - radius), min(self.width, x + radius)
            y0, y1 = max(0, y - radius), min(self.height, y + radius)
            if x0 >= x1 or y0 >= y1:
                continue
            area = image[y0:y1, x0:x1]
            puff = area.copy()
            cv2.circle(puff, (x - x0, y - y0), radius, (110, 205, 190), -1)
            cv2.addWeighted(puff, 0.55 * (1 - age), area, 1 - 0.55 * (1 - age), 0, area)

    def _vehicle(self, image: Image, t_s: float) -> None:
        w, h = self.width, self.height
        x = int((t_s * 0.06 % 1.3 - 0.15) * w)
        top, length = int(h * 0.76), int(w * 0.11)
        cv2.rectangle(image, (x, top), (x + length, top + h // 12), (40, 40, 190), -1)
        cv2.rectangle(
            image,
            (x + length, top + h // 40),
            (x + length + w // 40, top + h // 12),
            (50, 50, 200),
            -1,
        )
        for part in (0.2, 0.95):
            centre = (x + int(length * part), top + h // 12)
            cv2.circle(image, centre, h // 45, (25, 25, 25), -1)

    def _lamp(self, image: Image, t_s: float) -> None:
        """Turns once a second: the eye's own freeze detector."""
        centre = (int(self.width * 0.94), int(self.height * 0.30))
        radius = int(self.height * 0.06)
        cv2.circle(image, centre, radius, (60, 60, 60), -1)
        angle = t_s % 1.0 * 360
        cv2.ellipse(image, centre, (radius, radius), angle, 0, 60, (0, 215, 255), -1)


def frames(width: int, height: int, fps: float) -> Iterator[Callable[[], Image]]:
    """One picture each 1/`fps` s, in real time and for ever; drawn only if called for.

    When the consumer is late the missed pictures are left out, and their numbers with them.
    """
    scene = Scene(width, height)
    start = time.monotonic()
    number = 0
    while True:
        due = start + number / fps
        late = time.monotonic() - due
        if late < 0:
            time.sleep(-late)
        else:
            number += int(late * fps)
        yield lambda number=number: scene.draw(number, number / fps)  # type: ignore[misc]
        number += 1
