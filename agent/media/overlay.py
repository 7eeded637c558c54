"""What stands over every picture: who, where, when, readings, alarms, and whether it is a drill.

Text is drawn by OpenCV 5 with the font that it carries ("uni", Latin and Chinese), so that no
system font is needed.  The older `putText` of OpenCV 4 draws no Chinese; then the Chinese words
are left out (`CHINESE` says which).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import cv2
import msgspec
import numpy as np

from agent.media.blockcode import CELLS_PER_WIDTH, ROWS, Image, cell_size
from agent.media.wire import MediaConfig, Overlay
from agent.media.yuv import Colour, Plane, Yuv
from agent.messages import Mark

CHINESE = hasattr(cv2, "FontFace")
MARK_WORDS = {Mark.EXERCISE: "演练 EXERCISE", Mark.TEST: "测试 TEST"}
STALE_S = 5.0
"""Older values are drawn grey with their age: a frozen number must not pass for a live one."""
MAX_LINES = 8

KEPT = 64
"""Pieces of text, drawn."""

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
ORANGE: Colour = (0, 140, 255)
RED: Colour = (30, 30, 220)
BRIGHT, DIM = 235, 145
"""Of text on what is shaded."""


class Pen:
    """Draws text; one for each thread, since a font has state.  What it has drawn is kept: most of
    an overlay stays as it is for many pictures."""

    def __init__(self) -> None:
        self._font = cv2.FontFace("uni") if CHINESE else None
        self.line: Callable[[str, int, int, int], Plane] = lru_cache(KEPT)(self._line)
        """(text, size, level, most): on black, this bright and at most so wide."""
        self.strip: Callable[[str, int, int, int], Yuv] = lru_cache(KEPT)(self._strip)
        """(text, size, width, height): white on red."""
        self.banner: Callable[[str, int, int], Yuv] = lru_cache(KEPT)(self._banner)
        """(words, size, width): again and again, black on orange over the whole width."""

    def _line(self, text: str, size: int, level: int, most: int) -> Plane:
        width = min(self.width(text, size) + size // 4, max(most, 0))
        plane = np.zeros((size * 3 // 2, width), np.uint8)
        if width:
            self.text(plane, text, 0, size * 3 // 2 - size // 2, size, (level, level, level))
        return plane

    def _strip(self, text: str, size: int, width: int, height: int) -> Yuv:
        image = np.full((height, width, 3), RED, np.uint8)
        self.text(image, text, size // 2, height - 4 - size // 4, size, WHITE)
        return Yuv.of(image)

    def _banner(self, words: str, size: int, width: int) -> Yuv:
        height, large = size * 2, size * 3 // 2
        image = np.full((height, width, 3), ORANGE, np.uint8)
        step = self.width(words, large) + height
        count = max(1, width // step)
        start = (width - count * step) // 2 + size
        for n in range(count):
            self.text(image, words, start + n * step, height - size // 2, large, BLACK)
        return Yuv.of(image)

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

    def paint(self, picture: Yuv, pen: Pen, camera: str) -> None:
        """Over the whole picture."""
        size = max(12, picture.height // 30)
        values = self._values
        y = self._paint_head(picture, pen, size, values, camera)
        if (words := MARK_WORDS.get(self.mark)) is not None:
            banner = pen.banner(words, size, picture.width)
            picture.put(banner, y)
            y += banner.height
        if values is not None:
            self._paint_lines(picture, pen, size, values, y)

    def _paint_head(
        self, picture: Yuv, pen: Pen, size: int, values: Values | None, camera: str
    ) -> int:
        height = size * 3 // 2 & ~1
        _shade(picture, 0, height, picture.width)
        unit = self._config.title or self._config.unit
        place = values.overlay.place if values is not None else ""
        left = "  ".join(word for word in (unit, camera, place) if word)
        clock = pen.line(_clock(values), size, BRIGHT, picture.width)
        x = max(0, picture.width - clock.shape[1] - size // 4)
        _lay(picture.luma, clock, x, 0)
        _lay(picture.luma, pen.line(left, size, BRIGHT, x - size), size // 2, 0)
        return height

    def _paint_lines(self, picture: Yuv, pen: Pen, size: int, values: Values, top: int) -> None:
        age_s = time.monotonic() - values.at
        stale = age_s > STALE_S
        readings = values.overlay.readings[:MAX_LINES]
        if stale and readings:
            readings = [f"({age_s:.0f} s 前 old)", *readings[: MAX_LINES - 1]]
        step = size * 4 // 3
        below = ROWS * cell_size(picture.width) + size // 2
        bottom = picture.height - below & ~1
        y = bottom - step * len(readings)
        level = DIM if stale else BRIGHT
        lines = [pen.line(line, size, level, picture.width) for line in readings]
        if lines:
            width = max(line.shape[1] for line in lines) + size
            _shade(picture, max(top, y & ~1), bottom, min(width & ~1, picture.width))
        for n, line in enumerate(lines):
            _lay(picture.luma, line, size // 2, y + n * step)
        y = top
        for text in values.overlay.alarms[:MAX_LINES]:
            strip = pen.strip(text, size, picture.width, step + 5 & ~1)
            picture.put(strip, y)
            y += strip.height


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


def _shade(picture: Yuv, top: int, bottom: int, right: int) -> None:
    """A quarter as bright, and grey, from the left edge on.  Bounds are even."""
    if top < bottom:
        area = picture.luma[top:bottom, :right]
        area >>= 2
        area += 12
        picture.whiten(top, bottom, 0, right)


def _lay(plane: Plane, text: Plane, x: int, y: int) -> None:
    """Bright text on what is darker; what is outside is left out."""
    text = text[max(0, -y) :]
    area = plane[max(0, y) : max(0, y) + text.shape[0], x : x + text.shape[1]]
    np.maximum(area, text[: area.shape[0], : area.shape[1]], out=area)


__all__ = ["CELLS_PER_WIDTH", "CHINESE", "MARK_WORDS", "Painter", "Pen"]
