"""One file of a recording: packets in, MP4 fragments out, at most a second behind."""

from __future__ import annotations

import hashlib
import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from agent.media.encoded import TIME_BASE, Encoded
from agent.media.record.sealing import Sealer

FRAGMENT_US = 1_000_000
"""What a power cut costs at most, and a picture."""
WAIT_US = 300_000
"""So long a picture waits for sound of the same time."""
SOUND_TIME_BASE = Fraction(1, 48_000)
OPTIONS = {
    "movflags": "empty_moov+default_base_moof",
    "frag_duration": str(FRAGMENT_US),
    "flush_packets": "1",
    "max_interleave_delta": str(WAIT_US),
}


class Segment:
    """Begins with a keyframe.  OSError from any method: the disk does not take it; what is on it
    stays readable, and the segment can be closed."""

    def __init__(self, path: Path, first: Encoded, *, sound: bool, sealer: Sealer | None) -> None:
        self.path = path
        self.size = 0
        """Bytes on the disk."""
        self._digest = hashlib.sha256()
        self._made = bytearray()
        self._zero = first.at
        self._last = -1
        self._sealer = sealer
        self._broken = False
        self._file = path.open("xb", buffering=0)
        try:
            if sealer is not None:
                self._write(sealer.head)
        except OSError:
            self._file.close()
            raise
        self._container: Any = av.open(self, "w", format="mp4", options=OPTIONS)
        # Its parameter sets, which the file's head needs, stand in the first picture.
        with av.open(io.BytesIO(first.data), format="h264") as probe:
            self._video = self._container.add_stream_from_template(probe.streams.video[0])
        self._video.time_base = TIME_BASE
        self._sound: Any = None
        if sound:
            self._sound = self._container.add_stream("libopus", rate=48_000, layout="mono")

    @property
    def digest(self) -> str:
        """Of what is on the disk."""
        return f"sha256:{self._digest.hexdigest()}"

    def picture(self, picture: Encoded) -> None:
        packet = av.Packet(picture.data)
        # Two pictures of one moment would be refused.
        at = max(self._last + 1, round((picture.at - self._zero) / TIME_BASE))
        self._last = packet.pts = packet.dts = at
        packet.time_base = TIME_BASE
        packet.is_keyframe = picture.keyframe
        packet.stream = self._video
        self._mux(packet)

    def sound(self, data: bytes, samples: int) -> None:
        """`samples`: of 1/48000 s of `time.monotonic()`."""
        at = samples - round(self._zero / SOUND_TIME_BASE)
        if self._sound is None or at < 0:
            return
        packet = av.Packet(data)
        packet.pts = packet.dts = at
        packet.time_base = SOUND_TIME_BASE
        packet.stream = self._sound
        self._mux(packet)

    def _mux(self, packet: Any) -> None:
        self._container.mux_one(packet)
        if self._made:
            self._flush()

    def close(self) -> None:
        """Write what is left.  May be called twice; after an OSError nothing more is written."""
        if self._file.closed:
            return
        try:
            self._container.close()
            if self._made and not self._broken:
                self._flush()
        finally:
            self._file.close()

    def write(self, data: bytes) -> int:
        """For the muxer: it never sees an error of the disk."""
        self._made += data
        return len(data)

    def _flush(self) -> None:
        data, self._made = bytes(self._made), bytearray()
        if self._broken:
            return
        self._write(data if self._sealer is None else self._sealer.seal(data))
        os.fdatasync(self._file.fileno())

    def _write(self, data: bytes) -> None:
        """All of it, or the file is as it was before."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            self._broken = True
            os.ftruncate(self._file.fileno(), self.size)
            raise
        self.size += len(data)
        self._digest.update(data)
