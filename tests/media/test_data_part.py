"""The data channel beside the pictures, with a viewer that is not ours but aiortc's."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from agent.media.codecs import h264_preferences
from agent.media.wire import CameraConfig, Overlay
from agent.messages import Mark
from tests.media.conftest import SMALL, Watched, media_config, running

ROOF = CameraConfig(name="roof", source="scene", width=320, height=180, fps=25, bitrate_kbit_s=300)


def overlay(words: str) -> Overlay:
    now_ms = int(time.time() * 1000)
    return Overlay(
        unit="ex-cv-01", place="here", mark=Mark.EXERCISE, time_ms=now_ms, readings=[words]
    )


class Viewer:
    """Plays one session and keeps what the channel says."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.channel: Any = None
        self.connection.on("datachannel", self._opened)
        self.track: Any = None
        self.connection.on("track", lambda track: setattr(self, "track", track))

    def _opened(self, channel: Any) -> None:
        self.channel = channel
        channel.on("message", lambda text: self.said.put_nowait(json.loads(text)))

    async def play(self, media: Watched, camera: str) -> None:
        transceiver = self.connection.addTransceiver("video", direction="recvonly")
        transceiver.setCodecPreferences(h264_preferences())
        self.connection.createDataChannel("mine")  # so that the offer has the section
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await media.host.offer("s", camera, self.connection.localDescription.sdp)
        sdp = answer if isinstance(answer, str) else answer.sdp
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(15):
            return await self.said.get()

    async def frame_of_width(self, width: int) -> None:
        async with asyncio.timeout(15):
            while (await self.track.recv()).width != width:
                pass


async def test_overlays_come_and_another_camera_is_shown_in_the_same_session() -> None:
    async with running(media_config(SMALL, ROOF)) as media:
        media.host.overlay(overlay("first"))
        viewer = Viewer()
        try:
            await viewer.play(media, "front")
            said = await viewer.next()
            assert (said["camera"], said["painted"]) == ("front", True)
            assert said["overlay"]["readings"] == ["first"]
            media.host.overlay(overlay("second"))
            assert (await viewer.next())["overlay"]["readings"] == ["second"]
            await viewer.frame_of_width(640)
            viewer.channel.send('{"camera": "roof"}')
            said = await viewer.next()
            assert (said["camera"], said["code"]) == ("roof", "ok")
            await viewer.frame_of_width(320)
            viewer.channel.send('{"camera": "cellar"}')
            said = await viewer.next()
            assert said["code"] == "not_found"
            assert said["detail"] == "no camera 'cellar'; this unit has: front, roof"
            viewer.channel.send("[]")
            assert (await viewer.next())["code"] == "malformed"
            viewer.channel.send('{"camera": "front"}')
            await viewer.frame_of_width(640)
        finally:
            await viewer.connection.close()
