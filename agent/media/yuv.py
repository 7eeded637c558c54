"""A picture in the form that encoders take and decoders give, so that nothing is converted between:
brightness for each pixel, colour for each four (I420, BT.601, 16 to 235).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
"""Height x width."""
Bgr = NDArray[np.uint8]
"""Height x width x 3, blue green red, 0 to 255."""
Colour = tuple[int, int, int]
"""Blue, green, red."""
GREY = 128
"""No colour."""


class Yuv:
    """Width and height are even."""

    __slots__ = ("luma", "planes", "u", "v")

    def __init__(self, planes: Plane) -> None:
        """Height * 3 / 2 rows of `width`: brightness, then both colours at half the size.  Not
        copied.  ValueError where it is no such picture."""
        rows, width = planes.shape
        height = rows * 2 // 3
        if rows % 3 or height % 2 or width % 2 or not planes.flags.c_contiguous:
            raise ValueError(f"expected an I420 picture, but read an array of {rows}x{width}")
        self.planes = planes
        self.luma: Plane = planes[:height]
        half = planes[height:].reshape(2, height // 2, width // 2)
        self.u: Plane = half[0]
        self.v: Plane = half[1]

    @classmethod
    def of(cls, image: Bgr) -> Yuv:
        """Its last row and column are left out where their number is odd."""
        height, width = image.shape[0] & ~1, image.shape[1] & ~1
        even = np.ascontiguousarray(image[:height, :width])
        return cls(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False))

    @property
    def width(self) -> int:
        return int(self.planes.shape[1])

    @property
    def height(self) -> int:
        return int(self.luma.shape[0])

    def bgr(self) -> Bgr:
        return cv2.cvtColor(self.planes, cv2.COLOR_YUV2BGR_I420).astype(np.uint8, copy=False)

    def copy(self) -> Yuv:
        return Yuv(self.planes.copy())

    def resized(self, width: int, height: int) -> Yuv:
        planes = np.empty((height * 3 // 2, width), np.uint8)
        small = Yuv(planes)
        for mine, other in zip(self.each(), small.each(), strict=True):
            cv2.resize(mine, other.shape[::-1], dst=other, interpolation=cv2.INTER_AREA)
        return small

    def each(self) -> tuple[Plane, Plane, Plane]:
        return self.luma, self.u, self.v

    def put(self, strip: Yuv, top: int) -> None:
        """Over the whole width from row `top` (even) on; what is below the picture is left out."""
        for mine, other, y in zip(
            self.each(), strip.each(), (top, top // 2, top // 2), strict=True
        ):
            area = mine[y : y + other.shape[0]]
            area[...] = other[: area.shape[0]]

    def whiten(self, top: int, bottom: int, left: int, right: int) -> None:
        """Take the colour out of an area; its bounds are even."""
        rows, columns = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        self.u[rows, columns] = GREY
        self.v[rows, columns] = GREY


@cache
def levels(colour: Colour) -> tuple[int, int, int]:
    """Of the three planes."""
    one = Yuv.of(np.full((2, 2, 3), colour, np.uint8))
    return int(one.luma[0, 0]), int(one.u[0, 0]), int(one.v[0, 0])
