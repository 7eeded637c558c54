"""One camera: a thread that captures, paints, encodes once and publishes, while it is wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from av import VideoFrame

from agent.media import scene, stills
from agent.media.blockcode import Image, draw, now_us
from agent.media.encoder import H264Encoder, KeyframeGate
from agent.media.fanout import Fanout
from agent.media.overlay import Painter, Pen
from agent.media.wire import CameraConfig, CameraStats
from drivers import camera

log = logging.getLogger(__name__)

LINGER_S = 2.0
"""A viewer who reloads the page finds the camera still open."""
BACKOFF_S = (0.5, 10.0)
FPS_WINDOW_S = 3.0

OnStill = Callable[[str, int, bytes], None]


class Pipeline:
    """Methods belong to the loop's thread, those with a leading underscore to the camera's."""

    def __init__(
        self,
        config: CameraConfig,
        painter: Painter,
        loop: asyncio.AbstractEventLoop,
        on_still: OnStill,
    ) -> None:
        self.config = config
        self.gate = KeyframeGate()
        self.fanout = Fanout(loop, self.gate.request)
        self.frames_encoded = 0
        self._keyframes = 0
        self._painter = painter
        self._loop = loop
        self._on_still = on_still
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._sessions: set[str] = set()
        self._lease: stills.StillLease | None = None
        self._state, self._detail = "idle", ""
        self._encoder: H264Encoder | None = None
        self._encoded_at: deque[float] = deque(maxlen=256)
        self._closed = False
        self.check()

    # Who wants pictures.

    def hold(self, session: str) -> None:
        """Keep the camera open for a viewer, from his offer on."""
        self._sessions.add(session)
        self._ensure()

    def release(self, session: str) -> None:
        self._sessions.discard(session)
        self._changed.set()

    def lease_stills(self, period_s: float, lease_s: float) -> None:
        """A new lease replaces the last one."""
        self._lease = stills.StillLease(period_s, lease_s)
        self._ensure()

    def stop_stills(self) -> None:
        self._lease = None
        self._changed.set()

    def close(self) -> None:
        """Ask the thread to end; it is a daemon and is not waited for (a device may hang)."""
        self._closed = True
        self._changed.set()

    def check(self) -> str:
        """Why there can be no picture, as far as is known; empty where nothing is known to be
        wrong.  Looks at the source where the camera is not open."""
        with self._lock:
            if self._thread is None:
                try:
                    if self.config.source != "scene":
                        camera.probe(self.config.source)
                except (OSError, ValueError) as error:
                    self._state, self._detail = "down", str(error)
                else:
                    self._state, self._detail = "idle", ""
            return self._detail if self._state == "down" else ""

    def stats(self) -> CameraStats:
        now = time.monotonic()
        recent = [at for at in list(self._encoded_at) if now - at < FPS_WINDOW_S]
        with self._lock:
            return CameraStats(
                name=self.config.name,
                state=self._state,
                detail=self._detail,
                viewers=self.fanout.viewers,
                frames_encoded=self.frames_encoded,
                keyframes=self._keyframes,
                fps=round(len(recent) / FPS_WINDOW_S, 1),
                encoders=int(self._encoder is not None),
            )

    def _ensure(self) -> None:
        self._changed.set()
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name=f"camera {self.config.name}", daemon=True
                )
                self._thread.start()

    # The camera's thread.

    def _wanted(self, now: float) -> bool:
        lease = self._lease
        return bool(self._sessions) or (lease is not None and not lease.is_over(now))

    def _run(self) -> None:
        delay_s = BACKOFF_S[0]
        while True:
            self._changed.clear()
            opened = time.monotonic()
            try:
                self._capture()
            except (OSError, ValueError) as error:
                self._say("down", str(error))
            self._encoder = None
            if self._ended():
                return
            if time.monotonic() - opened > BACKOFF_S[1]:
                delay_s = BACKOFF_S[0]
            self._changed.wait(delay_s * random.uniform(0.75, 1.25))
            delay_s = min(delay_s * 2, BACKOFF_S[1])

    def _ended(self) -> bool:
        with self._lock:
            if self._wanted(time.monotonic()) and not self._closed:
                return False
            self._thread = None
            if self._state != "down":
                self._state, self._detail = "idle", ""
            return True

    def _say(self, state: str, detail: str = "") -> None:
        with self._lock:
            if (state, detail) != (self._state, self._detail) and state == "down":
                log.warning("camera %s: %s", self.config.name, detail)
            self._state, self._detail = state, detail

    def _capture(self) -> None:
        """Until nobody wants it any more.  OSError, ValueError: the camera is not to be had."""
        pen = Pen()
        unwanted_since: float | None = None
        for picture in self._pictures():
            now = time.monotonic()
            self._say("live")
            if self._wanted(now):
                unwanted_since = None
            elif unwanted_since is None:
                unwanted_since = now
            if self._closed or (unwanted_since is not None and now - unwanted_since > LINGER_S):
                return
            self._process(picture, pen, now)

    def _pictures(self) -> Iterator[Callable[[], Image]]:
        c = self.config
        if c.source == "scene":
            yield from scene.frames(c.width & ~1, c.height & ~1, c.fps)
            return
        for number, frame in enumerate(camera.frames(c.source, c.width, c.height, c.fps)):
            yield partial(self._convert, frame, number)

    def _convert(self, frame: VideoFrame, number: int) -> Image:
        image = frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
        image = stills.fit(image, self.config.width, self.config.height)
        if self.config.timecode:
            draw(image, number, now_us())
        return image

    def _process(self, picture: Callable[[], Image], pen: Pen, now: float) -> None:
        lease = self._lease
        still = lease is not None and lease.take(now)
        watched = self.fanout.viewers > 0
        if not watched:
            self._encoder = None
        if not still and not watched:
            return
        image = picture()
        self._painter.paint(image, pen, self.config.name)
        if watched:
            self._encode(image, now)
        if still:
            # Few a second at most, so that what waits for a stalled loop stays small.
            self._loop.call_soon_threadsafe(
                self._on_still, self.config.name, int(time.time() * 1000), stills.jpeg(image)
            )

    def _encode(self, image: Image, now: float) -> None:
        height, width = image.shape[:2]
        encoder = self._encoder
        if encoder is None or (encoder.width, encoder.height) != (width, height):
            encoder = H264Encoder(width, height, self.config.fps, self.config.bitrate_kbit_s)
            self._encoder = encoder
        for packet in encoder.encode(image, now, keyframe=self.gate.take(now)):
            with self._lock:
                self.frames_encoded += 1
                self._keyframes += packet.is_keyframe
            self._encoded_at.append(now)
            self.fanout.publish(packet)
