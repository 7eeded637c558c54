"""What core and media process say to each other over one Unix socket, and its framing.

A frame is a 4-byte big-endian length and a MessagePack map whose `type` names the message.  The
core writes `ToMedia`, the media process writes `ToCore`; either end closes by closing the socket.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Literal

import msgspec

from agent.media.record.circumstances import Circumstances
from agent.media.record.config import RecordConfig, RecordStats
from agent.media.record.sidefile import Side
from agent.media.voice.config import VoiceConfig, VoiceStats
from agent.media.ways.config import IceConfig, WhepConfig, WhipConfig
from agent.media.ways.servers import IceServer
from agent.messages import Mark

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 2 * 1024 * 1024
"""A still of 1920x1080 fits many times; a length above it means that the stream is not ours."""
MAX_SDP_CHARS = 64 * 1024
STILL_PERIOD_S = (0.2, 60.0)
STILL_LEASE_S = (1.0, 600.0)


class WireError(ValueError):
    """A frame that is too long, cut short, or no message."""


class MediaError(RuntimeError):
    """Why there is no picture: `code` as in `messages.Answer`, and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class CameraConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A `[[camera]]` of the configuration."""

    name: str
    source: str
    """`scene`, `v4l2:/dev/video0`, `file:PATH` or `rtsp://...`."""
    width: int = 1280
    height: int = 720
    """The largest picture sent; a larger one is scaled down, its shape kept."""
    fps: float = 25.0
    bitrate_kbit_s: int = 1500
    """At most; a link that bears less gets less."""
    thin_width: int = 320
    thin_fps: float = 5.0
    thin_kbit_s: int = 80
    """The second layer, for links too thin for the first."""
    substream: str = ""
    """Used where `source` turns out to be H.265."""
    format: str = "auto"
    """What a V4L2 device shall give: `h264`, `mjpeg`, `raw`."""
    pass_through: bool = True
    """H.264 that the camera makes goes out untouched where a browser can play it."""
    timecode: bool = False
    """Draw the block code (agent/media/blockcode.py), which the scene always carries."""


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`[media.limits]`: what the media process may take from the core."""

    nice: int = 5
    """Behind the core, whatever there is to encode."""
    memory_mb: int = 1024
    """A process that holds more is killed and started again."""
    heartbeat_s: float = 3.0
    """One that says nothing for so long hangs, and is killed and started again."""


class MediaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that the media process must know."""

    unit: str
    mark: Mark
    cameras: tuple[CameraConfig, ...] = ()
    title: str = ""
    """The unit's display name for pictures; its id where empty."""
    enabled: bool = True
    max_kbit_s: int = 0
    """For all that is sent, of all cameras to all viewers; 0: as much as the links bear."""
    ice: IceConfig = IceConfig()
    whip: tuple[WhipConfig, ...] = ()
    whep: WhepConfig = WhepConfig()
    voice: VoiceConfig = VoiceConfig()
    record: RecordConfig = RecordConfig()
    limits: LimitsConfig = LimitsConfig()


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=str.lower):
    pass


class Configure(_Message, frozen=True, kw_only=True):
    """First message to the media process, and only once."""

    config: MediaConfig


class Overlay(_Message, frozen=True, kw_only=True):
    """What is drawn over pictures from now on."""

    unit: str
    place: str
    mark: Mark
    time_ms: int
    """UTC of the unit's clock when this was sent; pictures go on counting from it."""
    readings: list[str] = []
    alarms: list[str] = []


class OfferRequest(_Message, frozen=True, kw_only=True):
    session: str
    camera: str
    """Empty: none, the session is for voice alone."""
    sdp: str
    no_voice: str = "voice was not asked for"
    """Why there is none; empty: the session may have one."""


class CloseSession(_Message, frozen=True, kw_only=True):
    session: str


class StartStills(_Message, frozen=True, kw_only=True):
    """JPEGs of a camera each `period_s`, for `lease_s` or until asked for again."""

    camera: str
    period_s: float
    lease_s: float


class Limit(_Message, frozen=True, kw_only=True):
    """From now on at most this for all viewers together; 0: no limit.  The core says it while
    alarms and readings must have the link."""

    kbit_s: int


class Microphone(_Message, frozen=True, kw_only=True):
    """Whether the microphone may be heard by who listens, from now on."""

    open: bool


class GiveFloor(_Message, frozen=True, kw_only=True):
    """From now on that session is heard in the speaker; empty: none."""

    session: str


class StopStills(_Message, frozen=True, kw_only=True):
    camera: str


class Whip(_Message, frozen=True, kw_only=True):
    """Publish to the server of that name, or stop; until told otherwise."""

    name: str
    on: bool


class Record(_Message, frozen=True, kw_only=True):
    """Record, stop, or keep what was and will be recorded."""

    action: Literal["start", "stop", "lock", "unlock"]
    camera: str = ""
    """Empty: all."""
    id: str = ""
    """Of a recording to lock or unlock; empty: what was recorded since `pre_s` ago, and what will
    be until `post_s` from now."""
    why: str = ""
    by: str = ""
    pre_s: float = 0.0
    post_s: float = 0.0


class OfferReply(_Message, frozen=True, kw_only=True):
    session: str
    sdp: str = ""
    ice_servers: tuple[IceServer, ...] = ()
    """What the viewer may use too."""
    note: str = ""
    """What it lacks, in a sentence: no voice, and why."""
    camera: str = ""
    """Which is shown; empty: none, it is voice alone."""
    listens: bool = False
    talks: bool = False
    code: str = "ok"
    detail: str = ""


class StillPicture(_Message, frozen=True, kw_only=True):
    camera: str
    time_ms: int
    jpeg: bytes


class Recorded(_Message, frozen=True, kw_only=True):
    """A recording is new, or something of it has changed."""

    side: Side


class RecordingGone(_Message, frozen=True, kw_only=True):
    """It was deleted."""

    id: str
    why: str


class MediaEvent(_Message, frozen=True, kw_only=True):
    """`media_up`, `media_down`, `camera` (state changed), `session_closed`, `whip` (state changed),
    `whep` (a viewer on this unit's own network came or went), `record`, `recording_deleted`,
    `fetched`."""

    event: str
    camera: str = ""
    name: str = ""
    """Of a `[[media.whip]]`."""
    session: str = ""
    state: str = ""
    detail: str = ""

    def told(self) -> dict[str, str]:
        """What an event for the center's book says of it beside source and sentence."""
        return {"state": self.state} | ({"name": self.name} if self.name else {})


class CameraStats(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str = "idle"
    """`idle`, `live`, `down`, `disabled`, as in `messages.CameraStatus`."""
    detail: str = ""
    viewers: int = 0
    frames_encoded: int = 0
    keyframes: int = 0
    fps: float = 0.0
    """Frames encoded in the last seconds."""
    encoders: int = 0
    """Encoders now open: one a layer at most, however many watch."""
    thin_viewers: int = 0
    kbit_s: int = 0
    thin_kbit_s: int = 0
    """Made in the last seconds, of the two layers."""
    encoder: str = ""
    """FFmpeg's name of it."""
    passed: bool = False
    """The camera's own H.264 goes out."""
    cost: float | None = None
    """Share of a core that this camera's thread takes (decoding beside it not counted)."""


class WhipStats(msgspec.Struct, frozen=True, kw_only=True):
    """One media server."""

    name: str
    camera: str = ""
    state: str = "off"
    """`off`, `connecting`, `live`, `waiting` (for the next try)."""
    detail: str = ""
    restarts: int = 0
    """Paths replaced within one session."""
    sessions: int = 0
    """Sessions that were opened."""
    listens: bool = False
    """The server takes the microphone's sound."""


class WhepStats(msgspec.Struct, frozen=True, kw_only=True):
    """The unit's own WHEP server."""

    state: str = "off"
    """`off`, `up`, `down`."""
    detail: str = ""
    viewers: int = 0


class MediaStats(_Message, frozen=True, kw_only=True):
    """Sent each `HEARTBEAT_S`: also the sign of life."""

    frames_encoded: int = 0
    """Since the agent started, over restarts of the media process."""
    viewers: int = 0
    fps: float = 0.0
    cameras: tuple[CameraStats, ...] = ()
    whip: tuple[WhipStats, ...] = ()
    whep: WhepStats = WhepStats()
    voice: VoiceStats = VoiceStats()
    record: RecordStats = RecordStats()
    rss_mb: int = 0
    """Memory that the process holds, as the core sees it."""
    restarts: int = 0


HEARTBEAT_S = 0.5

ToMedia = (
    Configure
    | Overlay
    | OfferRequest
    | CloseSession
    | Limit
    | StartStills
    | StopStills
    | Whip
    | Microphone
    | GiveFloor
    | Record
    | Circumstances
)
ToCore = OfferReply | StillPicture | MediaEvent | MediaStats | Recorded | RecordingGone

_encoder = msgspec.msgpack.Encoder()
_to_media: msgspec.msgpack.Decoder[ToMedia] = msgspec.msgpack.Decoder(ToMedia)
_to_core: msgspec.msgpack.Decoder[ToCore] = msgspec.msgpack.Decoder(ToCore)


def encode(message: ToMedia | ToCore) -> bytes:
    """A whole frame.  WireError where it would exceed `MAX_FRAME_BYTES`."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise WireError(
            f"a {type(message).__name__} of {len(body)} bytes, expected at most {MAX_FRAME_BYTES}"
        )
    return LENGTH.pack(len(body)) + body


async def _read_frame(reader: asyncio.StreamReader) -> bytes | None:
    try:
        head = await reader.readexactly(LENGTH.size)
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise WireError(f"read {len(error.partial)} bytes of a length, expected 4") from error
    (length,) = LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise WireError(f"read a frame length of {length}, expected at most {MAX_FRAME_BYTES}")
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise WireError(f"read {len(error.partial)} bytes of a frame, expected {length}") from error


def decode_to_media(body: bytes) -> ToMedia:
    """WireError where `body` is no message to the media process."""
    try:
        return _to_media.decode(body)
    except msgspec.DecodeError as error:
        raise WireError(f"a frame of {len(body)} bytes is no message to media: {error}") from error


def decode_to_core(body: bytes) -> ToCore:
    """WireError where `body` is no message to the core."""
    try:
        return _to_core.decode(body)
    except msgspec.DecodeError as error:
        raise WireError(f"a frame of {len(body)} bytes is no message to core: {error}") from error


async def read_to_media(reader: asyncio.StreamReader) -> ToMedia | None:
    """The next message; None when the core has closed.  WireError, OSError."""
    body = await _read_frame(reader)
    return None if body is None else decode_to_media(body)


async def read_to_core(reader: asyncio.StreamReader) -> ToCore | None:
    """The next message; None when the media process has closed.  WireError, OSError."""
    body = await _read_frame(reader)
    return None if body is None else decode_to_core(body)
