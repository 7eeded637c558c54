"""What comes out of a camera, one moment after another: a picture to be made, or H.264 made by the
camera itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
import msgspec
import numpy as np
from av import VideoFrame
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Interpolation

from agent.media import scene, stills
from agent.media.blockcode import now_us, stamp
from agent.media.encoded import Encoded, VideoPacket
from agent.media.wire import CameraConfig
from agent.media.yuv import Yuv
from drivers import camera

NEW_STREAM = "its H.264 turned out to have B-frames, which WebRTC does not carry"


class Moment(msgspec.Struct, frozen=True):
    """One picture of a camera."""

    picture: Callable[[], Yuv] | None
    """Draws or converts it, where somebody wants to look; None where it cannot be decoded (now)."""
    passed: Encoded | None = None
    """As the camera encoded it."""


class Pictures:
    """A camera that is open.  Belongs to the camera's thread."""

    def __init__(self, moments: Iterator[Moment], note: str, *, passes: bool) -> None:
        self.moments = moments
        self.note = note
        """Why it must be decoded and encoded again; or what it is that is passed through."""
        self.passes = passes
        self.decodes = True
        """Set to False while nobody wants to look: what passes is then not decoded."""


@contextmanager
def opened(config: CameraConfig, *, may_pass: bool) -> Iterator[Pictures]:
    """OSError, ValueError: it is not to be had."""
    if config.source == "scene":
        size = (config.width & ~1, config.height & ~1)
        drawn = (Moment(picture) for picture in scene.frames(*size, config.fps))
        yield Pictures(drawn, "", passes=False)
        return
    with _feed(config) as (feed, why):
        passes = may_pass and not config.timecode and not feed.fault()
        source = Pictures(iter(()), why, passes=passes)
        if passes:
            source.note = f"{why}the camera's own H.264, {feed.width}x{feed.height}"
            source.moments = _passed(feed, source, config)
        else:
            if fault := feed.fault():
                source.note = why + fault
            source.moments = _decoded(feed, config)
        yield source


@contextmanager
def _feed(config: CameraConfig) -> Iterator[tuple[camera.Feed, str]]:
    """The substream where the main one is no H.264."""
    wishes = (config.width, config.height, config.fps, config.format)
    with camera.opened(config.source, *wishes) as feed:
        if not (config.substream and feed.codec == "hevc"):
            yield feed, ""
            return
    with camera.opened(config.substream, *wishes) as feed:
        yield feed, "its main stream is H.265, so its substream is used: "


def _decoded(feed: camera.Feed, config: CameraConfig) -> Iterator[Moment]:
    decoder = feed.decoder()
    number = 0
    for packet in feed.packets():
        for frame in _decode(decoder, packet):
            yield Moment(_Later(frame, number, config))
            number += 1


def _decode(decoder: VideoCodecContext, packet: VideoPacket) -> list[VideoFrame]:
    """A damaged picture is none: the next keyframe heals it."""
    try:
        return decoder.decode(packet)
    except av.error.InvalidDataError:
        return []


def _passed(feed: camera.Feed, source: Pictures, config: CameraConfig) -> Iterator[Moment]:
    decoder: VideoCodecContext | None = None
    last_pts: int | None = None
    number = 0
    for packet in feed.packets():
        if packet.pts is not None:
            if last_pts is not None and last_pts - packet.pts > 0 and not packet.is_keyframe:
                source.passes = False
                raise OSError(NEW_STREAM)
            last_pts = packet.pts
        if not source.decodes:
            decoder = None
        elif decoder is None and packet.is_keyframe:
            decoder = feed.decoder()
        frames = _decode(decoder, packet) if decoder is not None else []
        picture = _Later(frames[-1], number, config) if frames else None
        number += 1
        yield Moment(picture, Encoded.of(packet, time.monotonic()))


class _Later:
    """A frame that becomes a picture when called."""

    def __init__(self, frame: VideoFrame, number: int, config: CameraConfig) -> None:
        self._frame = frame
        self._number = number
        self._config = config

    def __call__(self) -> Yuv:
        frame = self._frame
        size = stills.fitted((frame.width, frame.height), self._config.width, self._config.height)
        is_full = frame.color_range == ColorRange.JPEG
        if is_full or frame.format.name != "yuv420p" or size != (frame.width, frame.height):
            frame = frame.reformat(
                *size, "yuv420p", dst_color_range=ColorRange.MPEG, interpolation=Interpolation.AREA
            )
        picture = Yuv(frame.to_ndarray().astype(np.uint8, copy=False))
        if self._config.timecode:
            stamp(picture, self._number, now_us())
        return picture
