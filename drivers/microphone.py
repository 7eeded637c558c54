"""A microphone as blocks of 20 ms: an ALSA device, a file over and over, or a tone.

    for block in blocks("alsa:default"): ...

Blocking; for a thread of its own.  A device that is pulled out is an OSError, with a sentence.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import av.device
import numpy as np
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from drivers import alsa

RATE_HZ = 48_000
BLOCK_SAMPLES = 960
"""20 ms, one Opus packet."""
BLOCK_S = BLOCK_SAMPLES / RATE_HZ
TONE_PEAK = 8_000
"""-12 dB of full scale."""
KINDS = "alsa:NAME, file:PATH or tone:HERTZ"

Block = NDArray[np.int16]
"""`BLOCK_SAMPLES` samples, one channel, at `RATE_HZ`."""


def blocks(source: str) -> Iterator[Block]:
    """For ever.  OSError: the device or file is not to be had, or no longer; ValueError: no source
    of `KINDS`."""
    kind, _, name = source.partition(":")
    match kind:
        case "alsa":
            yield from _device(name)
        case "file":
            yield from _paced(_file(name))
        case "tone":
            yield from _paced(_tone(float(name)))
        case _:
            raise ValueError(f"expected {KINDS}, read {source!r}")


def found() -> list[str]:
    """Names of ALSA devices that record, as ALSA's configuration lists them."""
    return alsa.named(av.device.enumerate_input_devices)


def _device(name: str) -> Iterator[Block]:
    alsa.find()
    try:
        with av.open(
            name, format="alsa", options={"sample_rate": str(RATE_HZ), "channels": "1"}
        ) as container:
            yield from _blocks(container.decode(audio=0))
    except av.FFmpegError as error:
        raise OSError(
            f"microphone {name!r}: {error.strerror} (`arecord -L` lists what there is)"
        ) from error
    raise OSError(f"microphone {name!r}: it has ended")


def _file(name: str) -> Iterator[Block]:
    if not Path(name).is_file():
        raise OSError(f"microphone: there is no file {name!r}")
    while True:
        heard = False
        try:
            with av.open(name) as container:
                for block in _blocks(container.decode(audio=0)):
                    heard = True
                    yield block
        except (av.FFmpegError, IndexError) as error:
            raise OSError(f"microphone: {name}: it has no sound that can be read") from error
        if not heard:
            raise OSError(f"microphone: {name}: it has less than {BLOCK_S * 1000:g} ms of sound")


def _blocks(frames: Iterable[AudioFrame]) -> Iterator[Block]:
    resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ, frame_size=BLOCK_SAMPLES)
    for frame in frames:
        frame.pts = None  # a device's are of no use here, and a gap in them would be an error
        for piece in resampler.resample(frame):
            yield piece.to_ndarray()[0].astype(np.int16, copy=False)


def _tone(hertz: float) -> Iterator[Block]:
    start = 0
    while True:
        at = np.arange(start, start + BLOCK_SAMPLES) / RATE_HZ
        yield (TONE_PEAK * np.sin(2 * np.pi * hertz * at)).astype(np.int16)
        start += BLOCK_SAMPLES


def _paced(made: Iterator[Block]) -> Iterator[Block]:
    """As a device would give them: one each 20 ms, none made up for after a pause."""
    due = time.monotonic()
    for block in made:
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        elif now - due > 10 * BLOCK_S:
            due = now
        due += BLOCK_S
        yield block
