"""Video devices: `v4l2:/dev/video0`, `file:PATH`, `rtsp://...`; pictures instead of samples.

Unlike the instruments a camera is read in a thread of its own, because FFmpeg's calls block.
"""

from __future__ import annotations

import math
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av import CodecContext
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from drivers.address import without_secrets

if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]
else:
    VideoPacket = Packet  # generic in its stub only

OPEN_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 5.0


def probe(source: str) -> None:
    """What can be known without opening it.  OSError with a sentence where it cannot work;
    ValueError where `source` is of no known kind."""
    kind, _, rest = source.partition(":")
    if kind not in SCHEMES:
        raise ValueError(
            f"a camera's source is scene, {', '.join(f'{k}:...' for k in SCHEMES)}, "
            f"but is {_shown(source)!r}"
        )
    if kind in ("rtsp", "rtsps"):
        if not rest.startswith("//") or len(rest) < 3:
            raise ValueError(f"expected rtsp://host/path, but read {_shown(source)!r}")
        return
    path = Path(rest)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise OSError(f"there is no {_noun(kind)} {rest!r} ({error.strerror})") from error
    if kind == "v4l2" and not stat.S_ISCHR(mode):
        raise OSError(f"{rest!r} is no video device (not a character device)")
    if kind == "file" and not stat.S_ISREG(mode):
        raise OSError(f"{rest!r} is no file")


@contextmanager
def opened(
    source: str, width: int, height: int, fps: float, format: str = "auto"
) -> Iterator[Feed]:
    """The camera; `width`, `height`, `fps` and `format` (`h264`, `mjpeg`, `raw`; `auto`: the first
    of these that it has) are wishes to a V4L2 device.

    OSError (a sentence): absent, lost, no picture in it; ValueError: `source` is of no known kind.
    The same while its packets are read.
    """
    probe(source)
    kind, _, rest = source.partition(":")
    try:
        with _container(kind, source, rest, width, height, fps, format) as container:
            if not container.streams.video:
                raise OSError(f"{_shown(source)!r} has no picture in it")
            yield Feed(kind, source, container, fps)
    except av.FFmpegError as error:
        raise OSError(f"{_noun(kind)} {_shown(source)!r}: {error.strerror}") from error


def _container(
    kind: str, source: str, rest: str, width: int, height: int, fps: float, format: str
) -> InputContainer:
    timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
    if kind == "file":
        return av.open(rest, timeout=timeout)
    if kind in ("rtsp", "rtsps"):
        # TCP: a lost UDP packet would show as a smear until the camera's next keyframe.
        options = {"rtsp_transport": "tcp", "allowed_media_types": "video"}
        return av.open(source, options=options, timeout=timeout)
    wishes = {"video_size": f"{width}x{height}", "framerate": f"{fps:g}"}
    formats = V4L2_FORMATS if format == "auto" else {format: V4L2_FORMATS[format]}
    for last, options in zip([False] * (len(formats) - 1) + [True], formats.values(), strict=True):
        try:
            return av.open(rest, format="v4l2", options=wishes | options, timeout=timeout)
        except av.FFmpegError:
            if last:
                raise
    raise ValueError(f"expected {', '.join(V4L2_FORMATS)}, read {format!r}")


class Feed:
    """An open camera: packets as they come, and pictures from them."""

    def __init__(self, kind: str, source: str, container: InputContainer, fps: float) -> None:
        self.stream: VideoStream = container.streams.video[0]
        self.codec = self.stream.codec_context.name
        self.width = self.stream.codec_context.width
        self.height = self.stream.codec_context.height
        self._kind = kind
        self._source = source
        self._container = container
        self._fps = fps
        self._filter: BitStreamFilterContext | None = None
        if self.codec == "h264":
            mp4 = (self.stream.codec_context.extradata or b"")[:1] == b"\x01"
            name = "h264_mp4toannexb" if mp4 else "dump_extra=freq=keyframe"
            self._filter = BitStreamFilterContext(name, self.stream)

    def fault(self) -> str:
        """Why its pictures cannot go to a browser as they are; empty where they can."""
        context = self.stream.codec_context
        if self.codec != "h264":
            return f"it sends {NAMES.get(self.codec, self.codec)}"
        if context.profile not in PLAYED:
            return f"its H.264 has profile {context.profile}, which browsers do not play"
        if context.has_b_frames:
            return "its H.264 has B-frames, which WebRTC does not carry"
        return ""

    def packets(self) -> Iterator[VideoPacket]:
        """H.264 in Annex B, each keyframe with its parameter sets; other codecs as they are.  A
        file is played in real time, again and again.  Never ends by itself but with OSError."""
        if self._kind == "file":
            yield from self._played()
        for packet in self._demuxed():
            yield from self._filtered(packet)
        raise OSError(
            f"the camera {self._source.partition(':')[2]!r} has gone"
            if self._kind == "v4l2"
            else f"the camera {_shown(self._source)!r} has ended the stream"
        )

    def decoder(self) -> VideoCodecContext:
        """For packets from a keyframe on.  OSError."""
        if self.codec != "h264":
            return self.stream.codec_context
        # Its own is for the packets as they came, not for Annex B.
        context = CodecContext.create("h264", "r")
        assert isinstance(context, VideoCodecContext)
        return context

    def _demuxed(self) -> Iterator[VideoPacket]:
        for packet in self._container.demux(self.stream):
            if packet.size:
                yield packet

    def _filtered(self, packet: VideoPacket) -> list[VideoPacket]:
        if self._filter is None:
            return [packet]
        return [p for p in self._filter.filter(packet) if isinstance(p, Packet)]

    def _played(self) -> Iterator[VideoPacket]:
        interval_s = 1 / float(self.stream.average_rate or self._fps)
        base = time.monotonic()
        while True:
            start_s, end_s = math.nan, 0.0
            for packet in self._demuxed():
                stamp = packet.dts if packet.dts is not None else packet.pts
                at_s = end_s if stamp is None else float(stamp * packet.time_base)
                if math.isnan(start_s):
                    start_s = at_s
                end_s = at_s + interval_s
                late_s = time.monotonic() - base - (at_s - start_s)
                if late_s < 0:
                    time.sleep(-late_s)
                elif late_s > 1:
                    base += late_s
                yield from self._filtered(packet)
            if math.isnan(start_s):
                raise OSError(f"{self._source.partition(':')[2]!r} has no picture in it")
            base += end_s - start_s
            self._container.seek(0)


def _noun(kind: str) -> str:
    return {"v4l2": "video device", "file": "video file"}.get(kind, "camera")


def _shown(source: str) -> str:
    """Without the password that an RTSP address may carry, whatever characters are in it."""
    head, at, tail = source.rpartition("@")
    shown = f"{head.partition('://')[0]}://***@{tail}" if at and "://" in head else source
    return without_secrets(shown)


SCHEMES = ("v4l2", "file", "rtsp", "rtsps")
V4L2_FORMATS: dict[str, dict[str, str]] = {
    "h264": {"input_format": "h264"},
    "mjpeg": {"input_format": "mjpeg"},
    "raw": {},
}
NAMES = {"hevc": "H.265", "mjpeg": "JPEGs", "rawvideo": "raw pictures", "h264": "H.264"}
PLAYED = (None, "Constrained Baseline", "Baseline", "Main", "High", "Constrained High")
