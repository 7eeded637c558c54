"""Which H.264 encoders this machine has.  Hardware first; libx264 is always there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import msgspec
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from agent.media.encoded import CLOCK_RATE

log = logging.getLogger(__name__)

VBV_S = 0.5
"""Of the bitrate: how long a burst may be.  Without VBV a later change of bitrate is ignored."""
KEYFRAME_EVERY_S = 10.0
"""Without a request.  Viewers ask for what they need, so this only bounds damage."""

FINEST = 16
"""No finer quantizer: what is spent beyond nobody sees (a still scene stays at 49 dB, SSIM 0.99,
with a third less than at 54 dB), and alarms and a thin link have a use for it.  Grain and movement
are never so fine at our rates."""


class Kind(msgspec.Struct, frozen=True):
    """One encoder that FFmpeg may have."""

    codec: str
    devices: tuple[str, ...] = ()
    """Patterns under /dev: none there, and it is not even tried."""
    options: Mapping[str, str] = {}
    device_type: str = ""
    """Where pictures must be put into its memory first."""
    in_place: bool = False
    """Takes a new bitrate while it runs; the others are opened again, at a keyframe's cost."""


SOFTWARE = Kind(
    codec="libx264",
    options={
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "qmin": str(FINEST),
    },
    in_place=True,
)
HARDWARE = (
    Kind(
        codec="h264_nvenc",
        devices=("nvidia[0-9]*",),
        options={
            "preset": "p1", "tune": "ull", "profile": "baseline", "rc": "cbr", "zerolatency": "1",
            "forced-idr": "1", "delay": "0",
        },
        in_place=True,
    ),
    Kind(
        codec="h264_vaapi",
        devices=("dri/renderD*",),
        options={"profile": "constrained_baseline", "rc_mode": "CBR", "async_depth": "1"},
        device_type="vaapi",
    ),
    Kind(codec="h264_v4l2m2m", devices=("video1[0-9]",), options={"num_capture_buffers": "8"}),
)  # fmt: skip
"""Not one of these has been seen on hardware by this project."""


def open_context(
    kind: Kind, width: int, height: int, fps: float, bitrate_kbit_s: int
) -> VideoCodecContext:
    """An encoder without delay and B-frames.  av.FFmpegError, ValueError: it is not to be had."""
    hwaccel = HWAccel(kind.device_type) if kind.device_type else None
    context = av.CodecContext.create(kind.codec, "w", hwaccel)
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.framerate = Fraction(fps).limit_denominator(1000)
    context.time_base = Fraction(1, CLOCK_RATE)
    context.gop_size = max(1, round(fps * KEYFRAME_EVERY_S))
    context.max_b_frames = 0
    context.thread_count = 1
    context.bit_rate = bitrate_kbit_s * 1000
    context.options = {
        **kind.options,
        "maxrate": str(bitrate_kbit_s * 1000),
        "bufsize": str(round(bitrate_kbit_s * 1000 * VBV_S)),
    }
    # Now, at its full rate: x264 that began below never follows upward.
    context.open()
    return context


def works(kind: Kind) -> bool:
    """It makes a picture of a grey one."""
    try:
        context = open_context(kind, 640, 360, 25, 500)
        for n in range(3):
            frame = av.VideoFrame(640, 360, "yuv420p")
            frame.pts, frame.time_base = n * CLOCK_RATE // 25, Fraction(1, CLOCK_RATE)
            if any(packet.size for packet in context.encode(frame)):
                return True
    except (av.FFmpegError, ValueError, RuntimeError, NotImplementedError) as error:
        log.info("%s is not used: %s", kind.codec, error)
    return False


@cache
def best(folder: Path = Path("/dev")) -> Kind:
    """The first that works; looked for once."""
    for kind in HARDWARE:
        if any(next(folder.glob(pattern), None) for pattern in kind.devices) and works(kind):
            return kind
    return SOFTWARE
