"""One camera: a thread that captures, paints, encodes once a layer and publishes, while wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable

from agent.media import pictures, stills
from agent.media.encoded import Encoded
from agent.media.fanout import Fanout, Subscription
from agent.media.layer import Layer
from agent.media.link.video_out import VideoOut
from agent.media.overlay import Painter, Pen
from agent.media.pictures import Moment, Pictures
from agent.media.wire import CameraConfig, CameraStats
from agent.media.yuv import Yuv
from agent.messages import Mark
from drivers import camera

log = logging.getLogger(__name__)

LINGER_S = 2.0
"""A viewer who reloads the page finds the camera still open."""
BACKOFF_S = (0.5, 10.0)
AGAIN = "; decoded and encoded again, which takes {cost:.0%} of a core"
COST_S = 5.0
"""What encoding costs is measured over this."""

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
        lock = threading.Lock()
        self.main = Layer(loop, lock, config.fps, config.bitrate_kbit_s)
        self.thin = Layer(loop, lock, min(config.thin_fps, config.fps), config.thin_kbit_s)
        self.outs: set[VideoOut] = set()
        """Viewers whose path is up."""
        self.passes = False
        """What the main layer gets is the camera's own: nobody can change its rate."""
        self._painter = painter
        self._loop = loop
        self._on_still = on_still
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._sessions: set[str] = set()
        self._lease: stills.StillLease | None = None
        self._state, self._detail = "idle", ""
        self._cost: float | None = None
        """Share of a core that this camera's thread takes."""
        self._never_passes = False
        self._closed = False
        self.check()

    @property
    def fanout(self) -> Fanout:
        """Of the main layer."""
        return self.main.fanout

    @property
    def frames_encoded(self) -> int:
        """Of both layers; those that were passed through as well."""
        return self.main.pictures + self.thin.pictures

    # Who wants pictures.

    def hold(self, session: str) -> None:
        """Keep the camera open for a session, from its offer on."""
        self._sessions.add(session)
        self._ensure()

    def release(self, session: str) -> None:
        self._sessions.discard(session)
        self._changed.set()

    def subscribe(self, who: str, *, watches: bool = True) -> Subscription:
        """Pictures without a peer (a recorder, a publisher): the camera opens.  Afterwards
        `close()` the subscription and `release(who)`."""
        self.hold(who)
        return self.fanout.join(watches=watches)

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
        encoder = self.main.encoder or self.thin.encoder
        thin = self.thin.fanout.watchers
        viewers = self.main.fanout.watchers + thin
        with self._lock:
            return CameraStats(
                name=self.config.name,
                state=self._state,
                detail=self._detail,
                viewers=viewers,
                thin_viewers=thin,
                frames_encoded=self.frames_encoded,
                keyframes=self.main.keyframes + self.thin.keyframes,
                fps=round(max(self.main.fps_at(now), self.thin.fps_at(now)), 1),
                kbit_s=round(self.main.kbit_s_at(now)),
                thin_kbit_s=round(self.thin.kbit_s_at(now)),
                encoders=sum(layer.encoder is not None for layer in (self.main, self.thin)),
                encoder=encoder.kind.codec if encoder is not None else "",
                passed=self.passes,
                cost=self._cost,
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
            self._put_away()
            if self._ended():
                return
            if time.monotonic() - opened > BACKOFF_S[1]:
                delay_s = BACKOFF_S[0]
            self._changed.wait(delay_s * random.uniform(0.75, 1.25))
            delay_s = min(delay_s * 2, BACKOFF_S[1])

    def _put_away(self) -> None:
        self.main.encoder = self.thin.encoder = None
        self.main.fanout.forget()
        self._cost = None

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
        # A drill's pictures carry its mark, so they are painted.
        may_pass = (
            self.config.pass_through
            and self._painter.mark is Mark.ACTUAL
            and not self._never_passes
        )
        with pictures.opened(self.config, may_pass=may_pass) as source:
            self.passes = self.main.fanout.remembers = source.passes
            try:
                self._show(source)
            finally:
                if self.passes and not source.passes:
                    self._never_passes = True

    def _show(self, source: Pictures) -> None:
        pen = Pen()
        unwanted_since: float | None = None
        began, spent = time.monotonic(), time.thread_time()
        stated = False
        for moment in source.moments:
            now = time.monotonic()
            self._say("live", source.note)
            if self._wanted(now):
                unwanted_since = None
            elif unwanted_since is None:
                unwanted_since = now
            if self._closed or (unwanted_since is not None and now - unwanted_since > LINGER_S):
                return
            self._process(moment, source, pen, now)
            if now - began > COST_S:
                self._cost = (time.thread_time() - spent) / (now - began)
                began, spent = now, time.thread_time()
                if source.note and not source.passes and not stated:
                    # Once: each change of words would be an event.
                    stated = True
                    source.note += AGAIN.format(cost=self._cost)

    def _process(self, moment: Moment, source: Pictures, pen: Pen, now: float) -> None:
        lease = self._lease
        if moment.passed is not None:
            self._pass(moment.passed)
            source.decodes = self.thin.is_wanted or (lease is not None and not lease.is_over(now))
        main = moment.passed is None and self.main.pick(now)
        thin = moment.picture is not None and self.thin.pick(now)
        still = moment.picture is not None and lease is not None and lease.take(now)
        if moment.picture is None or not (main or thin or still):
            return
        image = moment.picture()
        if thin:
            small = stills.fit(image, self.config.thin_width, self.config.thin_width)
            self._paint(small if small is not image else image.copy(), pen, self.thin, now)
        if main:
            self._paint(image, pen, self.main, now)
        elif still:
            self._painter.paint(image, pen, self.config.name)
        if still:
            # Few a second at most, so that what waits for a stalled loop stays small.
            self._loop.call_soon_threadsafe(
                self._on_still, self.config.name, int(time.time() * 1000), stills.jpeg(image)
            )

    def _pass(self, picture: Encoded) -> None:
        self.main.encoder = None
        self.main.publish(picture)

    def _paint(self, image: Yuv, pen: Pen, layer: Layer, now: float) -> None:
        self._painter.paint(image, pen, self.config.name)
        layer.encode(image, now)
