"""Pictures of one camera in a session."""

from __future__ import annotations

import time

from aiortc import RTCPeerConnection
from aiortc.sdp import SessionDescription

from agent.media.codecs import h264_preferences
from agent.media.fanout import Subscription
from agent.media.link.link import Link
from agent.media.link.video_out import VideoOut
from agent.media.offer import check_negotiated, check_video
from agent.media.pipeline import Pipeline
from agent.media.wire import MediaError

HEADROOM = 2.0
"""Times the largest picture stream: an estimate beyond that would be of no use."""


class VideoPart:
    """Holds its camera open from the check of the offer on."""

    def __init__(self, session: str, pipeline: Pipeline) -> None:
        self.session = session
        self.pipeline = pipeline
        self.link = Link(pipeline.config.bitrate_kbit_s * HEADROOM, time.monotonic())
        self._out: VideoOut | None = None
        self._closed = False

    def check(self, offer: SessionDescription) -> None:
        """MediaError."""
        _check(self.pipeline)
        check_video(offer)
        self.pipeline.hold(self.session)

    def open(self) -> None:
        """MediaError: the camera is known to be down.  (For who offers: there is none to check.)"""
        _check(self.pipeline)
        self.pipeline.hold(self.session)

    def attach(self, connection: RTCPeerConnection) -> None:
        """The preferences count only before the other side's description is set."""
        transceiver = connection.addTransceiver("video", direction="sendonly")
        transceiver.setCodecPreferences(h264_preferences())
        self._out = VideoOut(transceiver.sender, self._subscribe, self.link)

    def verify(self, answer: SessionDescription) -> None:
        """MediaError."""
        check_negotiated(answer)

    def switch(self, pipeline: Pipeline) -> None:
        """Show another camera from its next keyframe on.  MediaError: it is known to be down."""
        if pipeline is self.pipeline:
            return
        _check(pipeline)
        before, self.pipeline = self.pipeline, pipeline
        pipeline.hold(self.session)
        before.release(self.session)
        if self._out is not None and self._out.subscription is not None:
            before.outs.discard(self._out)
            self._out.take(self._subscribe())

    def renew(self) -> None:
        """The path was replaced: what was lost in between cannot be decoded over."""
        self.link.moved(time.monotonic())
        if self._out is not None and self._out.subscription is not None:
            self._out.subscription.request_keyframe()

    def _subscribe(self) -> Subscription:
        if self._out is not None and not self._closed:
            self.pipeline.outs.add(self._out)
        return self.pipeline.fanout.join()

    def close(self) -> None:
        self._closed = True
        if self._out is not None:
            self.pipeline.outs.discard(self._out)
            if self._out.subscription is not None:
                self._out.subscription.close()
        self.pipeline.release(self.session)


def _check(pipeline: Pipeline) -> None:
    if fault := pipeline.check():
        raise MediaError("unavailable", f"camera {pipeline.config.name!r}: {fault}")
