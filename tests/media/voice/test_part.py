"""Voice in a session of its own peer: both ways at once, one way, none, and why."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from agent.media import loopback
from agent.media.peer import Peer, Peers
from agent.media.voice.config import VoiceConfig
from agent.media.voice.hub import VoiceHub
from agent.media.voice.part import NoVoice, VoicePart
from agent.media.wire import MediaError
from tests.waiting import until

from . import sound

UP_HZ, DOWN_HZ = 700, 1900


class Tone(MediaStreamTrack):
    """What somebody says, in real time."""

    kind = "audio"

    def __init__(self, hertz: float) -> None:
        super().__init__()
        self._samples = sound.tone(hertz, 60)
        self._at = 0
        self._due = 0.0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now - 0.1) + 0.02
        await asyncio.sleep(max(0.0, self._due - now))
        block = self._samples[self._at : self._at + 960]
        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = sound.RATE_HZ, self._at
        self._at = (self._at + 960) % (self._samples.size - 960)
        return frame


class Room:
    """A unit with a microphone (a tone) and a speaker (a file)."""

    def __init__(self, config: VoiceConfig) -> None:
        self.hub = VoiceHub(config, asyncio.get_running_loop())
        self.peers = Peers(lambda session, why: None)

    async def connect(
        self, session: str, direction: str, hertz: float = DOWN_HZ, refused: str = ""
    ) -> tuple[RTCPeerConnection, VoicePart]:
        """A center's end, connected."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if direction in ("sendrecv", "sendonly"):
            connection.addTransceiver(Tone(hertz), direction=direction)
        else:
            connection.addTransceiver("audio", direction=direction)
        await connection.setLocalDescription(await connection.createOffer())
        part = VoicePart(session, self.hub, refused)
        answer = await self.peers.answer(session, [part], connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return connection, part


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    loopback.install()
    config = VoiceConfig(
        microphone=f"tone:{UP_HZ}", speaker=f"file:{tmp_path / 'heard.wav'}", echo_canceller=True
    )
    made = Room(config)
    yield made
    made.hub.close()
    await made.peers.close_all()


async def heard_by(connection: RTCPeerConnection, seconds: float = 0.6) -> np.ndarray:
    """What the center's end receives."""
    track = connection.getReceivers()[0].track
    pieces: list[np.ndarray] = []
    async with asyncio.timeout(15):
        while sum(piece.size for piece in pieces) < seconds * sound.RATE_HZ:
            frame = await track.recv()
            assert isinstance(frame, AudioFrame)
            pieces.append(frame.to_ndarray().reshape(-1)[::2])
    return np.concatenate(pieces)


async def test_a_tone_goes_up_and_another_down_in_one_session(room: Room, tmp_path: Path) -> None:
    connection, part = await room.connect("a", "sendrecv")
    assert (part.listens, part.talks, part.note) == (True, True, "")
    room.hub.source.allow(True)
    room.hub.give_floor("a")
    assert sound.share(await heard_by(connection), UP_HZ) > 0.8
    await until(lambda: room.hub.playback.played >= 40, "it is heard in the speaker")
    assert sound.share(sound.read(tmp_path / "heard.wav"), DOWN_HZ) > 0.8
    await connection.close()


async def test_two_talk_and_one_is_heard(room: Room, tmp_path: Path) -> None:
    first, _ = await room.connect("a", "sendonly", 500)
    second, _ = await room.connect("b", "sendonly", 2500)
    room.hub.give_floor("b")
    await until(lambda: room.hub.playback.played >= 40, "it is heard in the speaker")
    heard = sound.read(tmp_path / "heard.wav")
    assert sound.share(heard, 2500) > 0.8
    assert sound.share(heard, 500) < 0.02
    await first.close()
    await second.close()


async def test_who_leaves_gives_the_floor_back_and_the_microphone_is_put_away(room: Room) -> None:
    connection, _ = await room.connect("a", "sendrecv")
    room.hub.source.allow(True)
    room.hub.give_floor("a")
    await until(lambda: room.hub.source.state == "live", "the microphone is open")
    await until(lambda: room.hub.playback.state == "live", "the speaker is open")
    room.peers.close("a")
    await until(lambda: room.hub.source.state == "idle", "the microphone is put away")
    await until(lambda: room.hub.playback.state == "idle", "the speaker is let go of")
    assert room.hub.stats().listeners == 0
    await connection.close()


async def test_what_is_refused_is_answered_inactive_with_the_reason(room: Room) -> None:
    connection, part = await room.connect("a", "sendrecv", refused="you may not")
    assert (part.listens, part.talks, part.note) == (False, False, "you may not")
    assert "a=inactive" in connection.remoteDescription.sdp
    await connection.close()


@pytest.mark.parametrize(
    ("config", "direction", "listens", "talks", "note"),
    [
        (VoiceConfig(), "sendrecv", False, False,
         "no voice: this unit has no microphone and no speaker"),
        (VoiceConfig(microphone="tone:500"), "sendrecv", True, False, "this unit has no speaker"),
        (VoiceConfig(speaker="file:/x"), "sendrecv", False, True, "this unit has no microphone"),
        (VoiceConfig(microphone="tone:500", speaker="file:/x.wav"), "recvonly", True, False, ""),
        (VoiceConfig(microphone="tone:500", speaker="file:/x.wav"), "sendonly", False, True, ""),
    ],
)  # fmt: skip
async def test_each_direction_for_itself(
    config: VoiceConfig, direction: str, listens: bool, talks: bool, note: str
) -> None:
    loopback.install()
    room = Room(config)
    connection, part = await room.connect("a", direction)
    assert (part.listens, part.talks, part.note) == (listens, talks, note)
    await connection.close()
    await room.peers.close_all()
    room.hub.close()


async def test_who_serves_pictures_alone_receives_no_sound(room: Room) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(Tone(DOWN_HZ), direction="sendrecv")
    await connection.setLocalDescription(await connection.createOffer())
    answer = await room.peers.answer("a", [NoVoice()], connection.localDescription.sdp)
    assert "a=inactive" in answer
    await connection.close()


async def test_a_session_that_is_over_leaves_nothing_behind(room: Room) -> None:
    for number in range(3):
        connection, part = await room.connect(f"s{number}", "sendrecv")
        room.hub.source.allow(True)
        await heard_by(connection, 0.1)
        room.peers.close(f"s{number}")
        await connection.close()
    await room.peers.close_all()
    del connection, part
    gc.collect()
    left = [one for one in gc.get_objects() if isinstance(one, (VoicePart, Peer))]
    assert left == []


async def test_two_audio_sections_are_refused(room: Room) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for _ in range(2):
        connection.addTransceiver("audio", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    with pytest.raises(MediaError, match="2 audio sections, expected one at most"):
        await room.peers.answer(
            "a", [VoicePart("a", room.hub, "")], connection.localDescription.sdp
        )
    await connection.close()
