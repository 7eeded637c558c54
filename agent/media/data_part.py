"""A data channel beside the pictures, for viewers whose offer has one: what would have been painted
where the camera's own H.264 is passed through, and another camera on request.

The unit opens it, labelled `outpost`.  It sends each overlay as one JSON object, with `camera` and
`painted` (true where the pictures carry it already); the viewer may send `{"camera": "roof"}`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiortc import RTCDataChannel, RTCPeerConnection
from aiortc.sdp import SessionDescription

from agent.media.overlay import Painter
from agent.media.pipeline import Pipeline
from agent.media.video_part import VideoPart
from agent.media.wire import MediaError, Overlay

LABEL = "outpost"
MAX_WAITING_BYTES = 16 * 1024
"""A viewer that reads nothing gets no more."""
MAX_REQUEST_CHARS = 1024


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a viewer."""

    camera: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """To a viewer: `overlay`, or why a request was refused."""

    camera: str
    painted: bool
    overlay: Overlay | None = None
    code: str = "ok"
    detail: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Request).decode


class DataPart:
    def __init__(
        self, video: VideoPart, painter: Painter, pipelines: Mapping[str, Pipeline]
    ) -> None:
        self._video = video
        self._painter = painter
        self._pipelines = pipelines
        self._wanted = False
        self._channel: RTCDataChannel | None = None

    def check(self, offer: SessionDescription) -> None:
        self._wanted = any(media.kind == "application" for media in offer.media)

    def attach(self, connection: RTCPeerConnection) -> None:
        if self._wanted:
            self._channel = channel = connection.createDataChannel(LABEL)
            channel.on("open", self._opened)
            channel.on("message", self._asked)
            self._painter.listeners.add(self._show)

    def verify(self, answer: SessionDescription) -> None:
        """A viewer without the channel sees pictures all the same."""

    def close(self) -> None:
        self._painter.listeners.discard(self._show)

    def _opened(self) -> None:
        if (overlay := self._painter.overlay) is not None:
            self._show(overlay)

    def _show(self, overlay: Overlay) -> None:
        self._say(overlay=overlay)

    def _say(self, **values: object) -> None:
        channel = self._channel
        if (
            channel is not None
            and channel.readyState == "open"
            and channel.bufferedAmount < MAX_WAITING_BYTES
        ):
            pipeline = self._video.pipeline
            said = Said(camera=pipeline.config.name, painted=not pipeline.passes, **values)  # type: ignore[arg-type]
            channel.send(_encode(said).decode())

    def _asked(self, message: object) -> None:
        """Anything may come from outside."""
        try:
            if not isinstance(message, str) or len(message) > MAX_REQUEST_CHARS:
                raise MediaError("malformed", 'expected {"camera": name} as text')
            name = _decode(message).camera
            if name not in self._pipelines:
                names = ", ".join(self._pipelines)
                raise MediaError("not_found", f"no camera {name!r}; this unit has: {names}")
            self._video.switch(self._pipelines[name])
        except msgspec.DecodeError as error:
            self._say(code="malformed", detail=f'expected {{"camera": name}}: {error}')
        except MediaError as error:
            self._say(code=error.code, detail=str(error))
        else:
            self._say()
