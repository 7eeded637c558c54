"""What is drawn: the block code, the overlay, the mark of an exercise, Chinese text."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from agent.media import blockcode, scene, stills
from agent.media.blockcode import Code, Image
from agent.media.overlay import CHINESE, Painter, Pen
from agent.media.scene import Scene
from agent.media.wire import MediaConfig, Overlay
from agent.media.yuv import Yuv
from agent.messages import Mark

ORANGE = np.array([0, 140, 255])
RED = np.array([30, 30, 220])


def blank(width: int = 1280, height: int = 720) -> Image:
    return np.full((height, width, 3), 90, np.uint8)


def painted(paints: Painter, image: Image, pen: Pen) -> Image:
    """As it is seen."""
    picture = Yuv.of(image)
    paints.paint(picture, pen, "front")
    return picture.bgr()


def painter(mark: Mark) -> Painter:
    return Painter(MediaConfig(unit="cv-01", title="指挥车01", mark=mark))


def overlay(mark: Mark = Mark.ACTUAL, **changes: list[str]) -> Overlay:
    return Overlay(unit="cv-01", place="30.6 N", mark=mark, time_ms=1_790_000_000_000, **changes)


def share(image: Image, colour: np.ndarray) -> float:
    return float((np.abs(image.astype(int) - colour).max(axis=2) < 12).mean())


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720), (640, 360), (320, 180)])
def test_the_code_survives_jpeg_at_every_size(width: int, height: int) -> None:
    for frame, at_us in [(0, 0), (65535, 2**32 - 1), (1234, 0xA5A5A5A5)]:
        image = blank(width, height)
        blockcode.draw(image, frame, at_us)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        assert blockcode.read(decoded.astype(np.uint8)) == Code(frame, at_us)


def test_the_code_survives_scaling_and_grey() -> None:
    image = blank()
    blockcode.draw(image, 77, 123456)
    half = cv2.resize(image, (640, 360), interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert blockcode.read(half) == Code(77, 123456)
    grey = cv2.cvtColor(half, cv2.COLOR_BGR2GRAY).astype(np.uint8)
    assert blockcode.read(grey) == Code(77, 123456)


def test_a_picture_without_a_code_has_none() -> None:
    assert blockcode.read(blank()) is None
    assert blockcode.read(np.zeros((720, 1280, 3), np.uint8)) is None
    assert blockcode.read(np.full((720, 1280, 3), 255, np.uint8)) is None
    assert blockcode.read(blank(16, 8)) is None
    damaged = blank()
    blockcode.draw(damaged, 77, 123456)
    damaged[-16:, :16] = 255 - damaged[-16:, :16]
    assert blockcode.read(damaged) is None


def test_an_exercise_is_marked_whatever_the_overlay_says() -> None:
    pen = Pen()
    for configured, said, marked in [
        (Mark.EXERCISE, None, True),
        (Mark.EXERCISE, Mark.ACTUAL, True),
        (Mark.ACTUAL, Mark.EXERCISE, True),
        (Mark.TEST, Mark.ACTUAL, True),
        (Mark.ACTUAL, None, False),
        (Mark.ACTUAL, Mark.ACTUAL, False),
    ]:
        paints = painter(configured)
        if said is not None:
            paints.show(overlay(said))
        image = painted(paints, blank(), pen)
        assert (share(image, ORANGE) > 0.03) is marked, (configured, said)


@pytest.mark.skipif(not CHINESE, reason="OpenCV 4 has no font with Chinese in it")
def test_chinese_is_drawn_and_not_replaced_by_question_marks() -> None:
    pen, drawn = Pen(), []
    for text in ("演练", "氯气", "??", "指挥"):
        image = np.zeros((60, 200, 3), np.uint8)
        assert pen.text(image, text, 5, 45, 32, (255, 255, 255)) > 5
        drawn.append(image.tobytes())
    assert len(set(drawn)) == 4
    assert all(len(set(image)) > 1 for image in drawn)


def test_alarms_are_red_and_old_values_are_grey_with_their_age(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paints, pen = painter(Mark.ACTUAL), Pen()
    paints.show(overlay(readings=["Cl2 1.2 ppm"], alarms=["Cl2 HIGH"]))
    fresh = painted(paints, blank(), pen)
    assert share(fresh, RED) > 0.03
    corner = fresh[580:690, :300]
    assert (corner.min(axis=2) > 240).any()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    old = painted(paints, blank(), pen)
    assert not (old[580:690, :300].min(axis=2) > 240).any()
    assert (old[580:690, :300] != blank()[580:690, :300]).any()


def test_too_many_lines_and_an_impossible_time_do_no_harm() -> None:
    paints, pen = painter(Mark.EXERCISE), Pen()
    for size in [(1280, 720), (160, 90), (64, 48)]:
        paints.show(
            Overlay(
                unit="x",
                place="P" * 500,
                mark=Mark.EXERCISE,
                time_ms=1 << 62,
                readings=["R" * 300] * 100,
                alarms=["A" * 300] * 100,
            )
        )
        image = painted(paints, blank(*size), pen)
        assert image.shape == (size[1], size[0], 3)


def test_the_scene_moves_and_carries_its_number() -> None:
    yard = Scene(640, 360)
    first, second = yard.draw(1, 0.04), yard.draw(2, 0.08)
    upper = slice(0, 330)
    assert (first.luma[upper] != second.luma[upper]).mean() > 0.0005
    code = blockcode.read(second.luma)
    assert code is not None
    assert code.frame == 2
    assert blockcode.age_ms(code) < 5000


class FakeTime:
    """Moves only when slept on, or by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_scene_frames_come_in_real_time_and_are_left_out_when_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeTime()
    monkeypatch.setattr(scene, "time", clock)
    pictures = scene.frames(640, 360, 25)

    def number() -> int | None:
        code = blockcode.read(next(pictures)().luma)
        return None if code is None else code.frame

    assert [number() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert clock.now == pytest.approx(100 + 4 / 25)
    clock.now += 1.01
    assert number() == 29
    assert number() == 30
    assert clock.now == pytest.approx(100 + 30 / 25)


def test_a_still_is_small_and_readable() -> None:
    image = Scene(1280, 720).draw(5, 1.0)
    data = stills.jpeg(image)
    assert len(data) < 60_000
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (360, 640, 3)
    code = blockcode.read(decoded.astype(np.uint8))
    assert code is not None
    assert code.frame == 5


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (1280, 720)), ((1920, 1080), (1280, 720)), ((1000, 1000), (720, 720)),
     ((641, 361), (640, 360))],
)  # fmt: skip
def test_a_picture_is_fitted_with_its_shape_kept(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert stills.fitted(size, 1280, 720) == expected


def test_a_lease_gives_its_period_and_ends() -> None:
    lease = stills.StillLease(1.0, 3.5)
    now = time.monotonic()
    due = [n / 10 for n in range(60) if lease.take(now + n / 10)]
    assert len(due) == 4
    assert due[-1] <= 3.5
    assert lease.is_over(now + 4)
