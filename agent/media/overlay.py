"""What stands over every picture: who, where, when, readings, alarms, and whether it is a drill.

Text is drawn by OpenCV 5 with the font that it carries ("uni", Latin and Chinese), so that no
system font is needed.  The older `putText` of OpenCV 4 draws no Chinese; then the Chinese words
are left out (`CHINESE` says which).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import cv2
import msgspec

from agent.media.blockcode import CELLS_PER_WIDTH, ROWS, Image, cell_size
from agent.media.wire import MediaConfig, Overlay
from agent.messages import Mark

CHINESE = hasattr(cv2, "FontFace")
MARK_WORDS = {Mark.EXERCISE: "演练 EXERCISE", Mark.TEST: "测试 TEST"}
STALE_S = 5.0
"""Older values are drawn grey with their age: a frozen number must not pass for a live one."""
MAX_LINES = 8

Colour = tuple[int, int, int]
"""Blue, green, red."""
WHITE: Colour = (255, 255, 255)
GREY: Colour = (150, 150, 150)
BLACK: Colour = (0, 0, 0)
ORANGE: Colour = (0, 140, 255)
RED: Colour = (30, 30, 220)


class Pen:
    """Draws text; one for each thread, since a font has state."""

    def __init__(self) -> None:
        self._font = cv2.FontFace("uni") if CHINESE else None

    def text(self, image: Image, text: str, x: int, y: int, size: int, colour: Colour) -> int:
        """Baseline's left end at (x, y), `size` pixels high.  Returns where the text ends, x."""
        if self._font is not None:
            end, _ = cv2.putText(image, text, (x, y), colour, self._font, size, 600)
            return int(end[0])
        plain = text.encode("ascii", "ignore").decode().strip()
        scale = size / 30
        cv2.putText(image, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 2, cv2.LINE_AA)
        return x + self.width(plain, size)

    def width(self, text: str, size: int) -> int:
        """In pixels."""
        if self._font is not None:
            box = cv2.getTextSize((0, 0), text, (0, 0), self._font, size, 600)
            return int(box[0] + box[2])
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size / 30, 2)
        return int(width)


class Values(msgspec.Struct, frozen=True):
    """An overlay as it came from the core, and when."""

    overlay: Overlay
    at: float
    """`time.monotonic()` seconds."""


class Painter:
    """Draws the overlay of one unit.  `show` may be called from another thread than `paint`."""

    def __init__(self, config: MediaConfig) -> None:
        self._config = config
        self._values: Values | None = None
        self.listeners: set[Callable[[Overlay], None]] = set()
        """Told of each overlay, in the thread that shows it."""

    def show(self, overlay: Overlay) -> None:
        """Draw these values from now on."""
        self._values = Values(overlay, time.monotonic())
        for listener in tuple(self.listeners):
            listener(overlay)

    @property
    def overlay(self) -> Overlay | None:
        """The last one."""
        return self._values.overlay if self._values is not None else None

    @property
    def mark(self) -> Mark:
        """A drill's unit stays one whatever an overlay says."""
        values = self._values
        if self._config.mark is not Mark.ACTUAL or values is None:
            return self._config.mark
        return values.overlay.mark

    def paint(self, image: Image, pen: Pen, camera: str) -> None:
        """Over the whole picture."""
        size = max(12, image.shape[0] // 30)
        values = self._values
        y = self._paint_head(image, pen, size, values, camera)
        if (words := MARK_WORDS.get(self.mark)) is not None:
            y = _banner(image, pen, words, y, size)
        if values is not None:
            self._paint_lines(image, pen, size, values, y)

    def _paint_head(
        self, image: Image, pen: Pen, size: int, values: Values | None, camera: str
    ) -> int:
        height = size * 3 // 2
        _shade(image, 0, height, 0, image.shape[1])
        unit = self._config.title or self._config.unit
        place = values.overlay.place if values is not None else ""
        left = "  ".join(word for word in (unit, camera, place) if word)
        clock = _clock(values)
        x = image.shape[1] - pen.width(clock, size) - size // 2
        pen.text(
            image[:, : max(1, x - size // 2)], left, size // 2, height - size // 2, size, WHITE
        )
        pen.text(image, clock, x, height - size // 2, size, WHITE)
        return height

    def _paint_lines(self, image: Image, pen: Pen, size: int, values: Values, top: int) -> None:
        age_s = time.monotonic() - values.at
        stale = age_s > STALE_S
        readings = values.overlay.readings[:MAX_LINES]
        if stale and readings:
            readings = [f"({age_s:.0f} s 前 old)", *readings[: MAX_LINES - 1]]
        step = size * 4 // 3
        bottom = image.shape[0] - ROWS * cell_size(image.shape[1]) - size // 2
        y = bottom - step * len(readings)
        if readings:
            width = max(pen.width(line, size) for line in readings) + size
            _shade(image, max(top, y), bottom, 0, width)
        for n, line in enumerate(readings, 1):
            colour = GREY if stale else WHITE
            pen.text(image, line, size // 2, y + n * step - size // 3, size, colour)
        y = top
        for line in values.overlay.alarms[:MAX_LINES]:
            image[y : y + step + 4, :] = RED
            pen.text(image, line, size // 2, y + step - size // 4, size, WHITE)
            y += step + 4


def _clock(values: Values | None) -> str:
    """The unit's clock, gone on since the last overlay; this machine's before the first one."""
    if values is None:
        at_s = time.time()
    else:
        at_s = values.overlay.time_ms / 1000 + time.monotonic() - values.at
    try:
        moment = datetime.fromtimestamp(at_s).astimezone()
    except (ValueError, OverflowError, OSError):
        return "--"
    return (
        moment.strftime("%Y-%m-%d %H:%M:%S.")
        + f"{moment.microsecond // 100_000}"
        + (moment.strftime("%z"))
    )


def _shade(image: Image, top: int, bottom: int, left: int, right: int) -> None:
    area = image[top:bottom, left:right]
    area >>= 2


def _banner(image: Image, pen: Pen, words: str, top: int, size: int) -> int:
    """The words, again and again, black on orange over the whole width.  Returns its lower edge."""
    height = size * 2
    image[top : top + height, :] = ORANGE
    step = pen.width(words, size * 3 // 2) + size * 2
    count = max(1, image.shape[1] // step)
    start = (image.shape[1] - count * step) // 2 + size
    for n in range(count):
        pen.text(image, words, start + n * step, top + height - size // 2, size * 3 // 2, BLACK)
    return top + height


__all__ = ["CELLS_PER_WIDTH", "CHINESE", "MARK_WORDS", "Painter", "Pen"]
