"""Real RTSP cameras: GStreamer's server with H.264 a browser plays, with B-frames, and H.265."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from agent.doctor import cameras, words
from agent.media import codecs, examine, loopback, pictures, pipeline, receive, viewer
from agent.media.overlay import Painter
from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.video_part import VideoPart
from agent.media.wire import CameraConfig
from agent.messages import Mark
from agent.settings import tables
from drivers import camera
from tests.media.conftest import media_config
from tests.waiting import until

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
TEST = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! "
H264 = (
    TEST + "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=300 ! "
    "rtph264pay name=pay0 pt=96"
)
B_FRAMES = (
    TEST + "x264enc bframes=2 b-adapt=false speed-preset=veryfast key-int-max=25 rc-lookahead=5 ! "
    "video/x-h264,profile=main ! rtph264pay name=pay0 pt=96"
)
H265 = (
    TEST + "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=300 ! "
    "rtph265pay name=pay0 pt=96"
)


def gstreamer_serves() -> bool:
    code = (
        "import gi; gi.require_version('GstRtspServer', '1.0');"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
        "import sys; sys.exit(any(Gst.ElementFactory.find(n) is None for n in "
        "('x264enc', 'x265enc', 'rtph264pay')))"
    )
    try:
        return subprocess.run([PYTHON, "-c", code], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not gstreamer_serves(),
    reason="GStreamer's RTSP server with x264enc and x265enc is not installed (tests/tools.sh)",
)


@contextmanager
def serving(port: int, **streams: str) -> Iterator[None]:
    words = [f"{path}={launch}" for path, launch in streams.items()]
    process = subprocess.Popen(
        [PYTHON, str(SERVER), str(port), *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def build(port: int, path: str, substream: str = "", mark: Mark = Mark.ACTUAL) -> Pipeline:
    config = CameraConfig(
        name="roof",
        source=f"rtsp://127.0.0.1:{port}/{path}",
        substream=f"rtsp://127.0.0.1:{port}/{substream}" if substream else "",
        fps=25,
    )
    painter = Painter(media_config(config, mark=mark))
    return Pipeline(config, painter, asyncio.get_running_loop(), lambda *_: None)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LINGER_S", 0.1)
    monkeypatch.setattr(pipeline, "BACKOFF_S", (0.05, 0.3))
    loopback.install()
    codecs.install()
    receive.install()


async def test_the_cameras_own_h264_goes_out_untouched_and_a_viewer_plays_it(
    free_port: int,
) -> None:
    with serving(free_port, main=H264):
        roof = build(free_port, "main")
        peers = Peers(lambda *_: None)

        async def exchange(sdp: str) -> str:
            return await peers.answer("s", [VideoPart("s", roof)], sdp)

        recorder = roof.subscribe("recorder")
        async with asyncio.timeout(20):
            first = await recorder.get()
        assert first.keyframe
        decoder = av.CodecContext.create("h264", "r")
        frames = decoder.decode(av.Packet(first.data))  # its parameter sets are with it
        assert isinstance(decoder, av.VideoCodecContext)
        assert (decoder.width, decoder.height) == (320, 240)
        assert isinstance(frames, list)
        seen = await viewer.watch(exchange, seconds=4)
        assert seen.frames_decoded > 40, seen
        assert seen.freezes == 0
        stats = roof.stats()
        assert stats.passed
        assert stats.encoders == 0
        assert stats.detail == "the camera's own H.264, 320x240"
        await peers.close_all()
        recorder.close()
        roof.release("recorder")
        await until(lambda: roof.stats().state == "idle", "the camera is closed")


async def test_in_an_exercise_its_pictures_are_encoded_again_to_carry_the_mark(
    free_port: int,
) -> None:
    with serving(free_port, main=H264):
        roof = build(free_port, "main", mark=Mark.EXERCISE)
        pictures_ = roof.subscribe("test")
        async with asyncio.timeout(20):
            await pictures_.get()
        assert not roof.stats().passed
        assert roof.stats().encoder == "libx264"
        roof.close()
        await until(lambda: roof.stats().encoders == 0, "the thread has ended")


async def test_the_thin_layer_and_stills_of_a_passed_camera_are_made_by_decoding(
    free_port: int,
) -> None:
    with serving(free_port, main=H264):
        roof = build(free_port, "main")
        taken = roof.subscribe("test")
        async with asyncio.timeout(20):
            await taken.get()
            taken.move(roof.thin.fanout)
            while roof.thin.fanout.viewers == 1 and roof.main.fanout.viewers:
                picture = await taken.get()
            picture = await taken.get()
        assert roof.stats().passed
        assert roof.stats().encoder == "libx264"  # of the thin layer
        assert len(picture.data) < 20_000
        stills: list[bytes] = []
        roof._on_still = lambda _camera, _at, jpeg: stills.append(jpeg)
        roof.lease_stills(0.2, 60)
        await until(lambda: len(stills) > 1, "stills came")
        roof.close()
        await until(lambda: roof.stats().encoders == 0, "the thread has ended")


@pytest.mark.parametrize(
    ("launch", "note"),
    [(B_FRAMES, "B-frames, which WebRTC does not carry"), (H265, "it sends H.265")],
    ids=["b-frames", "h265"],
)
async def test_what_a_browser_cannot_play_is_named_and_encoded_again(
    launch: str, note: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "COST_S", 0.5)
    with serving(free_port, main=launch):
        roof = build(free_port, "main")
        taken = roof.subscribe("test")
        async with asyncio.timeout(30):
            while roof.stats().encoder != "libx264" or roof.stats().cost is None:
                await taken.get()
        assert not roof.stats().passed
        assert note in roof.stats().detail
        assert 0 < (roof.stats().cost or 0) < 4
        roof.close()
        await until(lambda: roof.stats().encoders == 0, "the thread has ended")


async def test_the_substream_of_an_h265_camera_is_used(free_port: int) -> None:
    with serving(free_port, main=H265, sub=H264):
        roof = build(free_port, "main", substream="sub")
        taken = roof.subscribe("test")
        async with asyncio.timeout(20):
            assert (await taken.get()).keyframe
        assert roof.stats().passed
        assert roof.stats().detail == (
            "its main stream is H.265, so its substream is used: the camera's own H.264, 320x240"
        )
        roof.close()
        await until(lambda: roof.stats().state != "live" or roof._thread is None, "it has ended")


async def test_a_camera_that_goes_comes_back_by_itself(free_port: int) -> None:
    roof = build(free_port, "main")
    taken = roof.subscribe("test")
    with serving(free_port, main=H264):
        async with asyncio.timeout(20):
            await taken.get()
    await until(lambda: roof.stats().state == "down", "it is down")
    while not taken.is_empty:
        await taken.get()
    with serving(free_port, main=H264):
        async with asyncio.timeout(20):
            assert (await taken.get()).keyframe
        assert roof.stats().state == "live"
        roof.close()
        await until(lambda: roof._thread is None or roof._closed, "it ends")


def test_what_is_open_says_what_it_is(free_port: int) -> None:
    with serving(free_port, main=H265):
        source = f"rtsp://127.0.0.1:{free_port}/main"
        with camera.opened(source, 1280, 720, 25) as feed:
            assert (feed.codec, feed.width, feed.height) == ("hevc", 320, 240)
        config = CameraConfig(name="roof", source=source)
        with pictures.opened(config, may_pass=True) as opened:
            assert not opened.passes
            assert opened.note == "it sends H.265"


async def test_doctor_names_what_a_camera_sends(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "COST_S", 0.5)

    def camera_of(path: str, substream: str = "") -> tables.CameraConfig:
        address = f"rtsp://127.0.0.1:{free_port}/"
        return tables.CameraConfig(
            name="roof", source=address + path, substream=address + substream if substream else ""
        )

    with serving(free_port, main=H264, big=H265):
        good = await cameras.finding(camera_of("main"))
        again = await cameras.finding(camera_of("big"))
        helped = await cameras.finding(camera_of("big", "main"))
    gone = await cameras.finding(camera_of("main"))
    assert good is not None
    assert again is not None
    assert helped is not None
    assert gone is not None
    assert good.code == "camera_passes"
    assert again.code == "camera_encoded_again"
    assert again.data["codec"] == "H.265"
    assert str(again.data["cost"]).endswith("%")
    assert helped.code == "camera_substream"
    assert gone.code == "camera_unreachable"
    assert {f.code for f in (good, again, helped, gone)} <= words.SENTENCES.keys()
