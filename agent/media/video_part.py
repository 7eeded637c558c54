"""Pictures of one camera in a session."""

from __future__ import annotations

from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription

from agent.media.codecs import h264_preferences
from agent.media.encoder import VideoPacket
from agent.media.fanout import Subscription
from agent.media.offer import check_negotiated, check_video
from agent.media.pipeline import Pipeline
from agent.media.wire import MediaError


class PacketTrack(MediaStreamTrack):
    """Hands on the packets of a camera.  It joins at the first call of `recv`, which aiortc makes
    when the path is up: a viewer who never connects costs no encoding."""

    kind = "video"

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._subscription: Subscription | None = None

    async def recv(self) -> VideoPacket:
        if self.readyState != "live":
            raise MediaStreamError
        if self._subscription is None:
            self._subscription = self._pipeline.fanout.join()
        return await self._subscription.get()

    def stop(self) -> None:
        super().stop()
        if self._subscription is not None:
            self._subscription.close()


class VideoPart:
    """Holds its camera open from the check of the offer on."""

    def __init__(self, session: str, pipeline: Pipeline) -> None:
        self.session = session
        self.pipeline = pipeline

    def check(self, offer: SessionDescription) -> None:
        """MediaError."""
        check_video(offer)
        if fault := self.pipeline.check():
            raise MediaError("unavailable", f"camera {self.pipeline.config.name!r}: {fault}")
        self.pipeline.hold(self.session)

    def attach(self, connection: RTCPeerConnection) -> None:
        """The preferences count only before the other side's description is set."""
        sender = connection.addTrack(PacketTrack(self.pipeline))
        # aiortc tells the track nothing of PLI and FIR; both end in this method.
        sender._send_keyframe = self.pipeline.gate.request  # type: ignore[method-assign]
        transceiver = next(t for t in connection.getTransceivers() if t.sender is sender)
        transceiver.setCodecPreferences(h264_preferences())

    def verify(self, answer: SessionDescription) -> None:
        """MediaError."""
        check_negotiated(answer)

    def close(self) -> None:
        self.pipeline.release(self.session)
