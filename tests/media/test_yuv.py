"""Pictures in the encoder's form: what goes in comes out, and strangers are refused."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from agent.media import pictures, stills
from agent.media.wire import CameraConfig
from agent.media.yuv import GREY, Yuv, levels


def colours(width: int = 64, height: int = 48) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = np.full((height, width, 3), (40, 40, 190), np.uint8)
    image[:, width // 2 :] = (200, 120, 30)
    return image


def test_a_picture_comes_back_as_it_was() -> None:
    image = colours()
    back = Yuv.of(image).bgr()
    assert np.abs(back.astype(int) - image).max() <= 4


def test_an_odd_picture_loses_its_last_row_and_column() -> None:
    picture = Yuv.of(colours(65, 49))
    assert (picture.width, picture.height) == (64, 48)


@pytest.mark.parametrize("shape", [(49, 64), (72, 63), (71, 64)])
def test_what_is_no_such_picture_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"I420 picture, but read an array of {shape[0]}x"):
        Yuv(np.zeros(shape, np.uint8))


def test_a_strip_covers_the_width_and_ends_at_the_edge() -> None:
    picture = Yuv.of(colours())
    red = (30, 30, 220)
    picture.put(Yuv.of(np.full((16, 64, 3), red, np.uint8)), 40)
    assert [int(plane[-1, 0]) for plane in picture.each()] == list(levels(red))
    assert picture.luma[39, 0] == levels((40, 40, 190))[0]


def test_an_area_without_colour_is_as_bright_as_before() -> None:
    picture = Yuv.of(colours())
    before = picture.luma.copy()
    picture.whiten(8, 16, 0, 32)
    assert (picture.luma == before).all()
    assert (picture.u[4:8, :16] == GREY).all()
    assert (picture.v[4:8, :16] == GREY).all()
    assert picture.v[3, 0] != GREY


@pytest.mark.parametrize(
    ("form", "white"), [("yuvj420p", 255), ("yuvj422p", 255), ("yuv420p", 235), ("rgb24", 255)]
)
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (641, 361)])
def test_white_of_any_camera_is_white(form: str, white: int, size: tuple[int, int]) -> None:
    frame = av.VideoFrame(*size, form)
    for n, plane in enumerate(frame.planes):
        plane.update(bytes([white if n == 0 else 128]) * plane.buffer_size)
    later = pictures._Later(
        frame, 0, CameraConfig(name="a", source="file:a", width=640, height=360)
    )
    picture = later()
    assert (picture.width, picture.height) == stills.fitted(size, 640, 360)
    assert int(picture.luma.min()) == pytest.approx(235, abs=1)
