"""Opus in and out: one channel at 48 kHz, packets of 20 ms made, of any length read."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av import AudioCodecContext, AudioFrame

from drivers.microphone import BLOCK_SAMPLES, RATE_HZ, Block

TIME_BASE = Fraction(1, RATE_HZ)
LOSS_PERCENT = 10
"""For which in-band repair is made."""


class Encoder:
    """For one microphone, however many listen."""

    def __init__(self, bitrate_kbit_s: int) -> None:
        codec = AudioCodecContext.create("libopus", "w")
        codec.bit_rate = bitrate_kbit_s * 1000
        codec.format = "s16"
        codec.layout = "mono"
        codec.sample_rate = RATE_HZ
        codec.time_base = TIME_BASE
        codec.options = {
            "application": "voip", "frame_duration": "20", "fec": "1",
            "packet_loss": str(LOSS_PERCENT),
        }  # fmt: skip
        self._codec = codec
        self._samples = 0

    def encode(self, block: Block) -> list[bytes]:
        """The packets that are ready: usually one."""
        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.time_base = TIME_BASE
        frame.pts = self._samples
        self._samples += block.size
        return [bytes(packet) for packet in self._codec.encode(frame)]


class Decoder:
    """For one talker."""

    def __init__(self) -> None:
        codec = AudioCodecContext.create("libopus", "r")
        codec.format = "s16"
        codec.layout = "mono"
        codec.sample_rate = RATE_HZ
        self._codec = codec
        self._last: Block = np.zeros(BLOCK_SAMPLES, np.int16)

    def decode(self, payload: bytes) -> Block:
        """ValueError: no Opus."""
        if not payload:
            raise ValueError("an Opus packet of no bytes")
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError as error:
            raise ValueError(f"no Opus: {error}") from error
        blocks = [frame.to_ndarray().reshape(-1).astype(np.int16, copy=False) for frame in frames]
        if blocks:
            self._last = np.concatenate(blocks)
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)

    def conceal(self) -> Block:
        """For a packet that never came: what was last heard, fading."""
        size = min(BLOCK_SAMPLES, self._last.size)
        half = self._last[-size:] * np.linspace(1.0, 0.5, size)
        self._last = (half * 0.5).astype(np.int16)
        return half.astype(np.int16)
