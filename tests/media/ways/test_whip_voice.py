"""The microphone's sound beside the pictures, to a server that was written from the RFC alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from agent.media.overlay import Painter
from agent.media.pipeline import Pipeline
from agent.media.voice.config import VoiceConfig
from agent.media.voice.hub import VoiceHub
from agent.media.ways import answer
from agent.media.ways.config import IceConfig, WhipConfig
from agent.media.ways.supply import Supply
from agent.media.ways.whip import Publisher, offer_text
from agent.media.wire import WhipStats
from tests.media.conftest import SMALL, media_config
from tests.media.voice import sound
from tests.media.ways.whip_server import Rules, WhipServer, running, sections

TONE_HZ = 700


class Ours:
    def __init__(self, publisher: Publisher, hub: VoiceHub) -> None:
        self.publisher = publisher
        self.hub = hub


@asynccontextmanager
async def publishing(url: str, *, camera: bool = True, **keys: Any) -> AsyncIterator[Ours]:
    loop = asyncio.get_running_loop()
    pipeline = Pipeline(SMALL, Painter(media_config()), loop, lambda *_: None) if camera else None
    hub = VoiceHub(VoiceConfig(microphone=f"tone:{TONE_HZ}"), loop)
    said: list[WhipStats] = []
    config = WhipConfig(name="center", url=url, voice=keys.pop("voice", True), **keys)
    publisher = Publisher(config, pipeline, Supply(IceConfig(), "ex-cv-01"), said.append, hub)
    task = asyncio.create_task(publisher.run(), name="publisher")
    try:
        yield Ours(publisher, hub)
    finally:
        task.cancel()
        await asyncio.wait({task})
        hub.close()
        if pipeline is not None:
            pipeline.close()


def heard(server: WhipServer, count: int) -> Callable[[], bool]:
    return lambda: any(len(session.heard) >= count for session in server.sessions.values())


def samples(server: WhipServer) -> np.ndarray:
    """The last second, one channel."""
    frames = server.only().heard[-50:]
    return np.concatenate([frame.to_ndarray().reshape(-1)[::2] for frame in frames])


async def test_pictures_and_the_microphone_go_in_one_session() -> None:
    async with running() as server, publishing(server.url) as ours:
        ours.hub.source.allow(True)
        await server.until(heard(server, 75))
        await server.until(lambda: server.only().frames >= 10)
        assert sound.share(samples(server), TONE_HZ) > 0.8
        assert ours.publisher.stats().listens
        assert "with the microphone's sound" in ours.publisher.stats().detail
        kinds = [part[0].split()[0] for part in sections(server.requests[0].body)[1:]]
        assert kinds == ["m=video", "m=audio"]


async def test_while_the_microphone_is_shut_the_server_gets_silence_and_it_stays_shut() -> None:
    async with running() as server, publishing(server.url) as ours:
        await server.until(heard(server, 3))
        await server.until(lambda: server.only().frames >= 10)
        assert not any(frame.to_ndarray().any() for frame in server.only().heard)
        assert (ours.hub.source.state, ours.hub.source.packets) == ("idle", 0)
        # It is opened meanwhile: the same session carries it.
        ours.hub.source.allow(True)
        await server.until(heard(server, 75))
        assert sound.share(samples(server), TONE_HZ) > 0.8
        assert ours.publisher.stats().sessions == 1


async def test_a_server_that_refuses_sound_gets_the_pictures() -> None:
    async with running(Rules(takes=("video",))) as server, publishing(server.url) as ours:
        ours.hub.source.allow(True)
        await server.until(lambda: server.only().frames >= 25 if server.sessions else False)
        stats = ours.publisher.stats()
        assert (stats.state, stats.listens) == ("live", False)
        assert stats.detail == "the media server takes no sound"
        assert server.only().heard == []
        assert ours.hub.source.listeners == 0


async def test_a_server_that_refuses_the_pictures_is_not_published_to() -> None:
    async with running(Rules(takes=("audio",))) as server, publishing(server.url) as ours:
        await server.until(lambda: ours.publisher.stats().state == "waiting")
        assert "expected H264, recvonly" in ours.publisher.stats().detail


async def test_a_unit_without_a_camera_publishes_its_microphone() -> None:
    async with running() as server, publishing(server.url, camera=False) as ours:
        ours.hub.source.allow(True)
        await server.until(heard(server, 60))
        assert sound.share(samples(server), TONE_HZ) > 0.8
        stats = ours.publisher.stats()
        assert (stats.camera, stats.listens) == ("", True)


async def test_without_leave_there_is_no_sound_in_the_offer() -> None:
    async with running() as server, publishing(server.url, voice=False):
        await server.until(lambda: server.only().frames >= 3 if server.sessions else False)
        assert "m=audio" not in server.requests[0].body


OFFER = """v=0
a=group:BUNDLE 0 1
m=video 9 UDP/TLS/RTP/SAVPF 99
a=mid:0
a=rtpmap:99 H264/90000
m=audio 9 UDP/TLS/RTP/SAVPF 96
a=sendonly
a=mid:1
a=msid:a b
a=setup:actpass
a=ice-ufrag:ours
a=rtpmap:96 opus/48000/2
"""
ANSWER = """v=0
a=fingerprint:sha-256 AB
a=group:BUNDLE 0
m=video 9 UDP/TLS/RTP/SAVPF 99
a=mid:0
a=setup:passive
a=ice-ufrag:theirs
a=ice-pwd:secret
a=candidate:1 1 udp 1 192.0.2.1 9 typ host
a=recvonly
"""


def test_a_refused_section_becomes_one_that_sends_nothing() -> None:
    made = answer.usable(ANSWER + "m=audio 0 UDP/TLS/RTP/SAVPF 0\n", offer_text(OFFER))
    audio = sections(made)[2]
    assert audio[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 96"
    assert {"a=inactive", "a=mid:1", "a=rtpmap:96 opus/48000/2", "a=setup:passive"} <= set(audio)
    assert {"a=ice-ufrag:theirs", "a=fingerprint:sha-256 AB"} <= set(audio)
    assert not {"a=sendonly", "a=ice-ufrag:ours", "a=setup:actpass"} & set(audio)


def test_candidates_of_the_first_section_are_the_bundles() -> None:
    second = "m=audio 9 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=recvonly\n"
    audio = sections(answer.usable(ANSWER + second, offer_text(OFFER)))[2]
    assert "a=candidate:1 1 udp 1 192.0.2.1 9 typ host" in audio


@pytest.mark.parametrize("text", ["", "v=0\n", ANSWER, "nothing at all"])
def test_what_is_no_answer_to_the_offer_is_left_as_it_is(text: str) -> None:
    assert answer.usable(text, offer_text(OFFER)) == text
