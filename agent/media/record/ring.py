"""The folder of recordings: what is in it, in which order it goes, and the chain of digests.

Belongs to the writer's thread.  All times are UTC ms of the unit's clock.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.disk import reserve_bytes
from agent.media.record import sidefile
from agent.media.record.config import RecordConfig
from agent.media.record.sidefile import Head, Lock, Side

log = logging.getLogger(__name__)

MB = 1_000_000
DAY_MS = 86_400_000
PROBE_BYTES = 64 * 1024

OnGone = Callable[[Side, str], None]


class Ring:
    """`on_gone(side, why)`: `roll`, `ring`, `disk`, `retention`, `ceiling` (it was locked)."""

    def __init__(self, folder: Path, config: RecordConfig, on_gone: OnGone) -> None:
        self.folder = folder
        self.sides: dict[str, Side] = {}
        """By id, the oldest first; open ones too."""
        self._config = config
        self._on_gone = on_gone
        self._head = Head()
        self._unsaved: set[str] = set()

    def begin(self) -> list[Side]:
        """Make the folder, take up what is there; those that a crash left open and that are closed
        now.  OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.folder.glob(".*.json"):
            left.unlink(missing_ok=True)
        self.sides = {side.id: side for side in sidefile.scan(self.folder)}
        newest = max(self.sides.values(), key=lambda side: side.number, default=None)
        self._head = sidefile.read_head(self.folder)
        if newest is not None and newest.number > self._head.number:
            self._head = Head(newest.number, newest.entry())
        return [
            closed
            for side in sorted(self.sides.values(), key=lambda side: side.start)
            if side.is_open and (closed := self._recover(side)) is not None
        ]

    def _recover(self, side: Side) -> Side | None:
        path = self.folder / side.file
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size == 0:
            self._unlink(side)
            return None
        seen = path.stat().st_mtime_ns // 1_000_000
        end = max(side.end, min(seen, side.start + round(self._config.segment_s * 4000)))
        return self.close(
            msgspec.structs.replace(side, end=end, size=size, digest=sidefile.digest_of(path)),
            "recovered",
        )

    def forget(self, side: Side) -> None:
        """It has no bytes: as if it had never begun."""
        self._unlink(side)

    def grown(self, name: str, size: int) -> None:
        """An open one has so many bytes now."""
        side = self.sides.get(name)
        if side is not None and side.size != size:
            self.sides[name] = msgspec.structs.replace(side, size=size)

    def probe(self) -> None:
        """OSError: the disk takes nothing."""
        path = self.folder / ".probe"
        try:
            path.write_bytes(bytes(PROBE_BYTES))
        finally:
            path.unlink(missing_ok=True)

    def put(self, side: Side) -> None:
        """Keep this of it from now on.  OSError: in memory only."""
        self.sides[side.id] = side
        sidefile.write(self.folder, side)

    def close(self, side: Side, state: str = "closed") -> Side:
        """Give it its number in the chain."""
        head = self._head
        side = msgspec.structs.replace(
            side, state=state, number=head.number + 1, previous=head.entry
        )
        self._head = Head(side.number, side.entry())
        self._keep(side)
        return side

    def lock(self, name: str, lock: Lock) -> Side | None:
        """None: there is none."""
        side = self.sides.get(name)
        if side is None:
            return None
        locks = side.locks if lock.why in {had.why for had in side.locks} else (*side.locks, lock)
        return self._keep(msgspec.structs.replace(side, locks=locks, locked=True, roll=False))

    def unlock(self, name: str) -> Side | None:
        side = self.sides.get(name)
        return side and self._keep(msgspec.structs.replace(side, locked=False))

    def _keep(self, side: Side) -> Side:
        """Where the disk does not take it now, it is written when there is room."""
        self.sides[side.id] = side
        self._unsaved.add(side.id)
        self.save()
        return side

    def save(self) -> None:
        """What could not be written before."""
        for name in sorted(self._unsaved):
            try:
                if (side := self.sides.get(name)) is not None:
                    sidefile.write(self.folder, side)
                    if side.number:
                        sidefile.write_head(self.folder, self._head)
            except OSError as error:
                log.warning("the side file of %s cannot be written: %s", name, error)
                return
            self._unsaved.discard(name)

    # -- room --------------------------------------------------------------------------------

    def used(self, *, locked: bool = False) -> int:
        """Bytes of all of them, or of the locked."""
        return sum(side.size for side in self.sides.values() if side.locked or not locked)

    def lacks(self, slack: int = 0) -> int:
        """Bytes that must be freed before anything more is written.  OSError."""
        disk = shutil.disk_usage(self.folder)
        over = self.used() - self._config.max_mb * MB
        return max(0, over, reserve(self._config, disk.total) + slack - disk.free)

    def make_room(self, now_ms: int, slack: int = 0) -> bool:
        """Delete what must go; False where there is still no room for `slack` bytes.  OSError."""
        self._expire(now_ms)
        while self.used(locked=True) > self._config.locked_mb * MB:
            if not self._delete_oldest("ceiling", locked=True):
                break
        while self.lacks(slack):
            over = self.used() > self._config.max_mb * MB
            if self._delete_oldest("ring" if over else "disk", locked=False):
                continue
            if not over or not self._delete_oldest("ceiling", locked=True):
                return False
        return True

    def _expire(self, now_ms: int) -> None:
        kept_ms, roll_ms = self._config.days * DAY_MS, self._config.pre_s * 1000
        for side in [*self.sides.values()]:
            if side.is_open or side.locked:
                continue
            if side.end < now_ms - kept_ms:
                self._delete(side, "retention")
            elif side.roll and side.end < now_ms - roll_ms:
                self._delete(side, "roll")

    def _delete_oldest(self, why: str, *, locked: bool) -> bool:
        for side in self.sides.values():
            if not side.is_open and side.locked is locked:
                self._delete(side, why)
                return True
        return False

    def _delete(self, side: Side, why: str) -> None:
        self._unlink(side)
        self._on_gone(side, why)

    def _unlink(self, side: Side) -> None:
        self.sides.pop(side.id, None)
        for name in (side.file, f"{side.id}{sidefile.SUFFIX}"):
            (self.folder / name).unlink(missing_ok=True)


def reserve(config: RecordConfig, disk_total: int) -> int:
    """Bytes that recordings leave free: twice what the store needs, so that it never feels them."""
    return max(config.free_mb * MB, 2 * reserve_bytes(disk_total))
