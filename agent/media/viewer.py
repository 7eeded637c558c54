"""A viewer without a screen: plays a session with aiortc and counts what arrives.

For drills and tests: `python -m agent.media.viewer --whep URL --seconds S --json`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import logging
import signal
import statistics
import sys
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from agent.media import blockcode, codecs, loopback, receive
from agent.media.codecs import h264_preferences
from agent.media.link import twcc

READ_CODE_EVERY = 5
"""Converting each frame only to read its code would cost more than decoding it."""
HTTP_TIMEOUT_S = 15.0
MAX_BODY_BYTES = 256 * 1024
FREEZE_EXTRA_S = 0.150
"""webrtc-stats, freezeCount: a gap of max(3 averages, average + 150 ms)."""


class ViewerStats(msgspec.Struct, kw_only=True):
    """What was seen."""

    frames_decoded: int = 0
    first_frame_s: float | None = None
    """From the moment before the offer was sent."""
    freezes: int = 0
    longest_gap_s: float = 0.0
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    codes_read: int = 0
    """Block codes found in pictures looked at (one in five)."""
    codes_missed: int = 0
    last_code: int | None = None
    """Frame number in the last picture's code."""
    age_ms_p50: float | None = None
    """Drawn to decoded; only where both run on one machine."""
    error: str = ""


class _Counter:
    """Takes frames and keeps `ViewerStats` up to date."""

    def __init__(self, stats: ViewerStats, start: float) -> None:
        self.stats = stats
        self._start = start
        self._last: float | None = None
        self._gaps: deque[float] = deque(maxlen=30)
        self._ages: deque[float] = deque(maxlen=1000)

    def take(self, frame: VideoFrame) -> None:
        now = time.monotonic()
        stats = self.stats
        stats.frames_decoded += 1
        stats.width, stats.height = frame.width, frame.height
        if self._last is None:
            stats.first_frame_s = round(now - self._start, 3)
        else:
            self._gap(now - self._last)
        self._last = now
        if stats.frames_decoded % READ_CODE_EVERY == 1:
            self._read_code(frame)

    def _gap(self, gap_s: float) -> None:
        self.stats.longest_gap_s = round(max(self.stats.longest_gap_s, gap_s), 3)
        if len(self._gaps) >= 5:
            average_s = statistics.fmean(self._gaps)
            if gap_s > max(3 * average_s, average_s + FREEZE_EXTRA_S):
                self.stats.freezes += 1
        self._gaps.append(gap_s)

    def _read_code(self, frame: VideoFrame) -> None:
        code = blockcode.read(frame.to_ndarray(format="gray").astype(np.uint8, copy=False))
        if code is None:
            self.stats.codes_missed += 1
            return
        self.stats.codes_read += 1
        self.stats.last_code = code.frame
        self._ages.append(blockcode.age_ms(code))
        self.stats.age_ms_p50 = round(statistics.median(self._ages), 1)


async def watch(
    offer_exchange: Callable[[str], Awaitable[str]],
    *,
    seconds: float,
    on_frame: Callable[[VideoFrame], None] | None = None,
    stop: asyncio.Event | None = None,
) -> ViewerStats:
    """Play for `seconds`, counted from the offer, or until `stop`.  `offer_exchange` takes the
    offer's SDP and gives the answer's; what it raises is raised here."""
    start = time.monotonic()
    stats = ViewerStats()
    counter = _Counter(stats, start)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
    connection.on("track", tracks.put_nowait)
    reporting: asyncio.Task[None] | None = None
    try:
        transceiver = connection.addTransceiver("video", direction="recvonly")
        transceiver.setCodecPreferences(h264_preferences())
        await connection.setLocalDescription(await connection.createOffer())
        answer = await offer_exchange(connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        if any(extension.uri == twcc.URI for extension in transceiver._headerExtensions):
            reporting = asyncio.create_task(receive.TransportFeedback(transceiver).run())
        async with (
            asyncio.timeout(max(0.0, start + seconds - time.monotonic())) as limit,
            _cut_short(limit, stop),
        ):
            track = await tracks.get()
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    counter.take(frame)
                    if on_frame is not None:
                        on_frame(frame)
    except TimeoutError:
        pass
    except MediaStreamError:
        stats.error = "the stream ended"
    finally:
        stats.seconds = round(time.monotonic() - start, 3)
        if reporting is not None:
            reporting.cancel()
        await connection.close()
    if not stats.frames_decoded and not stats.error:
        stats.error = f"no picture within {seconds:g} s (connection {connection.connectionState})"
    return stats


@contextlib.asynccontextmanager
async def _cut_short(limit: asyncio.Timeout, stop: asyncio.Event | None) -> AsyncIterator[None]:
    """Let `limit` run out at once when `stop` is set."""

    async def wait(event: asyncio.Event) -> None:
        await event.wait()
        limit.reschedule(0.0)

    task = asyncio.create_task(wait(stop), name="viewer.stop") if stop is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


class WhepError(OSError):
    """What a WHEP server answered instead of 201."""


def _request(
    method: str, url: str, body: str | None = None, token: str = ""
) -> tuple[int, dict[str, str], str]:
    """One HTTP request.  OSError."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WhepError(f"expected an http(s) URL, but read {url!r}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=HTTP_TIMEOUT_S)
    headers = {"Content-Type": "application/sdp"} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        text = response.read(MAX_BODY_BYTES).decode("utf-8", "replace")
        return response.status, {k.lower(): v for k, v in response.getheaders()}, text
    except http.client.HTTPException as error:
        raise WhepError(f"{method} {url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


async def watch_whep(
    url: str, seconds: float, token: str = "", stop: asyncio.Event | None = None
) -> ViewerStats:
    """Play what a WHEP endpoint offers.  OSError: it cannot be had."""
    session = ""

    async def exchange(offer: str) -> str:
        nonlocal session
        status, headers, body = await asyncio.to_thread(_request, "POST", url, offer, token)
        if status != http.client.CREATED:
            raise WhepError(f"POST {url}: expected 201, but got {status}: {body[:300]}")
        session = urllib.parse.urljoin(url, headers.get("location", ""))
        return body

    try:
        return await watch(exchange, seconds=seconds, stop=stop)
    finally:
        if session and session != url:
            await asyncio.to_thread(_request, "DELETE", session, None, token)


async def _watch_until_told(url: str, seconds: float, token: str) -> ViewerStats:
    """SIGTERM ends the watching, not the counting."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return await watch_whep(url, seconds, token, stop)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m agent.media.viewer", description=__doc__)
    parser.add_argument("--whep", required=True, metavar="URL", help="a WHEP endpoint")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S")
    parser.add_argument("--token", default="", help="bearer token, where the endpoint wants one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    loopback.install()
    codecs.install()
    receive.install()
    try:
        stats = asyncio.run(_watch_until_told(arguments.whep, arguments.seconds, arguments.token))
    except OSError as error:
        stats = ViewerStats(error=str(error))
    values = msgspec.to_builtins(stats)
    if arguments.json:
        print(json.dumps(values))  # noqa: T201
    else:
        for name, value in values.items():
            print(f"{name:16} {value}")  # noqa: T201
    return 0 if stats.frames_decoded else 1


if __name__ == "__main__":
    sys.exit(main())
