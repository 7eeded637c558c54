"""The core's side of the media process: starts it, watches its heart, and never waits for it.

Whatever the media process does (crash, hang, flood), the core's loop only ever writes to a socket
buffer that it bounds and reads frames that it bounds.  A process that says nothing for
`heartbeat_s` of `[media.limits]`, or holds more than its `memory_mb`, is killed; a dead one is
started again with backoff and jitter.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.media import wire
from agent.media.record.circumstances import Circumstances
from agent.media.wire import CameraStats, MediaConfig, MediaError, MediaEvent, MediaStats

log = logging.getLogger(__name__)

LIBRARIES = ("aiortc", "av", "cv2")
MISSING = (
    "video is disabled: {names} not installed; install the extra 'media' (pip install "
    "'outpost[media]')"
)
START_S = 20.0
"""A slow board may take this long to load the libraries before the first heartbeat."""
HEALTHY_S = 30.0
"""After this long the next restart is immediate again."""
BACKOFF_S = (0.2, 10.0)
MAX_UNSENT_BYTES = 512 * 1024
MAX_WAITING = 32
NO_VOICE = "voice was not asked for"
PAGE = os.sysconf("SC_PAGE_SIZE")
ANSWER_S = 8.0
"""An offer expires 10 s after it was made; a later answer would be of no use."""


def _python_path() -> str:
    """The same `agent` as here: never one that lies in the folder the agent was started from."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))


def _rss_mb(pid: int | None) -> int:
    """Memory that the process holds; 0 where it has gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * PAGE // 2**20


class MediaHost:
    """Supervises `python -m agent.media`.  All methods belong to the loop's thread.

    `on_still(camera, time_ms, jpeg)`, `on_event(MediaEvent)` and `on_stats(MediaStats)` are called
    in the loop's thread and must return at once.
    """

    def __init__(
        self,
        config: MediaConfig,
        on_still: Callable[[str, int, bytes], None],
        on_event: Callable[[MediaEvent], None],
        on_stats: Callable[[MediaStats], None],
    ) -> None:
        self.config = config
        self.pid: int | None = None
        self.stats = MediaStats()
        self._on_still = on_still
        self._on_event = on_event
        self._on_stats = on_stats
        self._writer: asyncio.StreamWriter | None = None
        self._up = False
        self._frames_before = 0
        self._restarts = 0
        self._overlay: wire.Overlay | None = None
        self._limit = wire.Limit(kbit_s=0)
        self._waiting: dict[str, asyncio.Future[wire.OfferReply]] = {}
        self._microphone = wire.Microphone(open=False)
        self.on_recording: Callable[[wire.Recorded | wire.RecordingGone], None] = lambda _: None
        self._recording: dict[str, wire.Record] = {}
        """By camera: what a person has last ordered of it."""
        self._roll: tuple[wire.Record, float] | None = None
        """What is locked, and until when."""
        self._published: dict[str, wire.Whip] = {}
        """By name: what was last ordered of a media server."""
        self._sessions: set[str] = set()
        self._leases: dict[str, tuple[wire.StartStills, float]] = {}
        self._disabled = self._why_disabled()
        self._show("disabled" if self._disabled else "idle", self._disabled)

    def _why_disabled(self) -> str:
        if not self.config.enabled:
            return "video is disabled: [media] enabled = false"
        missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
        return MISSING.format(names=", ".join(missing)) if missing else ""

    # What the core asks for.

    def overlay(self, overlay: wire.Overlay) -> None:
        """Draw this from now on.  Dropped while the process is slow: only the last one counts."""
        self._overlay = overlay
        if self._writer is not None and not self._unsent():
            self._send(overlay)

    async def offer(
        self, session: str, camera: str, sdp: str, *, no_voice: str = NO_VOICE
    ) -> wire.OfferReply:
        """The answer.  MediaError: why there is none.  `no_voice`: why its sound is refused.  An
        offer without pictures, or to a unit without a camera, is for voice alone."""
        name = self._shown(camera, sdp)
        if session in self._waiting or session in self._sessions:
            raise MediaError("refused", f"session {session!r} is already in use")
        if len(sdp) > wire.MAX_SDP_CHARS:
            raise MediaError(
                "malformed",
                f"the offer has {len(sdp)} characters, expected at most {wire.MAX_SDP_CHARS}",
            )
        if len(self._waiting) >= MAX_WAITING:
            raise MediaError("unavailable", f"{MAX_WAITING} offers already wait for an answer")
        answer: asyncio.Future[wire.OfferReply] = asyncio.get_running_loop().create_future()
        self._waiting[session] = answer
        try:
            self._must_send(
                wire.OfferRequest(session=session, camera=name, sdp=sdp, no_voice=no_voice)
            )
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError as error:
            self.close(session)
            raise MediaError(
                "unavailable", f"the media process gave no answer within {ANSWER_S:g} s"
            ) from error
        finally:
            del self._waiting[session]

    def close(self, session: str) -> None:
        """End a viewer's session; an unknown one is not an error (it may have ended itself)."""
        self._sessions.discard(session)
        if self._writer is not None:
            self._send(wire.CloseSession(session=session))

    def limit(self, kbit_s: int) -> None:
        """What all viewers together may take from now on, while alarms and readings need the
        link; 0: no limit."""
        self._limit = wire.Limit(kbit_s=kbit_s)
        if self._writer is not None:
            self._send(self._limit)

    def publish(self, name: str, on: bool) -> str:
        """Send a camera to that media server from now on (empty: the first), or no more; its name.
        MediaError: there is none."""
        names = [way.name for way in self.config.whip]
        if self._disabled:
            raise MediaError("unavailable", self._disabled)
        if not names:
            raise MediaError("not_found", "this unit has no media server")
        if name and name not in names:
            raise MediaError(
                "not_found", f"no media server {name!r}; this unit has: {', '.join(names)}"
            )
        order = self._published[name or names[0]] = wire.Whip(name=name or names[0], on=on)
        self._send(order)
        return order.name

    def open_microphone(self, on: bool) -> None:
        """Whether who listens may hear it, from now on."""
        self._microphone = wire.Microphone(open=on)
        self._send(self._microphone)

    def give_floor(self, session: str) -> None:
        """Who is heard in the speaker; empty: nobody."""
        self._send(wire.GiveFloor(session=session))

    def record(self, order: wire.Record) -> None:
        """Record, stop, lock or unlock: also a process that comes up later.  MediaError: there is
        no such camera; or a certain recording is meant, and there is no process now."""
        self._camera(order.camera)
        if order.id:
            self._must_send(order)
            return
        self._send(order)
        if order.action in ("start", "stop"):
            self._recording = {} if not order.camera else self._recording
            self._recording[order.camera] = order
        elif order.action == "lock":
            self._roll = order, time.monotonic() + order.post_s

    def circumstances(self, now: Circumstances) -> None:
        """Where and in which air pictures are recorded from now on."""
        self._send(now)

    def stills(self, camera: str, period_s: float, lease_s: float) -> None:
        """Call `on_still` each `period_s` until `lease_s` has passed.  MediaError."""
        name = self._camera(camera)
        for key, value, (low, high) in (
            ("period_s", period_s, wire.STILL_PERIOD_S),
            ("lease_s", lease_s, wire.STILL_LEASE_S),
        ):
            if not low <= value <= high:
                raise MediaError(
                    "malformed", f"{key} must be {low:g} to {high:g} s, but is {value:g}"
                )
        request = wire.StartStills(camera=name, period_s=period_s, lease_s=lease_s)
        self._leases[name] = (request, time.monotonic() + lease_s)
        if self._writer is not None:
            self._send(request)

    def still_soon(self, camera: str, period_s: float, lease_s: float) -> str:
        """See to it that `on_still` is called for this camera, and leave alone who has asked for
        stills already; the camera's name.  MediaError."""
        name = self._camera(camera)
        lease = self._leases.get(name)
        if lease is None or lease[1] - time.monotonic() < lease[0].period_s + lease_s:
            self.stills(name, period_s, lease_s)
        return name

    @property
    def is_leased(self) -> bool:
        """Somebody gets stills of some camera now."""
        now = time.monotonic()
        return any(until > now for _, until in self._leases.values())

    def stop_stills(self, camera: str) -> None:
        """MediaError: no such camera."""
        name = self._camera(camera)
        self._leases.pop(name, None)
        if self._writer is not None:
            self._send(wire.StopStills(camera=name))

    @property
    def has_voice(self) -> bool:
        """There is something to listen to, or to talk by."""
        voice = self.config.voice
        return not self._disabled and bool(voice.microphone or voice.speaker)

    def _shown(self, camera: str, sdp: str) -> str:
        """The camera of a session; empty where it is for voice alone.  MediaError."""
        if not self.has_voice:
            return self._camera(camera)
        if not self.config.cameras and not camera:
            return ""
        return self._camera(camera) if "\nm=video" in sdp else ""

    def _camera(self, name: str) -> str:
        if self._disabled:
            raise MediaError("unavailable", self._disabled)
        names = [camera.name for camera in self.config.cameras]
        if not names:
            raise MediaError("not_found", "this unit has no camera")
        if name and name not in names:
            raise MediaError("not_found", f"no camera {name!r}; this unit has: {', '.join(names)}")
        return name or names[0]

    # Sending: bounded, never waiting.

    def _unsent(self) -> int:
        return self._writer.transport.get_write_buffer_size() if self._writer is not None else 0

    def _send(self, message: wire.ToMedia) -> bool:
        if self._writer is None or self._unsent() > MAX_UNSENT_BYTES:
            return False
        self._writer.write(wire.encode(message))
        return True

    def _must_send(self, message: wire.ToMedia) -> None:
        if not self._up:
            raise MediaError("unavailable", "the media process is starting; try again in a moment")
        if not self._send(message):
            raise MediaError("unavailable", "the media process does not keep up; try again")

    # Supervision.

    async def run(self) -> None:
        """Until cancelled.  Whatever happens to the process is an event, never an exception."""
        if self._disabled or not (self.config.cameras or self.has_voice):
            self._on_stats(self.stats)
            await asyncio.Event().wait()
        delay_s = BACKOFF_S[0]
        while True:
            started = time.monotonic()
            reason = await self._live_once()
            if time.monotonic() - started > HEALTHY_S:
                delay_s = BACKOFF_S[0]
            self._went_down(reason)
            await asyncio.sleep(delay_s * random.uniform(0.75, 1.25))
            delay_s = min(delay_s * 2, BACKOFF_S[1])

    async def _live_once(self) -> str:
        """One life of the process; returns why it ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "agent.media", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    env=os.environ | {"PYTHONPATH": _python_path()},
                )
            except OSError as error:
                ours.close()
                return f"could not be started: {error}"
        self.pid = process.pid
        reason = ""
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            self._writer = writer
            self._send(wire.Configure(config=self.config))
            self._send_again()
            reason = await self._listen(reader)
        finally:
            await self._bury(process, grace_s=0.0 if reason else 1.0)
        return reason or f"ended with exit status {process.returncode}"

    def _send_again(self) -> None:
        """What a new process must know beside its configuration."""
        if self._overlay is not None:
            self._send(self._overlay)
        if self._limit.kbit_s:
            self._send(self._limit)
        self._send(self._microphone)
        now = time.monotonic()
        for order in self._recording.values():
            self._send(order)
        for target in self._published.values():
            self._send(target)
        if self._roll is not None and self._roll[1] > now:
            roll, until = self._roll
            self._send(msgspec.structs.replace(roll, post_s=until - now))
        for request, until in list(self._leases.values()):
            if until - now >= wire.STILL_LEASE_S[0]:
                self._send(msgspec.structs.replace(request, lease_s=until - now))

    async def _listen(self, reader: asyncio.StreamReader) -> str:
        patience_s = START_S
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    message = await wire.read_to_core(reader)
            except TimeoutError:
                return f"said nothing for {patience_s:g} s and was killed"
            except wire.WireError as error:
                return f"was killed: {error}"
            except OSError:
                return ""  # a reset is how the end of a killed process may look
            if message is None:
                return ""
            patience_s = self.config.limits.heartbeat_s
            self._take(message)
            ceiling_mb = self.config.limits.memory_mb
            if self.stats.rss_mb > ceiling_mb:
                return (
                    f"held {self.stats.rss_mb} MB, more than [media.limits] memory_mb = "
                    f"{ceiling_mb}, and was killed"
                )

    def _take(self, message: wire.ToCore) -> None:
        match message:
            case MediaStats():
                self._came_up()
                self.stats = msgspec.structs.replace(
                    message,
                    frames_encoded=self._frames_before + message.frames_encoded,
                    restarts=self._restarts,
                    rss_mb=_rss_mb(self.pid),
                )
                self._on_stats(self.stats)
            case wire.StillPicture():
                self._on_still(message.camera, message.time_ms, message.jpeg)
            case wire.OfferReply():
                self._answered(message)
            case wire.Recorded() | wire.RecordingGone():
                self.on_recording(message)
            case MediaEvent():
                if message.event == "session_closed":
                    self._sessions.discard(message.session)
                self._on_event(message)

    def _answered(self, reply: wire.OfferReply) -> None:
        waiting = self._waiting.get(reply.session)
        if waiting is None or waiting.done():
            return
        if reply.code == "ok":
            self._sessions.add(reply.session)
            waiting.set_result(reply)
        else:
            waiting.set_exception(MediaError(reply.code, reply.detail))

    def _came_up(self) -> None:
        if not self._up:
            self._up = True
            self._on_event(MediaEvent(event="media_up", state="up"))

    def _went_down(self, reason: str) -> None:
        log.warning("the media process %s", reason)
        self._up = False
        self._restarts += 1
        self._frames_before = self.stats.frames_encoded
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(MediaError("unavailable", f"the media process {reason}"))
        self._on_event(MediaEvent(event="media_down", state="down", detail=reason))
        lost, self._sessions = sorted(self._sessions), set()
        for session in lost:
            self._on_event(MediaEvent(event="session_closed", session=session, detail=reason))
        self._show("down", f"the media process {reason}")
        self._on_stats(self.stats)

    def _show(self, state: str, detail: str) -> None:
        self.stats = MediaStats(
            frames_encoded=self._frames_before,
            restarts=self._restarts,
            cameras=tuple(
                CameraStats(name=camera.name, state=state, detail=detail)
                for camera in self.config.cameras
            ),
        )

    async def _bury(self, process: asyncio.subprocess.Process, grace_s: float) -> None:
        """Closing the socket asks the process to end; one that does not is killed."""
        writer, self._writer, self.pid = self._writer, None, None
        if writer is not None:
            writer.close()
        if grace_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
