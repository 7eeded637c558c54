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
from agent.media.yuv import Bgr, Colour, Plane, Yuv, levels

PUFFS = 9
SMOKE: Colour = (110, 205, 190)


class Scene:
    """Draws pictures of `width` x `height`."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._still = Yuv.of(self._backdrop())

    def draw(self, frame: int, t_s: float) -> Yuv:
        """The picture of moment `t_s`; `frame` goes into the block code."""
        picture = self._still.copy()
        self._smoke(picture, t_s)
        self._vehicle(picture, t_s)
        self._lamp(picture, t_s)
        blockcode.stamp(picture, frame, blockcode.now_us())
        return picture

    def _backdrop(self) -> Bgr:
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

    def _smoke(self, picture: Yuv, t_s: float) -> None:
        """Puffs drift downwind and grow; blended only where they are, for the processor's sake."""
        for n in range(PUFFS):
            age = (t_s * 0.11 + n / PUFFS) % 1.0
            x = int(self.width * (0.24 + 0.7 * age))
            y = int(self.height * (0.5 - 0.1 * age + 0.02 * math.sin(t_s + n)))
            radius = int(self.height * (0.02 + 0.09 * age))
            share = 0.55 * (1 - age)
            for plane, level, part in _planes(picture, SMOKE):
                _blend(plane, x // part, y // part, radius // part, level, share)

    def _vehicle(self, picture: Yuv, t_s: float) -> None:
        w, h = self.width, self.height
        x = int((t_s * 0.06 % 1.3 - 0.15) * w)
        top, length, floor = int(h * 0.76), int(w * 0.11), int(h * 0.76) + h // 12
        _box(picture, (x, top), (x + length, floor), (40, 40, 190))
        _box(picture, (x + length, top + h // 40), (x + length + w // 40, floor), (50, 50, 200))
        for wheel in (0.2, 0.95):
            _disc(picture, (x + int(length * wheel), floor), h // 45, (25, 25, 25))

    def _lamp(self, picture: Yuv, t_s: float) -> None:
        """Turns once a second: the eye's own freeze detector."""
        x, y = int(self.width * 0.94), int(self.height * 0.30)
        radius = int(self.height * 0.06)
        _disc(picture, (x, y), radius, (60, 60, 60))
        angle = t_s % 1.0 * 360
        for plane, level, part in _planes(picture, (0, 215, 255)):
            axes = (radius // part, radius // part)
            cv2.ellipse(plane, (x // part, y // part), axes, angle, 0, 60, (level,), -1)


def _planes(picture: Yuv, colour: Colour) -> Iterator[tuple[Plane, int, int]]:
    """Each plane, the colour's level in it, and by how much it is smaller than the picture."""
    return zip(picture.each(), levels(colour), (1, 2, 2), strict=True)


def _box(picture: Yuv, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
    for plane, level, part in _planes(picture, colour):
        corners = [(x // part, y // part) for x, y in (start, end)]
        cv2.rectangle(plane, corners[0], corners[1], (level,), -1)


def _disc(picture: Yuv, centre: tuple[int, int], radius: int, colour: Colour) -> None:
    for plane, level, part in _planes(picture, colour):
        cv2.circle(plane, (centre[0] // part, centre[1] // part), radius // part, (level,), -1)


def _blend(plane: Plane, x: int, y: int, radius: int, level: int, share: float) -> None:
    x0, x1 = max(0, x - radius), min(plane.shape[1], x + radius)
    y0, y1 = max(0, y - radius), min(plane.shape[0], y + radius)
    if x0 >= x1 or y0 >= y1:
        return
    area = plane[y0:y1, x0:x1]
    puff = area.copy()
    cv2.circle(puff, (x - x0, y - y0), radius, (level,), -1)
    cv2.addWeighted(puff, share, area, 1 - share, 0, area)


def frames(width: int, height: int, fps: float) -> Iterator[Callable[[], Yuv]]:
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
