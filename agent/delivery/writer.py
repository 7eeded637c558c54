"""The one thread that works on the store's file.  It knows no SQL.

Work that writes is committed together, and tried again for as long as the disk refuses; meanwhile
what only reads is still served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

log = logging.getLogger(__name__)

SYNC_WITHIN_S = 0.05
RETRY_S = 0.5
BATCH_MAX = 1000
CLOSE_WITHIN_S = 5.0


class RefusedError(OSError):
    """The disk does not take it now (full, read-only, failing); it may later."""


class File(Protocol):
    """What the thread works on.  All but `close` may raise RefusedError; any other OSError means
    that the file is damaged."""

    def transaction(self, works: list[Callable[[Any], object]]) -> None:
        """All of it or nothing."""

    def statement(self, work: Callable[[Any], object]) -> None:
        """Work that is all or nothing by itself."""

    def read(self, work: Callable[[Any], object]) -> None: ...

    def sync(self) -> None:
        """What is committed survives a power cut when this returns."""


class Job(msgspec.Struct, frozen=True):
    work: Callable[[Any], object]
    done: Callable[[], None] | None = None
    """Called on the loop when it is committed, or read."""
    urgent: bool = False
    """Synced at once."""
    writes: bool = True
    alone: bool = False
    """One statement: where nothing else waits it needs no transaction around it, and records
    mostly come one by one."""


class Writer:
    """Made on the loop; `start`, `put` and `close` are called there."""

    def __init__(
        self,
        file: File,
        name: str,
        on_failed: Callable[[OSError], None],
        on_trouble: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.trouble = ""
        """Why nothing can be written at present; empty: all is well."""
        self._file = file
        self._name = name
        self._on_failed = on_failed
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._put = 0
        self._committed = 0
        self._writes: list[Job] = []
        self._reads: list[Job] = []
        self._retry_at = 0.0
        self._sync_due: float | None = None
        """When what is committed must be synced; None: it is."""
        self._synced_at = 0.0
        self._sync_failed = False
        self._unread = ""

    def start(self) -> None:
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Writes that are not committed yet."""
        return self._put - self._committed

    def put(self, job: Job) -> None:
        self._put += job.writes
        self._queue.put(job)

    async def close(self) -> bool:
        """Commit and sync what can be.  False: the disk hangs, and the thread with it."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_WITHIN_S)
        return not self._thread.is_alive()

    # -- the thread ------------------------------------------------------------------------

    def _tell(self, callback: Callable[[], object]) -> None:
        # The loop may be gone when the process ends in a hurry.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _work(self) -> None:
        failure = OSError(f"{self._name}: the writer thread has ended")
        try:
            self._serve()
        except OSError as error:
            failure = error
        finally:
            # However it ended: nobody may go on as if records were still being kept.
            self._tell(lambda: self._on_failed(failure))

    def _serve(self) -> None:
        ended = False
        while not ended:
            ended = self._take()
            now = time.monotonic()
            while self._writes and (now >= self._retry_at or ended):
                if not self._commit(now):
                    break
            self._answer_reads()
            if self._sync_due is not None and (ended or time.monotonic() >= self._sync_due):
                self._sync()
        if self._writes:
            log.error(
                "%s: %d writes were lost at the end: %s",
                self._name, len(self._writes), self.trouble,
            )  # fmt: skip

    def _take(self) -> bool:
        """Wait for work, or until some is due; True when this is the end."""
        try:
            job = self._queue.get(timeout=self._patience_s())
        except queue.Empty:
            return False
        taken = 0
        while job is not None:
            (self._writes if job.writes else self._reads).append(job)
            taken += 1
            # Nobody else takes from it: what is there stays there.
            if taken > BATCH_MAX or self._queue.empty():
                return False
            job = self._queue.get_nowait()
        return True

    def _patience_s(self) -> float | None:
        due = []
        if self._sync_due is not None:
            due.append(self._sync_due)
        if self._writes or self._reads:
            due.append(self._retry_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _commit(self, now: float) -> bool:
        jobs = self._writes[:BATCH_MAX]
        try:
            if len(jobs) == 1 and jobs[0].alone:
                self._file.statement(jobs[0].work)
            else:
                self._file.transaction([job.work for job in jobs])
        except RefusedError as error:
            self.set_trouble(str(error))
            self._retry_at = now + RETRY_S
            return False
        del self._writes[: len(jobs)]
        self._committed += len(jobs)
        self.set_trouble("")
        self._tell_done(jobs)
        if self._sync_due is None:
            # At once where it has been quiet: the thread need not wake up for it again.
            self._sync_due = self._synced_at + SYNC_WITHIN_S
        if any(job.urgent for job in jobs):
            self._sync()
        return True

    def _answer_reads(self) -> None:
        jobs, self._reads = self._reads, []
        for job in jobs:
            try:
                self._file.read(job.work)
            except RefusedError as error:
                if not self._unread:
                    log.error("%s: cannot be read: %s", self._name, error)
                self._unread = str(error)
                self._reads.append(job)
                self._retry_at = time.monotonic() + RETRY_S
            else:
                self._unread = ""
                self._tell_done([job])

    def _tell_done(self, jobs: list[Job]) -> None:
        callbacks = [job.done for job in jobs if job.done is not None]
        if callbacks:
            self._tell(lambda: [callback() for callback in callbacks])

    def set_trouble(self, text: str) -> None:
        """Also before the thread is started: then the file is to be opened later."""
        if text != self.trouble:
            self.trouble = text
            self._tell(lambda: self._on_trouble(text))
            if text:
                log.error("%s: cannot be written: %s", self._name, text)
            else:
                log.warning("%s: can be written again", self._name)

    def _sync(self) -> None:
        self._sync_due = None
        try:
            self._file.sync()
        except RefusedError as error:
            # No reason to lose the agent: the next commit shows what the disk does.
            if not self._sync_failed:
                log.error("%s: cannot be synced: %s", self._name, error)
            self._sync_failed = True
        else:
            self._sync_failed = False
        self._synced_at = time.monotonic()
