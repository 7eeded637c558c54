"""Recording in the media process: which cameras are wanted, and the thread that writes.

The loop never waits for a disk: packets go into a queue that has a ceiling, one thread writes.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from agent.media.encoded import Encoded
from agent.media.fanout import ClosedError, Subscription
from agent.media.pipeline import Pipeline
from agent.media.record import sealing
from agent.media.record.circumstances import Circumstances
from agent.media.record.config import RecordConfig, RecordStats
from agent.media.record.recorder import Recorder
from agent.media.record.sidefile import Lock, Side
from agent.media.wire import (
    MediaConfig,
    MediaEvent,
    Record,
    Recorded,
    RecordingGone,
    ToCore,
)

log = logging.getLogger(__name__)

WHO = "recorder"
LOOK_S = 0.5
QUEUE_BYTES = 32_000_000
"""So much waits for a disk that stalls: more than two minutes at 1.5 Mbit/s."""
CLOSE_S = 2.0
QUIET_S = 5.0
"""Between tries to begin."""
SILENT = frozenset({"roll", "ring", "retention"})
"""Deletions that are the usual way of a ring: no event tells of them."""

Job = Callable[[Recorder], None]


class Wanted:
    """Which cameras are to be recorded: pure."""

    def __init__(self, config: RecordConfig, cameras: tuple[str, ...]) -> None:
        self._mode = config.mode
        self._cameras = config.cameras or cameras
        self._all = cameras
        self._started: set[str] = set()
        self._stopped: set[str] = set()
        self._until: dict[str, float] = {}

    def take(self, message: Record, now: float) -> None:
        named = {message.camera} if message.camera else set(self._all)
        match message.action:
            case "start":
                self._started |= named
                self._stopped -= named
            case "stop":
                self._started -= named
                self._stopped |= named
                self._until = {name: at for name, at in self._until.items() if name not in named}
            case "lock" if not message.id:
                named = named if message.camera else set(self._cameras)
                for name in named:
                    self._until[name] = max(self._until.get(name, 0.0), now + message.post_s)

    def at(self, now: float) -> set[str]:
        steady = set(self._cameras) if self._mode != "off" else set()
        rolls = {name for name, until in self._until.items() if now < until}
        return (steady - self._stopped) | self._started | rolls


class RecordPart:
    """`send` takes what the core is told (loop's thread); `None` sound source: no microphone."""

    def __init__(
        self,
        config: MediaConfig,
        pipelines: Mapping[str, Pipeline],
        sounds: set[Callable[[bytes, int], None]],
        send: Callable[[ToCore], None],
    ) -> None:
        self._config = config.record
        self._unit, self._mark = config.unit, config.mark
        self._pipelines = pipelines
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._wanted = Wanted(config.record, tuple(pipelines))
        self._takers: dict[str, tuple[Subscription, asyncio.Task[None]]] = {}
        self._jobs: queue.SimpleQueue[tuple[Job, int] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._lost: set[str] = set()
        """Cameras of which a picture was dropped: they go on at a keyframe."""
        self._dropped = 0
        self._stats = RecordStats()
        self._thread: threading.Thread | None = None
        self._sounds = sounds
        if config.record.audio:
            sounds.add(self._sound)

    # -- the loop's thread -------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; what is being written is closed then."""
        if not self._config.dir:
            return
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()
        try:
            while True:
                self._look()
                await asyncio.sleep(LOOK_S)
        finally:
            self._sounds.discard(self._sound)
            for camera in [*self._takers]:
                self._leave(camera)
            self._jobs.put(None)
            # Off the loop, and not for ever: a disk may hang.
            await asyncio.shield(asyncio.to_thread(self._thread.join, CLOSE_S))

    def take(self, message: Record) -> None:
        """A command, or an alarm."""
        now = time.monotonic()
        self._wanted.take(message, now)
        self._do(lambda recorder: _carry_out(recorder, message, now))
        self._look()

    def heard(self, circumstances: Circumstances) -> None:
        now = time.monotonic()
        self._do(lambda recorder: recorder.heard(circumstances, now))

    def stats(self) -> RecordStats:
        return self._stats

    def _look(self) -> None:
        wanted = self._wanted.at(time.monotonic()) & set(self._pipelines)
        for camera in wanted - set(self._takers):
            subscription = self._pipelines[camera].subscribe(WHO, watches=False)
            taker = self._loop.create_task(
                self._follow(camera, subscription), name=f"{WHO} {camera}"
            )
            self._takers[camera] = subscription, taker
        for camera in set(self._takers) - wanted:
            self._leave(camera)

    def _leave(self, camera: str) -> None:
        subscription, taker = self._takers.pop(camera)
        subscription.close()
        taker.cancel()
        self._pipelines[camera].release(WHO)
        self._do(lambda recorder: recorder.stop(camera))

    async def _follow(self, camera: str, subscription: Subscription) -> None:
        pipeline = self._pipelines[camera]
        try:
            while True:
                picture = await subscription.get()
                if camera in self._lost and not picture.keyframe:
                    continue
                self._lost.discard(camera)
                if not self._do(_writing(camera, picture, not pipeline.passes), len(picture.data)):
                    self._lost.add(camera)
                    self._dropped += 1
        except ClosedError:
            return

    def _sound(self, data: bytes, samples: int) -> None:
        if self._takers:
            self._do(lambda recorder: recorder.sound(data, samples), len(data))

    def _do(self, job: Job, size: int = 0) -> bool:
        """False where too much waits already.  What is no picture always has room."""
        if not self._config.dir:
            return False
        with self._lock:
            if size and self._waiting + size > QUEUE_BYTES:
                return False
            self._waiting += size
        self._jobs.put((job, size))
        return True

    def _ask(self, camera: str) -> None:
        taker = self._takers.get(camera)
        if taker is not None:
            taker[0].request_keyframe()

    # -- the writer's thread -----------------------------------------------------------------

    def _write(self) -> None:
        recorder = self._recorder()
        if recorder is None:
            return
        looked = 0.0
        while True:
            try:
                job = self._jobs.get(timeout=LOOK_S)
            except queue.Empty:
                pass
            else:
                if job is None:
                    recorder.close()
                    return
                with self._lock:
                    self._waiting -= job[1]
                job[0](recorder)
            if (now := time.monotonic()) - looked >= LOOK_S:
                looked = now
                recorder.tick(now)
                recorder.check_room(now)
                self._stats = recorder.stats(now, self._dropped)

    def _recorder(self) -> Recorder | None:
        """None: the process is to end, which is told."""
        failed = ""
        while True:
            try:
                key = None
                if self._config.key_file:
                    key = sealing.read_key(Path(self._config.key_file))
                recorder = Recorder(
                    self._config, self._unit, self._mark, key,
                    need_keyframe=lambda camera: self._tell_loop(self._ask, camera),
                    tell=lambda side: self._tell_loop(self._send, Recorded(side=side)),
                    gone=lambda side, why: self._tell_loop(self._gone, side, why),
                    state=lambda state, detail: self._tell_loop(self._say, state, detail),
                )  # fmt: skip
                recorder.begin()
            except (OSError, ValueError) as error:
                why = f"recording cannot begin: {error}"
                self._stats = msgspec.structs.replace(self._stats, state="paused", detail=why)
                if failed != why:
                    failed = why
                    log.warning("%s", why)
                    self._tell_loop(self._say, "paused", why)
                if self._ended_while_waiting():
                    return None
            else:
                if failed:
                    self._tell_loop(self._say, "recording", "the disk is there again")
                return recorder

    def _ended_while_waiting(self) -> bool:
        """Throw away what cannot be written for a while; True where the process ends."""
        until = time.monotonic() + QUIET_S
        while (left := until - time.monotonic()) > 0:
            try:
                job = self._jobs.get(timeout=left)
            except queue.Empty:
                break
            if job is None:
                return True
            with self._lock:
                self._waiting -= job[1]
        return False

    def _tell_loop(self, call: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            log.debug("the process ends: %s is not told", args)

    def _gone(self, side: Side, why: str) -> None:
        self._send(RecordingGone(id=side.id, why=why))
        if why not in SILENT:
            detail = "locked" if side.locked else "no room on the disk"
            self._send(
                MediaEvent(
                    event="recording_deleted", camera=side.camera, name=side.id, state=why,
                    detail=f"{side.id} ({detail}): {why}",
                )
            )  # fmt: skip

    def _say(self, state: str, detail: str) -> None:
        self._send(MediaEvent(event="record", state=state, detail=detail))


def _writing(camera: str, picture: Encoded, painted: bool) -> Job:
    return lambda recorder: recorder.picture(camera, picture, painted=painted)


def _carry_out(recorder: Recorder, message: Record, now: float) -> None:
    lock = Lock(t=recorder.now_ms(now), why=message.why, by=message.by)
    match message.action:
        case "start":
            recorder.by(message.camera, message.by)
        case "stop":
            recorder.by(message.camera, "")
        case "lock" if not message.id:
            recorder.lock(message.camera, lock, message.pre_s, message.post_s, now)
        case "lock":
            recorder.lock_one(message.id, lock)
        case "unlock":
            recorder.lock_one(message.id, None)
