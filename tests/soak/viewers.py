"""Those who come and go: real sessions over MQTT, with pictures, and each second one with voice."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Mapping

import msgspec
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack

from agent import topics
from agent.broker import Broker, Message
from agent.media.codecs import h264_preferences
from agent.messages import Answer
from agent.mqtt import Connection, connect

ROOT = "outpost-exercise/v1/hubei/ex-cv-01"
ANSWER_S = 15.0
STAYS_S = 18.0


class Center:
    """One connection, any number of viewers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self.watched = 0
        self.frames = 0
        self.sounds = 0
        self.failed: list[str] = []

    def hear(self, message: Message) -> None:
        topic = topics.parse(message.topic)
        if topic.path[0] == "rtc" and topic.path[2] == "answer":
            waiting = self._waiting.get(topic.path[1])
            if waiting is not None and not waiting.done():
                waiting.set_result(msgspec.json.decode(message.payload, type=Answer))

    def send(self, path: str, body: Mapping[str, object]) -> None:
        now = time.time_ns() // 1_000_000
        whole = {"by": "soak", "issued": now, "mark": "exercise", **body}
        self._connection.publish(f"{ROOT}/{path}", msgspec.json.encode(whole))

    async def watch(self, number: int, *, pictures: bool = True, camera: str = "front") -> None:
        """One viewer's visit; each second one talks too."""
        session = uuid.uuid4().hex
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        readers: list[asyncio.Task[None]] = []
        peer.on("track", lambda track: readers.append(asyncio.create_task(self._count(track))))
        if pictures:
            video = peer.addTransceiver("video", direction="recvonly")
            video.setCodecPreferences(h264_preferences())
        voice = number % 2 == 1
        if voice:
            peer.addTransceiver(AudioStreamTrack(), direction="sendrecv")
        try:
            await peer.setLocalDescription(await peer.createOffer())
            future = self._waiting[session] = asyncio.get_running_loop().create_future()
            offer = {"camera": camera if pictures else "", "sdp": peer.localDescription.sdp}
            self.send(f"rtc/{session}/offer", offer)
            async with asyncio.timeout(ANSWER_S):
                answer = await future
            if answer.code != "ok":
                self.failed.append(answer.detail)
                return
            await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
            if voice:
                self.send("cmd/talk", {"id": session, "args": {"session": session}})
            await asyncio.sleep(STAYS_S)
            self.watched += 1
        except TimeoutError:
            self.failed.append("no answer")
        finally:
            self._waiting.pop(session, None)
            self.send(f"rtc/{session}/close", {})
            for reader in readers:
                reader.cancel()
            await peer.close()

    async def _count(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                if track.kind == "video":
                    self.frames += 1
                else:
                    self.sounds += 1


@contextlib.asynccontextmanager
async def center(port: int) -> AsyncIterator[Center]:
    made: list[Center] = []
    broker = Broker(host="127.0.0.1", port=port)
    async with connect(
        broker, client_id="soak", on_message=lambda message: made[0].hear(message)
    ) as connection:
        made.append(Center(connection))
        await connection.subscribe([f"{ROOT}/#"])
        yield made[0]
