"""Looks at a camera as doctor does: what it sends, whether that can go out as it is, and what it
costs where it cannot."""

from __future__ import annotations

import time

import msgspec

from agent.media import encoders, pictures
from agent.media.encoder import H264Encoder
from agent.media.wire import CameraConfig
from drivers import camera

COST_S = 3.0


class Examined(msgspec.Struct, frozen=True):
    codec: str
    """In words: `H.264`, `H.265` ..."""
    width: int
    height: int
    fault: str
    """Why it cannot go out as it is; empty where it can."""
    cost: float | None = None
    """Share of a core that decoding and encoding it takes (measured; this thread's only)."""


def look(config: CameraConfig) -> Examined:
    """Blocks for some seconds.  OSError, ValueError: the camera is not to be had."""
    wishes = (config.width, config.height, config.fps, config.format)
    with camera.opened(config.source, *wishes) as feed:
        words = camera.NAMES.get(feed.codec, feed.codec)
        found = Examined(words, feed.width, feed.height, feed.fault())
    if not found.fault or config.substream:
        return found
    return msgspec.structs.replace(found, cost=_cost(config, COST_S))


def _cost(config: CameraConfig, seconds: float) -> float:
    encoder: H264Encoder | None = None
    began = spent = 0.0
    with pictures.opened(config, may_pass=False) as source:
        for moment in source.moments:
            if moment.picture is None:
                continue
            image, now = moment.picture(), time.monotonic()
            if encoder is None:
                size, rate = (image.width, image.height), config.bitrate_kbit_s
                encoder = H264Encoder(*size, config.fps, rate, encoders.best())
                began, spent = now, time.thread_time()
            encoder.encode(image, now, keyframe=False)
            if now - began > seconds:
                break
    return (time.thread_time() - spent) / max(time.monotonic() - began, 0.001)
