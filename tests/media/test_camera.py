"""Cameras that are not the scene: files, devices and addresses, present and absent."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from agent.media import blockcode
from drivers import camera


def write_video(path: Path, count: int = 12, fps: int = 25, code: bool = True) -> None:
    """A real file, H.264 in MP4, each picture with its number as block code."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for n in range(count):
            image = np.full((360, 640, 3), 60 + 10 * (n % 10), np.uint8)
            if code:
                blockcode.draw(image, n, n)
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts, frame.time_base = n, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def frames(source: str, width: int, height: int, fps: float) -> Iterator[av.VideoFrame]:
    with camera.opened(source, width, height, fps) as feed:
        decoder = feed.decoder()
        for packet in feed.packets():
            yield from decoder.decode(packet)


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        samples = np.zeros((1, 800), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


def test_a_file_is_played_in_real_time_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    write_video(path, count=12, fps=25)
    start = time.monotonic()
    numbers = []
    for frame in itertools.islice(frames(f"file:{path}", 1280, 720, 25), 30):
        code = blockcode.read(frame.to_ndarray(format="bgr24").astype(np.uint8))
        numbers.append(None if code is None else code.frame)
    took_s = time.monotonic() - start
    assert numbers == [*range(12), *range(12), *range(6)]
    assert took_s >= 29 / 25 - 0.02  # not faster than it was filmed, the seam included


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        (
            "v4l2:/dev/video-none",
            OSError,
            "there is no video device '/dev/video-none' (No such file or directory)",
        ),
        ("v4l2:{tmp}", OSError, "'{tmp}' is no video device (not a character device)"),
        (
            "file:{tmp}/none.mp4",
            OSError,
            "there is no video file '{tmp}/none.mp4' (No such file or directory)",
        ),
        ("file:{tmp}", OSError, "'{tmp}' is no file"),
        (
            "webcam:0",
            ValueError,
            "a camera's source is scene, v4l2:..., file:..., rtsp:..., rtsps:..., "
            "but is 'webcam:0'",
        ),
        ("rtsp:camera", ValueError, "expected rtsp://host/path, but read 'rtsp:camera'"),
    ],
)
def test_what_cannot_work_is_named_without_opening_it(
    source: str, error: type[Exception], text: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        camera.probe(source.format(tmp=tmp_path))
    assert str(caught.value) == text.format(tmp=tmp_path)


def test_a_device_that_is_no_camera_is_named() -> None:
    with pytest.raises(OSError, match="video device 'v4l2:/dev/null': "):
        next(frames("v4l2:/dev/null", 640, 360, 25))


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video in here" * 100)
    with pytest.raises(OSError, match=r"video file 'file:.*a\.mp4': Invalid data found"):
        next(frames(f"file:{tmp_path / 'a.mp4'}", 640, 360, 25))
    write_sound(tmp_path / "a.wav")
    with pytest.raises(OSError, match=r"a\.wav' has no picture in it"):
        next(frames(f"file:{tmp_path / 'a.wav'}", 640, 360, 25))


def test_an_rtsp_camera_that_refuses_is_named_without_its_password(free_port: int) -> None:
    source = f"rtsp://admin:secret@127.0.0.1:{free_port}/stream"
    with pytest.raises(OSError, match="Connection refused") as caught:
        next(frames(source, 640, 360, 25))
    assert f"camera 'rtsp://***@127.0.0.1:{free_port}/stream'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_rtsp_camera_that_says_nothing_does_not_hang_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera, "OPEN_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken: list[socket.socket] = []
        thread = threading.Thread(target=lambda: taken.append(server.accept()[0]), daemon=True)
        thread.start()
        start = time.monotonic()
        with pytest.raises(OSError, match="rtsp://127"):
            next(frames(f"rtsp://127.0.0.1:{port}/stream", 640, 360, 25))
        assert time.monotonic() - start < 10
        thread.join()
        taken[0].close()
