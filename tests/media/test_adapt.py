"""Layers and rates follow the viewers' links, with real encoders and real peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from av import VideoFrame

from agent.media import codecs, loopback, receive, viewer
from agent.media.adapt import Adapter
from agent.media.overlay import Painter
from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.video_part import VideoPart
from tests.media.conftest import SMALL, media_config
from tests.waiting import until


class Room:
    """A camera, its adapter, and viewers in this process."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.camera = Pipeline(SMALL, Painter(media_config()), loop, lambda *_: None)
        self.adapter = Adapter([self.camera])
        self.peers = Peers(lambda *_: None)
        self.parts: dict[str, VideoPart] = {}
        self.widths: dict[str, list[int]] = {}
        self.stop = asyncio.Event()

    async def play(self, name: str) -> viewer.ViewerStats:
        part = self.parts[name] = VideoPart(name, self.camera)
        widths = self.widths[name] = []

        async def exchange(sdp: str) -> str:
            return await self.peers.answer(name, [part], sdp)

        def take(frame: VideoFrame) -> None:
            widths.append(frame.width)

        return await viewer.watch(exchange, seconds=50, on_frame=take, stop=self.stop)

    def holds(self, name: str, kbit_s: float) -> None:
        """From now on that viewer's link bears no more."""
        link = self.parts[name].link
        link.most_kbit_s = link.estimator.most_kbit_s = kbit_s
        link.estimator.kbit_s = min(kbit_s, link.estimator.kbit_s)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    loopback.install()
    codecs.install()
    receive.install()
    room = Room()
    adapting = asyncio.create_task(room.adapter.run())
    yield room
    adapting.cancel()
    await room.peers.close_all()
    room.camera.close()
    await until(lambda: room.camera.stats().state == "idle", "the camera is closed")


async def test_feedback_raises_the_estimate_and_a_slow_viewer_slows_nobody(room: Room) -> None:
    watching = asyncio.gather(room.play("good"), room.play("slow"))
    await until(lambda: all(len(room.widths.get(n, ())) > 10 for n in ("good", "slow")), "both see")
    estimator = room.parts["good"].link.estimator
    await until(lambda: estimator.feedback_at is not None, "transport-wide feedback has come")
    await until(lambda: estimator.kbit_s > 820, "on a clean path the estimate grows")
    room.holds("slow", 100)
    await until(lambda: room.camera.thin.fanout.viewers == 1, "the slow one is moved")
    await until(lambda: room.widths["slow"][-1] == 320, "and sees the thin layer")
    assert room.widths["good"][-1] == 640
    assert room.camera.main.kbit_s == SMALL.bitrate_kbit_s
    assert room.camera.stats().encoders == 2
    room.holds("slow", 1200)
    await until(lambda: room.camera.thin.fanout.viewers == 0, "it comes back", timeout_s=25)
    await until(lambda: room.widths["slow"][-1] == 640, "and sees the main layer")
    room.stop.set()
    await watching


async def test_one_rate_follows_in_place(room: Room) -> None:
    watching = asyncio.create_task(room.play("only"))
    await until(lambda: len(room.widths.get("only", ())) > 10, "it sees")
    encoder = room.camera.main.encoder
    assert encoder is not None
    keyframes = room.camera.main.keyframes
    room.holds("only", 250)
    await until(lambda: encoder.kbit_s < 500, "the encoder makes less")
    await until(lambda: room.camera.main.kbit_s <= 225, "it keeps to the link's share")
    room.adapter.limit(200)
    assert room.camera.main.kbit_s <= 180
    assert room.camera.main.encoder is encoder
    assert room.camera.main.keyframes == keyframes
    room.stop.set()
    await watching


async def test_a_recorder_keeps_its_rate_whatever_the_viewers_links_bear(room: Room) -> None:
    recorder = room.camera.subscribe("recorder")
    watching = asyncio.create_task(room.play("slow"))
    await until(lambda: len(room.widths.get("slow", ())) > 10, "it sees")
    room.holds("slow", 250)
    await until(lambda: room.widths["slow"][-1] == 320, "the viewer gets the thin layer")
    assert room.camera.main.kbit_s == SMALL.bitrate_kbit_s
    recorder.close()
    room.camera.release("recorder")
    await until(lambda: room.widths["slow"][-1] == 640, "now the main layer follows him")
    await until(lambda: room.camera.main.kbit_s < 260, "at his rate")
    room.stop.set()
    await watching


async def test_who_lacks_more_than_a_keyframe_gets_one_and_nothing_of_what_was(room: Room) -> None:
    watching = asyncio.create_task(room.play("only"))
    await until(lambda: len(room.widths.get("only", ())) > 10, "it sees")
    out = room.parts["only"]._out
    assert out is not None
    keyframes, sent = room.camera.main.keyframes, out.link.bytes_sent
    few = [kept.seq for kept in list(out._history)[-2:]]
    out._resend(few)
    assert out._history
    assert out.link.bytes_sent > sent  # those were sent again
    sent = out.link.bytes_sent
    out._repairs.keyframe_bytes = 1
    out._resend([kept.seq for kept in out._history if kept.seq not in few])
    assert not out._history
    assert out.link.bytes_sent == sent
    await until(lambda: room.camera.main.keyframes > keyframes, "a keyframe is made")
    shown = len(room.widths["only"])
    await until(lambda: len(room.widths["only"]) > shown + 10, "it goes on")
    room.stop.set()
    await watching
