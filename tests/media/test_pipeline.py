"""A camera's thread: works only while it is wanted, and comes back when the camera does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.media import blockcode, pipeline
from agent.media.overlay import Painter
from agent.media.pipeline import Pipeline
from agent.media.wire import CameraConfig
from tests.media.conftest import SMALL, media_config
from tests.media.test_camera import write_video
from tests.waiting import until

Stills = list[tuple[str, int, bytes]]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LINGER_S", 0.1)
    monkeypatch.setattr(pipeline, "BACKOFF_S", (0.05, 0.1))


def build(config: CameraConfig, stills: Stills | None = None) -> Pipeline:
    def keep(camera: str, time_ms: int, jpeg: bytes) -> None:
        if stills is not None:
            stills.append((camera, time_ms, jpeg))

    painter = Painter(media_config(config))
    return Pipeline(config, painter, asyncio.get_running_loop(), keep)


async def test_nothing_is_encoded_while_nobody_watches() -> None:
    camera = build(SMALL)
    assert camera.stats().state == "idle"
    camera.hold("s")  # an offer was made: the camera opens, the encoder does not
    await until(lambda: camera.stats().state == "live", "the camera is live")
    viewer = camera.fanout.join()
    async with asyncio.timeout(5):
        first = await viewer.get()
    assert first.keyframe
    async with asyncio.timeout(10):
        while camera.frames_encoded <= 5:
            await viewer.get()
    assert camera.stats().encoders == 1
    viewer.close()
    await until(lambda: camera.stats().encoders == 0, "the encoder is gone")
    before = camera.frames_encoded
    stills: Stills = []
    camera._on_still = lambda *still: stills.append(still)
    camera.lease_stills(0.2, 60)
    await until(lambda: len(stills) > 2, "stills came")
    assert camera.frames_encoded == before
    camera.stop_stills()
    camera.release("s")
    await until(lambda: camera.stats().state == "idle", "the camera is closed")


async def test_a_keyframe_is_made_for_each_who_asks_but_not_for_each_request() -> None:
    camera = build(SMALL)
    camera.hold("s")
    viewer = camera.fanout.join()
    keyframes_at = []
    async with asyncio.timeout(20):
        for n in range(60):
            packet = await viewer.get()
            if packet.keyframe:
                keyframes_at.append(n)
            if n in (20, 21, 22, 23):
                camera.main.gate.request()  # what PLI and FIR call
    assert keyframes_at[0] == 0
    assert 2 <= len(keyframes_at) <= 3
    assert 20 < keyframes_at[1] <= 32
    camera.close()


async def test_a_video_file_is_a_camera_with_mark_and_overlay(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    write_video(path, code=False)
    stills: Stills = []
    camera = build(CameraConfig(name="roof", source=f"file:{path}", timecode=True), stills)
    camera.lease_stills(0.2, 60)
    await until(lambda: len(stills) > 1, "stills came")
    camera.close()
    name, _, jpeg = stills[-1]
    assert name == "roof"
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    picture = image.astype(np.uint8)
    assert blockcode.read(picture) is not None
    banner = np.abs(picture[18:42].astype(int) - [0, 140, 255]).max(axis=2) < 40
    assert banner.mean() > 0.5  # EXERCISE, black on orange


async def test_a_camera_that_is_plugged_in_later_is_found(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    camera = build(CameraConfig(name="roof", source=f"file:{path}", timecode=True))
    sentence = f"there is no video file '{path}' (No such file or directory)"
    assert camera.check() == sentence
    camera.hold("s")
    viewer = camera.fanout.join()
    await until(lambda: camera.stats().state == "down", "it is down")
    assert camera.stats().detail == sentence
    write_video(tmp_path / "new.mp4")
    os.replace(tmp_path / "new.mp4", path)
    async with asyncio.timeout(10):
        assert (await viewer.get()).keyframe
    assert camera.stats().state == "live"
    assert camera.check() == ""
    camera.close()
    await until(lambda: camera.stats().encoders == 0, "the thread has ended")


async def test_a_camera_lost_while_watched_is_down_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    write_video(path)
    camera = build(CameraConfig(name="roof", source=f"file:{path}"))
    viewer = camera.fanout.join()
    camera.lease_stills(1, 1.5)
    async with asyncio.timeout(10):
        await viewer.get()
    await until(lambda: camera.stats().state == "idle", "the lease is over")
    path.write_bytes(b"\0" * 100)
    camera.hold("s")
    await until(lambda: camera.stats().state == "down", "it is down")
    assert "Invalid data found" in camera.stats().detail
    camera.release("s")
    camera.close()
