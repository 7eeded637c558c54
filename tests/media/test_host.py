"""The core's side: whatever the process does, the loop goes on and pictures come back."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.media.wire import CameraConfig, MediaConfig, MediaError, Overlay
from agent.messages import Mark
from tests.media.conftest import SMALL, Watched, media_config, running
from tests.waiting import until


def alive(pid: int) -> bool:
    """Neither gone nor a zombie.  Linux."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def test_a_killed_process_is_back_within_seconds(media: Watched) -> None:
    first = media.host.pid
    assert first is not None
    media.host.stills("front", 0.2, 60)
    await media.until(lambda: len(media.stills) > 0)
    killed = time.monotonic()
    os.kill(first, signal.SIGKILL)
    await media.until(lambda: media.count("media_up") == 2)
    assert time.monotonic() - killed < 8
    assert media.host.pid != first
    (down,) = [e for e in media.events if e.event == "media_down"]
    assert down.detail == "ended with exit status -9"
    assert media.host.stats.restarts == 1
    seen = len(media.stills)
    await media.until(lambda: len(media.stills) > seen)  # the lease outlives the process


async def test_a_hung_process_is_killed_while_the_loop_goes_on() -> None:
    async with running(media_config(), heartbeat_s=1.5) as media:
        hung = media.host.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        gaps: list[float] = []
        back = asyncio.create_task(media.until(lambda: media.count("media_up") == 2))
        overlay = Overlay(unit="ex-cv-01", place="x" * 4096, mark=Mark.EXERCISE, time_ms=0)
        while not back.done():
            before = time.monotonic()
            media.host.overlay(overlay)  # nobody reads them: they must not pile up or block
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)
        await back
        assert not alive(hung)
        down = next(e for e in media.events if e.event == "media_down")
        assert down.detail == "said nothing for 1.5 s and was killed"
        assert max(gaps) < 1.0


async def test_an_offer_in_flight_gets_a_sentence_when_the_process_dies(media: Watched) -> None:
    pid = media.host.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    offer = asyncio.create_task(media.host.offer("s", "front", "v=0\r\n"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(MediaError) as caught:
        await offer
    assert caught.value.code == "unavailable"
    assert str(caught.value) == "the media process ended with exit status -9"
    with pytest.raises(MediaError, match="the media process is starting; try again in a moment"):
        await media.host.offer("s", "front", "v=0\r\n")


async def test_cancelling_ends_the_process() -> None:
    async with running(media_config()) as media:
        pid = media.host.pid
        assert pid is not None
        assert alive(pid)
    assert not alive(pid)


PARENT = """
import asyncio, sys
from agent.media.host import MediaHost
from agent.media.wire import CameraConfig, MediaConfig
from agent.messages import Mark

async def main():
    config = MediaConfig(unit="ex-cv-01", mark=Mark.EXERCISE,
                         cameras=(CameraConfig(name="front", source="scene"),))
    def said(event):
        print(event.event, host.pid, flush=True)
    host = MediaHost(config, lambda *a: None, said, lambda stats: None)
    await host.run()

asyncio.run(main())
"""


@pytest.mark.parametrize("hung", [False, True])
async def test_the_process_dies_with_its_parent(hung: bool) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        while b"media_up" not in (line := await parent.stdout.readline()):
            assert line
    pid = int(line.split()[1])
    if hung:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(pid), "the media process has ended", 5)


async def test_what_the_core_asks_wrongly_is_named(media: Watched) -> None:
    host = media.host
    refused: list[tuple[str, str, Callable[[], None]]] = [
        ("not_found", "no camera 'rear'; this unit has: front", lambda: host.stop_stills("rear")),
        (
            "malformed",
            "period_s must be 0.2 to 60 s, but is 0.01",
            lambda: host.stills("", 0.01, 9),
        ),
        ("malformed", "lease_s must be 1 to 600 s, but is 1e+09", lambda: host.stills("", 1, 1e9)),
    ]
    for code, text, call in refused:
        with pytest.raises(MediaError) as caught:
            call()
        assert (caught.value.code, str(caught.value)) == (code, text)
    with pytest.raises(MediaError, match="the offer has 65537 characters, expected at most 65536"):
        await host.offer("s", "front", "v" * 65537)


async def test_stills_end_with_their_lease(media: Watched) -> None:
    media.host.stills("", 0.2, 1.0)
    await media.until(lambda: media.host.stats.cameras[0].state == "live")
    await media.until(lambda: media.host.stats.cameras[0].state == "idle")
    assert 3 <= len(media.stills) <= 7
    camera, _, jpeg = media.stills[0]
    assert camera == "front"
    assert jpeg.startswith(b"\xff\xd8")
    assert media.host.stats.frames_encoded == 0  # a still needs no encoder


async def quiet(config: MediaConfig) -> Watched:
    """A host that has nothing to start; its first (and only) word has been heard."""
    watched = Watched(config)
    task = asyncio.create_task(watched.host.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watched.host.pid is None
    return watched


async def test_without_the_extra_cameras_are_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> Any:
        return None if name in ("av", "aiortc") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    watched = await quiet(media_config())
    (camera,) = watched.host.stats.cameras
    assert camera.state == "disabled"
    assert camera.detail == (
        "video is disabled: aiortc, av not installed; install the extra 'media' "
        "(pip install 'outpost[media]')"
    )
    with pytest.raises(MediaError, match="install the extra 'media'"):
        await watched.host.offer("s", "", "v=0")


async def test_disabled_and_cameraless_units_say_so() -> None:
    off = await quiet(MediaConfig(unit="cv-01", mark=Mark.ACTUAL, cameras=(SMALL,), enabled=False))
    with pytest.raises(MediaError, match=r"video is disabled: \[media\] enabled = false"):
        off.host.stills("", 1, 10)
    none = await quiet(MediaConfig(unit="cv-01", mark=Mark.ACTUAL))
    with pytest.raises(MediaError, match="this unit has no camera"):
        none.host.stills("", 1, 10)


def test_the_core_side_imports_no_media_library() -> None:
    program = (
        "import sys, agent.media.host, agent.media.wire;"
        "print([m for m in ('av', 'cv2', 'aiortc', 'aioice', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


async def test_an_absent_camera_is_reported_and_refused() -> None:
    absent = CameraConfig(name="roof", source="v4l2:/dev/video-none")
    async with running(media_config(absent, SMALL)) as media:
        (event,) = [e for e in media.events if e.camera == "roof"]
        sentence = "there is no video device '/dev/video-none' (No such file or directory)"
        assert (event.state, event.detail) == ("down", sentence)
        with pytest.raises(MediaError) as caught:
            await media.host.offer("s", "roof", "v=0\r\n")
        assert caught.value.code == "unavailable"
        assert str(caught.value) == f"camera 'roof': {sentence}"
