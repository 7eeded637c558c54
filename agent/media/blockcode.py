"""A number drawn into a picture so that a machine can read it after encoding and decoding.

56 bits, most significant first, in two rows of 28 cells at the lower left corner, white for 1:
16 bits frame number, 32 bits microseconds of CLOCK_MONOTONIC, 8 bits checksum.  A cell is a square
of 1/80 of the picture's width, so that the code can be read from a scaled picture too.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.media.yuv import Yuv

COLUMNS = 28
ROWS = 2
CELLS_PER_WIDTH = 80
MODULUS_US = 1 << 32

Image = NDArray[np.uint8]
"""Height x width x 3, blue green red; or height x width, brightness."""


class Code(NamedTuple):
    frame: int
    """Modulo 65536."""
    at_us: int
    """When the picture was made: CLOCK_MONOTONIC, microseconds modulo 2**32."""


def now_us() -> int:
    """CLOCK_MONOTONIC in the unit and range of `Code.at_us`."""
    return time.monotonic_ns() // 1000 % MODULUS_US


def age_ms(code: Code) -> float:
    """How long ago a picture was made, ms; only meaningful on the machine that made it."""
    return ((now_us() - code.at_us) % MODULUS_US) / 1000


def _checksum(payload: int) -> int:
    """Sum of the six bytes, complemented, so that neither all black nor all white is a code."""
    return ~sum(payload.to_bytes(6, "big")) & 0xFF


def cell_size(width: int) -> int:
    """In pixels, for a picture that is drawn."""
    return max(4, width // CELLS_PER_WIDTH)


def draw(image: Image, frame: int, at_us: int) -> None:
    """Into the lower left corner of `image`."""
    payload = (frame & 0xFFFF) << 32 | (at_us % MODULUS_US)
    value = payload << 8 | _checksum(payload)
    data = np.frombuffer(value.to_bytes(COLUMNS * ROWS // 8, "big"), np.uint8)
    grid = np.unpackbits(data).reshape(ROWS, COLUMNS) * np.uint8(235)
    cell = cell_size(image.shape[1])
    block = grid.repeat(cell, axis=0).repeat(cell, axis=1)
    block = block[: image.shape[0], : image.shape[1]]
    target = image[image.shape[0] - block.shape[0] :, : block.shape[1]]
    target[...] = block[..., np.newaxis] if image.ndim == 3 else block


def stamp(picture: Yuv, frame: int, at_us: int) -> None:
    """As `draw`, without the colours that were there."""
    draw(picture.luma, frame, at_us)
    cell = cell_size(picture.width)
    top = max(0, picture.height - ROWS * cell)
    picture.whiten(top & ~1, picture.height, 0, min(picture.width, COLUMNS * cell) + 1)


def read(image: Image) -> Code | None:
    """The code in a decoded picture; None where there is none (or it came through damaged)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    height, width = grey.shape[:2]
    cell = max(4.0, width / CELLS_PER_WIDTH)
    x = ((np.arange(COLUMNS) + 0.5) * cell).astype(int)
    y = height - ((ROWS - np.arange(ROWS) - 0.5) * cell).astype(int) - 1
    if x[-1] + 1 >= width or y[0] < 1:
        return None
    centres = np.stack([grey[np.ix_(y + dy, x + dx)] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    value = 0
    for bit in (centres.mean(axis=0) > 117).flatten():
        value = value << 1 | int(bit)
    payload, checksum = value >> 8, value & 0xFF
    if _checksum(payload) != checksum:
        return None
    return Code(frame=payload >> 32, at_us=payload & 0xFFFFFFFF)
