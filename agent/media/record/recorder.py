"""What is written, and what of it is kept.  Belongs to the writer's thread; files, but no loop."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from agent.clock import boot_id
from agent.media.encoded import Encoded
from agent.media.record import circumstances as beside
from agent.media.record.circumstances import Circumstances
from agent.media.record.config import RecordConfig, RecordStats
from agent.media.record.ring import MB, Ring
from agent.media.record.sealing import Sealer
from agent.media.record.segment import SOUND_TIME_BASE, Segment
from agent.media.record.sidefile import Lock, Side
from agent.messages import Clock, Mark

log = logging.getLogger(__name__)

SIDE_S = 5.0
"""How often the side file of what is being recorded is written anew."""
GAP_S = 4.0
"""A camera that was away so long goes on in another file."""
RETRY_S = (2.0, 60.0)
"""Between looks whether there is room again; longer each time when it was soon over."""
CALM_S = 60.0
SLACK_BYTES = 4 * MB
"""Recording goes on when there is room for somewhat more than a moment."""
ASK_S = 1.0
SEALED = "application/vnd.outpost.sealed"


class Open:
    """What is being written of one camera."""

    def __init__(self, side: Side, segment: Segment, first: Encoded, parameters: bytes) -> None:
        self.side = side
        self.segment = segment
        self.first_at = self.last_at = first.at
        self.parameters = parameters
        self.saved_at = first.at


class Recorder:
    """`need_keyframe(camera)` asks for one; `tell(side)` says that it is new or has changed;
    `gone(side, why)`, `state(state, sentence)`.  All are called in the writer's thread."""

    def __init__(
        self,
        config: RecordConfig,
        unit: str,
        mark: Mark,
        key: bytes | None,
        *,
        need_keyframe: Callable[[str], None],
        tell: Callable[[Side], None],
        gone: Callable[[Side, str], None],
        state: Callable[[str, str], None],
    ) -> None:
        self.ring = Ring(Path(config.dir), config, gone)
        self._config = config
        self._unit, self._mark, self._key = unit, mark, key
        self._need_keyframe, self._tell, self._state = need_keyframe, tell, state
        self._open: dict[str, Open] = {}
        self._asked: dict[str, float] = {}
        self._by: dict[str, str] = {}
        self._locks: dict[str, tuple[Lock, float]] = {}
        """By camera (empty: all): what is recorded until then is locked."""
        self._circumstances = Circumstances(time_ms=time.time_ns() // 1_000_000, clock=Clock.FREE)
        self._heard_at = time.monotonic()
        self._sound_at = float("-inf")
        self._paused, self._retry_at = "", float("-inf")
        self._retry_s, self._resumed_at = RETRY_S[0], float("-inf")
        self._boot = boot_id()

    def begin(self) -> None:
        """Take up what is there.  OSError."""
        for side in self.ring.begin():
            self._tell(side)

    def now_ms(self, at: float) -> int:
        """UTC by the unit's clock at a moment of CLOCK_MONOTONIC."""
        return self._circumstances.time_ms + round((at - self._heard_at) * 1000)

    # -- what comes in -----------------------------------------------------------------------

    def picture(self, camera: str, picture: Encoded, *, painted: bool) -> None:
        """Of a camera that is to be recorded."""
        opened = self._open.get(camera)
        if opened is not None and picture.at - opened.last_at > GAP_S:
            self.stop(camera)
            opened = None
        if picture.keyframe:
            parameters = beside.parameter_sets(picture.data)
            if opened is None or self._must_cut(opened, picture, parameters):
                self.stop(camera)
                opened = self._begin(camera, picture, parameters, painted=painted)
        elif opened is None:
            self._ask(camera, picture.at)
        elif picture.at - opened.first_at >= self._config.segment_s:
            self._ask(camera, picture.at)
        if opened is None:
            return
        opened.last_at = picture.at
        self._guarded(camera, opened, partial(opened.segment.picture, picture))

    def sound(self, data: bytes, samples: int) -> None:
        """Of the unit's microphone."""
        self._sound_at = float(samples * SOUND_TIME_BASE)
        for camera, opened in [*self._open.items()]:
            if opened.side.sound:
                self._guarded(camera, opened, partial(opened.segment.sound, data, samples))
            else:
                # It has just been opened: the file has no place for it.
                self._ask(camera, self._sound_at)

    def heard(self, circumstances: Circumstances, at: float) -> None:
        """Where the unit is, what it measures, what stands; `at`: when."""
        self._circumstances, self._heard_at = circumstances, at
        for opened in self._open.values():
            opened.side = beside.noted(opened.side, circumstances)

    def by(self, camera: str, by: str) -> None:
        """Who asked for what is recorded from now on; empty: nobody any more."""
        for opened in [*self._open.values()]:
            if by and camera in ("", opened.side.camera):
                opened.side = msgspec.structs.replace(opened.side, by=by, roll=False)
                self._guarded(opened.side.camera, opened, partial(self.ring.put, opened.side))
        if by:
            self._by[camera] = by
        else:
            self._by = {name: one for name, one in self._by.items() if camera not in ("", name)}

    def lock(self, camera: str, lock: Lock, pre_s: float, post_s: float, at: float) -> None:
        """Keep what was recorded `pre_s` before `at` and what will be until `post_s` after."""
        since = self.now_ms(at - pre_s)
        for side in [*self.ring.sides.values()]:
            if camera in ("", side.camera) and (side.is_open or side.end >= since):
                self._lock(side.id, lock)
        until = max(at + post_s, self._locks.get(camera, (lock, at))[1])
        self._locks[camera] = lock, until

    def lock_one(self, name: str, lock: Lock | None) -> None:
        """That recording; None: unlock it."""
        if lock is not None:
            self._lock(name, lock)
        elif (side := self.ring.unlock(name)) is not None:
            self._changed(side)

    def _lock(self, name: str, lock: Lock) -> None:
        if (side := self.ring.lock(name, lock)) is not None:
            self._changed(side)

    def _changed(self, side: Side) -> None:
        opened = self._open.get(side.camera)
        if opened is not None and opened.side.id == side.id:
            opened.side = msgspec.structs.replace(
                opened.side, locks=side.locks, locked=side.locked, roll=side.roll
            )
        self._tell(side)

    def tick(self, now: float) -> None:
        """Each half second or so."""
        for camera, opened in [*self._open.items()]:
            if now - opened.last_at > GAP_S:
                self.stop(camera)
            elif now - opened.saved_at > SIDE_S:
                opened.saved_at = now
                opened.side = self._measured(opened)
                self._guarded(camera, opened, partial(self.ring.put, opened.side))
        self.ring.save()
        if not self._open or self._paused:
            self._room(now)

    def close(self) -> None:
        for camera in [*self._open]:
            self.stop(camera)

    # -- one file after another --------------------------------------------------------------

    def _must_cut(self, opened: Open, picture: Encoded, parameters: bytes) -> bool:
        return (
            picture.at - opened.first_at >= self._config.segment_s
            or parameters != opened.parameters
            or (self._has_sound(picture.at) and not opened.side.sound)
        )

    def _has_sound(self, at: float) -> bool:
        return self._config.audio and at - self._sound_at < 1.0

    def _ask(self, camera: str, at: float) -> None:
        if at - self._asked.get(camera, float("-inf")) >= ASK_S:
            self._asked[camera] = at
            self._need_keyframe(camera)

    def _begin(
        self, camera: str, first: Encoded, parameters: bytes, *, painted: bool
    ) -> Open | None:
        if not self._room(first.at):
            return None
        start = self.now_ms(first.at)
        name = f"rec-{start:013d}-{secrets.token_hex(4)}"
        sealed = self._key is not None
        lock = self._lock_at(camera, first.at)
        by = self._by.get(camera) or self._by.get("", "")
        side = Side(
            id=name, unit=self._unit, camera=camera, mark=self._mark,
            file=f"{name}.mp4{'.sealed' if sealed else ''}",
            media_type=SEALED if sealed else "video/mp4",
            start=start, end=start, start_mono_s=first.at, end_mono_s=first.at, boot=self._boot,
            clock=self._circumstances.clock, sealed=sealed, sound=self._has_sound(first.at),
            painted=painted, by=by, roll=self._config.mode == "on_alarm" and not (by or lock),
            locks=(lock,) if lock is not None else (), locked=lock is not None,
        )  # fmt: skip
        side = beside.noted(side, self._circumstances)
        try:
            self.ring.put(side)
            sealer = Sealer(self._key) if self._key is not None else None
            path = self.ring.folder / side.file
            segment = Segment(path, first, sound=side.sound, sealer=sealer)
        except OSError as error:
            self.ring.forget(side)
            self._pause(f"the disk does not take it: {error.strerror or error}", first.at)
            return None
        opened = self._open[camera] = Open(side, segment, first, parameters)
        self._tell(side)
        return opened

    def _lock_at(self, camera: str, at: float) -> Lock | None:
        for name in (camera, ""):
            lock, until = self._locks.get(name, (None, 0.0))
            if lock is not None and at < until:
                return lock
        return None

    def _guarded(self, camera: str, opened: Open, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self.stop(camera)
            self._pause(f"the disk does not take it: {error.strerror or error}", opened.last_at)
        else:
            self.ring.grown(opened.side.id, opened.segment.size)

    def _measured(self, opened: Open) -> Side:
        return msgspec.structs.replace(
            opened.side, size=opened.segment.size,
            end=opened.side.start + round((opened.last_at - opened.first_at) * 1000),
            end_mono_s=opened.last_at,
        )  # fmt: skip

    def stop(self, camera: str) -> None:
        """Close what is being written of it."""
        opened = self._open.pop(camera, None)
        if opened is None:
            return
        try:
            opened.segment.close()
        except OSError as error:
            log.warning("the end of %s is lost: %s", opened.side.id, error)
        side = self._measured(opened)
        if side.size == 0:
            self.ring.forget(side)
            return
        side = msgspec.structs.replace(side, digest=opened.segment.digest)
        self._tell(self.ring.close(side))

    # -- room --------------------------------------------------------------------------------

    def _room(self, now: float) -> bool:
        if self._paused and now < self._retry_at:
            return False
        try:
            room = self.ring.make_room(self.now_ms(now), SLACK_BYTES if self._paused else 0)
            if room and self._paused:
                self.ring.probe()
        except OSError as error:
            self._pause(f"the disk does not take it: {error.strerror or error}", now)
            return False
        if not room:
            self._pause("the disk is full, and nothing is left that may be deleted", now)
            return False
        if self._paused:
            self._paused, self._resumed_at = "", now
            self._state("recording", "there is room again")
        return True

    def _pause(self, why: str, now: float) -> None:
        if not self._paused:
            calm = now - self._resumed_at > CALM_S
            self._retry_s = RETRY_S[0] if calm else min(2 * self._retry_s, RETRY_S[1])
        self._retry_at = now + self._retry_s
        if not self._paused:
            log.warning("recording pauses: %s", why)
            self._paused = why
            self._state("paused", why)

    def check_room(self, now: float) -> None:
        """While something is being written: the disk may fill by what others write."""
        if self._open and not self._paused and not self._room(now):
            self.close()

    def stats(self, now: float, dropped: int) -> RecordStats:
        sides = [*self.ring.sides.values()]
        return RecordStats(
            state="paused" if self._paused else "recording" if self._open else "off",
            detail=self._paused, cameras=tuple(sorted(self._open)),
            locking=any(opened.side.locked for opened in self._open.values()),
            recordings=len(sides), mb=round(self.ring.used() / MB, 1),
            locked_mb=round(self.ring.used(locked=True) / MB, 1), dropped=dropped,
        )  # fmt: skip
