"""The recordings of this unit as the core sees them: what there is, what locks it, and a fault
where there should be one and is none.

The media process writes and deletes; the index is made from side files at the start, and kept by
what the media process tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.alarms.engine import UNIT
from agent.alarms.standing import Cause
from agent.annunciator import DISCREET
from agent.media import wire
from agent.media.host import MediaHost
from agent.media.record import sidefile
from agent.media.record.circumstances import Circumstances
from agent.media.record.config import RecordConfig
from agent.media.record.sidefile import Side
from agent.media.wire import MediaError
from agent.messages import Alarm, Class, FixBody, Reading
from agent.messages.media import MediaItem

if TYPE_CHECKING:
    from agent.app import App
    from agent.verbs.media import RecordArgs

log = logging.getLogger(__name__)

RANK = 3
"""The least urgent alarms that lock what is recorded: low ones; not those of devices."""
TELL_S = 1.0
MISSING_S = 20.0
"""A camera may need so long at the start, or after it was unplugged."""
READINGS_MAX = 64


class Recordings:
    """A provider of the gallery; `Recorder` of the verb `record`."""

    def __init__(self, app: App, group: asyncio.TaskGroup) -> None:
        self.config: RecordConfig = app.config.recording
        self._media: MediaHost = app.media
        self._app = app
        self._group = group
        self._sides: dict[str, Side] = {}
        self._readings: dict[str, tuple[Reading, ...]] = {}
        """Of those that are being recorded: what was measured when they began."""
        self._told: dict[str, bool] = {}
        """Which the centers know, and whether as locked."""
        self._known: set[tuple[str, str, int]] = set()
        """Alarms that stood at the last look."""
        self._shown: tuple[str, ...] = ()
        """Cameras that the status says are recorded."""
        self._tell_at = 0.0
        self._missing_since: float | None = None
        self._stopped: set[str] = set()
        """Cameras that a person has told not to be recorded."""
        app.media.on_recording = self._recorded

    @property
    def enabled(self) -> bool:
        """The unit has something that it could record."""
        return bool(self._app.config.cameras and self._app.config.media.enabled)

    def begin(self) -> None:
        """Make the index, off the loop."""
        if self.enabled:
            self._group.create_task(self._index(), name="recordings.index")

    async def _index(self) -> None:
        folder = Path(self.config.dir)
        for side in await asyncio.to_thread(lambda: list(sidefile.scan(folder))):
            # What has been told meanwhile is newer.
            self._sides.setdefault(side.id, side)
            if side.number:
                self._told.setdefault(side.id, side.locked)

    # -- for the gallery ---------------------------------------------------------------------

    def items(self) -> Sequence[MediaItem]:
        return [self._item(side) for side in self._sides.values() if side.size or side.number]

    def path(self, item: MediaItem) -> Path:
        return Path(self.config.dir) / self._sides[item.id].file

    def _item(self, side: Side) -> MediaItem:
        fix = None
        if side.track:
            fix = FixBody(mode=2, lat=side.track[0].lat, lon=side.track[0].lon)
        return MediaItem(
            id=side.id, kind="recording", camera=side.camera, start=side.start,
            end=None if side.is_open else side.end, media_type=side.media_type, size=side.size,
            digest=side.digest, by=side.by, locked=side.locked, fix=fix,
            why=tuple(lock.why for lock in side.locks), previous=side.previous,
            readings=self._readings.get(side.id, ()),
        )  # fmt: skip

    # -- what the media process tells --------------------------------------------------------

    def _recorded(self, message: wire.Recorded | wire.RecordingGone) -> None:
        if isinstance(message, wire.RecordingGone):
            for kept in (self._sides, self._readings, self._told):
                kept.pop(message.id, None)
            return
        side = message.side
        if side.is_open and side.id not in self._sides:
            self._readings[side.id] = tuple(
                reading for reading in self._app.hub.latest.values() if reading.fix is None
            )[:READINGS_MAX]
        self._sides[side.id] = side
        self._tell(side)

    def _tell(self, side: Side) -> None:
        """Centers learn of what is whole and stays; of readings only with what is locked."""
        if side.is_open or side.roll or self._told.get(side.id) is side.locked:
            return
        if not side.locked:
            self._readings.pop(side.id, None)
        self._told[side.id] = side.locked
        self._app.outbox.append(Class.MEDIA, self._item(side))
        self._readings.pop(side.id, None)

    # -- what is ordered ---------------------------------------------------------------------

    def command(self, args: RecordArgs, by: str) -> dict[str, Any]:
        """MediaError."""
        if not self.enabled:
            raise MediaError("unavailable", "this unit has no camera that it could record")
        if args.id and args.id not in self._sides:
            raise MediaError("not_found", f"no recording {args.id!r} is held")
        if args.action == "unlock" and not args.id:
            raise MediaError("bad_arguments", "args: which recording is to be unlocked? (id)")
        self._media.record(
            wire.Record(
                action=args.action, camera=args.camera, id=args.id, why="command", by=by,
                pre_s=self.config.pre_s, post_s=self.config.post_s,
            )
        )  # fmt: skip
        named = {args.camera} if args.camera else {one.name for one in self._app.config.cameras}
        if args.action == "stop":
            self._stopped |= named
        elif args.action == "start":
            self._stopped -= named
        return {"action": args.action, "camera": args.camera, "id": args.id}

    def changed(self) -> None:
        """Alarms have: one that is soon over is recorded as well."""
        if self.enabled:
            self._lock_for(self._app.engine.active())

    # -- at least twice a second -------------------------------------------------------------

    def tick(self, at: float) -> None:
        """Monotonic seconds."""
        if not self.enabled:
            return
        active = self._app.engine.active()
        self._lock_for(active)
        self._tell_circumstances(active, at)
        self._look_for_faults(at)
        if self._media.stats.record.cameras != self._shown:
            self._shown = self._media.stats.record.cameras
            self._app.soon()

    def _lock_for(self, active: Iterable[Alarm]) -> None:
        stands = {
            (alarm.alarm, alarm.code, alarm.since or 0)
            for alarm in active
            if alarm.rank <= RANK and alarm.source != UNIT
        }
        news = stands - self._known
        self._known = stands
        if not news or self.config.mode == "off":
            return
        open_ones = sorted(code for _, code, _ in news if code not in DISCREET)
        order = wire.Record(
            action="lock", pre_s=self.config.pre_s, post_s=self.config.post_s,
            # Who looks over a shoulder must not see of a silent call.
            why=open_ones[0] if open_ones else "alarm",
        )  # fmt: skip
        try:
            self._media.record(order)
        except MediaError as error:
            log.warning("nothing is recorded of this alarm: %s", error)

    def _tell_circumstances(self, active: tuple[Alarm, ...], at: float) -> None:
        if at < self._tell_at:
            return
        self._tell_at = at + TELL_S
        app, overlay = self._app, self._app.overlay.message(self._app.clock.now_ms())
        fix = app.engine.fix if overlay.place not in ("", "--") else None
        self._media.circumstances(
            Circumstances(
                time_ms=overlay.time_ms, clock=app.clock.source,
                lat=fix.lat if fix is not None else None,
                lon=fix.lon if fix is not None else None,
                readings=tuple(overlay.readings), alarms=tuple(overlay.alarms),
            )
        )  # fmt: skip

    def _look_for_faults(self, at: float) -> None:
        """Silence is as loud here as anywhere: a camera that should be recorded and is not."""
        wanted = set(self.config.cameras or [one.name for one in self._app.config.cameras])
        wanted -= self._stopped
        stats = self._media.stats.record
        missing = self.config.mode != "off" and (
            stats.state == "paused" or not wanted <= set(stats.cameras)
        )
        if not missing:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = at
        since = self._missing_since
        held = since is not None and at - since >= MISSING_S
        cause = Cause(
            source=UNIT, quantity="recording", code="not_recording", t=self._app.clock.now_ms()
        )
        self._app.hub.alarms(self._app.engine.condition(cause, holds=held))
