"""A speaker that takes blocks of 20 ms: an ALSA device, or a WAV file for drills.

Blocking; for a thread of its own, which keeps the time: a device's buffer may hold seconds, and
who fills it faster than it is heard makes the voice late.
"""

from __future__ import annotations

import contextlib
import wave
from pathlib import Path
from typing import Protocol

import av
import av.device
import numpy as np
from av import AudioFrame

from drivers import alsa
from drivers.microphone import RATE_HZ, Block

KINDS = "alsa:NAME or file:PATH.wav"
LEAD_BLOCKS = 3
"""Silence before the first word, so that a thread that is late once is not heard."""
FILE_MAX_BYTES = 64 * 1024 * 1024
"""About 11 minutes; then the file begins anew."""


class Speaker(Protocol):
    def play(self, block: Block) -> None:
        """OSError: it has gone."""

    def close(self) -> None: ...


def open_speaker(sink: str) -> Speaker:
    """OSError: it is not to be had; ValueError: no sink of `KINDS`."""
    kind, _, name = sink.partition(":")
    match kind:
        case "alsa":
            return _Device(name)
        case "file":
            return _File(Path(name))
    raise ValueError(f"expected {KINDS}, read {sink!r}")


def found() -> list[str]:
    """Names of ALSA devices that play, as ALSA's configuration lists them."""
    return alsa.named(av.device.enumerate_output_devices)


class _Device:
    def __init__(self, name: str) -> None:
        alsa.find()
        self._name = name
        self._samples = 0
        try:
            self._container = av.open(name, "w", format="alsa")
            self._stream = self._container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        except av.FFmpegError as error:
            raise _gone(name, error) from error
        try:
            for _ in range(LEAD_BLOCKS):
                self.play(np.zeros(RATE_HZ // 50, np.int16))
        except OSError:
            self.close()
            raise

    def play(self, block: Block) -> None:
        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._samples
        self._samples += block.size
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise _gone(self._name, error) from error

    def close(self) -> None:
        with contextlib.suppress(av.FFmpegError):  # one that has gone cannot be told
            self._container.close()


def _gone(name: str, error: av.FFmpegError) -> OSError:
    return OSError(f"speaker {name!r}: {error.strerror} (`aplay -L` lists what there is)")


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise OSError(f"speaker: {path} cannot be written: {error.strerror}") from error
        self._wave = self._begin()

    def _begin(self) -> wave.Wave_write:
        self._file.seek(0)
        self._file.truncate()
        made = wave.open(self._file, "wb")
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(RATE_HZ)
        return made

    def play(self, block: Block) -> None:
        if self._wave.tell() * 2 > FILE_MAX_BYTES:
            self._wave.close()
            self._wave = self._begin()
        self._wave.writeframes(block.tobytes())

    def close(self) -> None:
        self._wave.close()
        self._file.close()
