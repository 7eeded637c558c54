"""Video devices: `v4l2:/dev/video0`, `file:PATH`, `rtsp://...`; pictures instead of samples.

Unlike the instruments a camera is read in a thread of its own, because FFmpeg's calls block.
"""

from __future__ import annotations

import math
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

OPEN_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 5.0


def probe(source: str) -> None:
    """What can be known without opening it.  OSError with a sentence where it cannot work;
    ValueError where `source` is of no known kind."""
    kind, _, rest = source.partition(":")
    if kind not in SCHEMES:
        raise ValueError(
            f"a camera's source is scene, {', '.join(f'{k}:...' for k in SCHEMES)}, "
            f"but is {source!r}"
        )
    if kind in ("rtsp", "rtsps"):
        if not rest.startswith("//") or len(rest) < 3:
            raise ValueError(f"expected rtsp://host/path, but read {source!r}")
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


def frames(source: str, width: int, height: int, fps: float) -> Iterator[av.VideoFrame]:
    """Pictures as they come; `width`, `height` and `fps` are wishes to a V4L2 device.

    A file is played in real time, again and again.  OSError (a sentence): absent, lost, no
    picture in it; ValueError: `source` is of no known kind.
    """
    probe(source)
    kind = source.partition(":")[0]
    try:
        yield from SCHEMES[kind](source, width, height, fps)
    except av.FFmpegError as error:
        raise OSError(f"{_noun(kind)} {_shown(source)!r}: {error.strerror}") from error


@contextmanager
def _opened(
    name: str, *, format: str | None = None, options: dict[str, str] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    container = av.open(
        name, format=format, options=options or {}, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S)
    )
    with container:
        if not container.streams.video:
            raise OSError(f"{_shown(name)!r} has no picture in it")
        yield container, container.streams.video[0]


def _v4l2(source: str, width: int, height: int, fps: float) -> Iterator[av.VideoFrame]:
    path = source.partition(":")[2]
    options = {"video_size": f"{width}x{height}", "framerate": f"{fps:g}"}
    with _opened(path, format="v4l2", options=options) as (container, stream):
        yield from container.decode(stream)
    raise OSError(f"the camera {path!r} has gone")


def _rtsp(source: str, width: int, height: int, fps: float) -> Iterator[av.VideoFrame]:
    # TCP: a lost UDP packet would show as a smear until the camera's next keyframe.
    with _opened(source, options={"rtsp_transport": "tcp"}) as (container, stream):
        yield from container.decode(stream)
    raise OSError(f"the camera {_shown(source)!r} has ended the stream")


def _file(source: str, width: int, height: int, fps: float) -> Iterator[av.VideoFrame]:
    path = source.partition(":")[2]
    with _opened(path) as (container, stream):
        interval_s = 1 / float(stream.average_rate or fps)
        base = time.monotonic()
        while True:
            end_s = math.nan
            for frame in container.decode(stream):
                at_s = frame.time if frame.time is not None else 0.0 if math.isnan(end_s) else end_s
                if math.isnan(end_s):
                    base -= at_s
                end_s = at_s + interval_s
                late_s = time.monotonic() - base - at_s
                if late_s < 0:
                    time.sleep(-late_s)
                elif late_s > 1:
                    base += late_s
                yield frame
            if math.isnan(end_s):
                raise OSError(f"{path!r} has no picture in it")
            base += end_s
            container.seek(0)


def _noun(kind: str) -> str:
    return {"v4l2": "video device", "file": "video file"}.get(kind, "camera")


def _shown(source: str) -> str:
    """Without the password that an RTSP address may carry."""
    head, at, tail = source.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at and "://" in head else source


SCHEMES: dict[str, Callable[[str, int, int, float], Iterator[av.VideoFrame]]] = {
    "v4l2": _v4l2,
    "file": _file,
    "rtsp": _rtsp,
    "rtsps": _rtsp,
}
