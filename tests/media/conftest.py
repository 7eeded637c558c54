"""A real media process under a real host, and conditions to wait for instead of sleeping."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from agent.media.host import MediaHost
from agent.media.wire import CameraConfig, MediaConfig, MediaEvent, MediaStats
from agent.messages import Mark

LIBRARIES = ("aiortc", "av", "cv2")
collect_ignore = (
    []
    if all(importlib.util.find_spec(name) for name in LIBRARIES)
    else [
        "test_browser.py",
        "test_camera.py",
        "test_encoder.py",
        "test_fanout.py",
        "test_host.py",
        "test_peer.py",
        "test_picture.py",
        "test_pipeline.py",
        "test_viewer.py",
        "record",
    ]
)

SMALL = CameraConfig(
    name="front", source="scene", width=640, height=360, fps=25, bitrate_kbit_s=600
)


def media_config(*cameras: CameraConfig, mark: Mark = Mark.EXERCISE) -> MediaConfig:
    return MediaConfig(unit="ex-cv-01", title="指挥车01", mark=mark, cameras=cameras or (SMALL,))


class Watched:
    """A `MediaHost` and everything that it said."""

    def __init__(self, config: MediaConfig, heartbeat_s: float = 3.0) -> None:
        self.events: list[MediaEvent] = []
        self.stills: list[tuple[str, int, bytes]] = []
        self._news = asyncio.Event()
        limits = msgspec.structs.replace(config.limits, heartbeat_s=heartbeat_s)
        config = msgspec.structs.replace(config, limits=limits)
        self.host = MediaHost(config, self._still, self._event, self._stats)

    def _still(self, camera: str, time_ms: int, jpeg: bytes) -> None:
        self.stills.append((camera, time_ms, jpeg))
        self._news.set()

    def _event(self, event: MediaEvent) -> None:
        self.events.append(event)
        self._news.set()

    def _stats(self, stats: MediaStats) -> None:
        self._news.set()

    def count(self, event: str) -> int:
        return sum(e.event == event for e in self.events)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Looks at `condition` whenever the host says something (at least twice a second)."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def running(config: MediaConfig, heartbeat_s: float = 3.0) -> AsyncIterator[Watched]:
    """A host whose process is up."""
    watched = Watched(config, heartbeat_s)
    task = asyncio.create_task(watched.host.run(), name="media host")
    try:
        await watched.until(lambda: watched.count("media_up") > 0)
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def media() -> AsyncIterator[Watched]:
    async with running(media_config()) as watched:
        yield watched
