"""The unit's microphone: open only while it may be heard and somebody listens, encoded once."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import av
from av.audio.stream import AudioStream

from agent.media.voice.level import SILENT_DBFS, Duplex, level_dbfs
from agent.media.voice.opus import TIME_BASE, Encoder
from drivers import microphone

if TYPE_CHECKING:
    AudioPacket = av.Packet[AudioStream]
else:
    AudioPacket = av.Packet  # generic in its stub only

log = logging.getLogger(__name__)

QUEUE_PACKETS = 15
"""300 ms; a listener who is further behind goes on with what is said now."""
BACKOFF_S = (0.5, 10.0)


class Listener:
    """One taker's end."""

    def __init__(self) -> None:
        self.skipped = 0
        self._queue: deque[tuple[bytes, int]] = deque()
        self._ready = asyncio.Event()

    async def get(self) -> AudioPacket:
        """The next packet."""
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        data, timestamp = self._queue.popleft()
        packet: Any = av.Packet(data)
        packet.pts, packet.time_base = timestamp, TIME_BASE
        made: AudioPacket = packet
        return made

    def put(self, data: bytes, timestamp: int) -> None:
        if len(self._queue) >= QUEUE_PACKETS:
            self._queue.popleft()
            self.skipped += 1
        self._queue.append((data, timestamp))
        self._ready.set()


class Source:
    """All methods belong to the loop's thread; a thread of its own records while it is wanted."""

    def __init__(
        self, name: str, bitrate_kbit_s: int, duplex: Duplex, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.state, self.detail = "idle", ""
        self.level_dbfs = SILENT_DBFS
        self.packets = 0
        """Encoded since the process started."""
        self.taps: set[Callable[[bytes, int], None]] = set()
        """Get what listeners get, and do not make it open."""
        self._name = name
        self._bitrate_kbit_s = bitrate_kbit_s
        self._duplex = duplex
        self._loop = loop
        self._listeners: set[Listener] = set()
        self._open = False
        self._closed = False
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def exists(self) -> bool:
        """A microphone is configured."""
        return bool(self._name)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def listen(self) -> Listener:
        listener = Listener()
        self._listeners.add(listener)
        self._ensure()
        return listener

    def drop(self, listener: Listener) -> None:
        """May be called twice."""
        self._listeners.discard(listener)
        self._changed.set()

    def allow(self, on: bool) -> None:
        """Whether it may be heard at all: while not, the device is not even open."""
        self._open = on
        self._changed.set()
        self._ensure()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    # The thread.

    def _wanted(self) -> bool:
        return self._open and bool(self._listeners) and not self._closed

    def _ensure(self) -> None:
        with self._lock:
            if self._thread is not None or not self._wanted() or not self._name:
                return
            self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        delay_s = BACKOFF_S[0]
        while True:
            opened = time.monotonic()
            self._changed.clear()
            try:
                self._record()
            except (OSError, ValueError) as error:
                self._say("down", str(error))
            self.level_dbfs = SILENT_DBFS
            with self._lock:
                if not self._wanted():
                    self._thread = None
                    if self.state == "live":
                        self._say("idle", "")
                    return
            if time.monotonic() - opened > BACKOFF_S[1]:
                delay_s = BACKOFF_S[0]
            self._changed.wait(delay_s * random.uniform(0.75, 1.25))
            delay_s = min(delay_s * 2, BACKOFF_S[1])

    def _record(self) -> None:
        """Until nobody wants it.  OSError, ValueError."""
        encoder = Encoder(self._bitrate_kbit_s)
        samples = round(time.monotonic() * microphone.RATE_HZ)
        for block in microphone.blocks(self._name):
            if not self._wanted():
                return
            self._say("live", "")
            heard = block
            if self._duplex.is_muted(time.monotonic()):
                heard = block * 0
            self.level_dbfs = level_dbfs(heard)
            for data in encoder.encode(heard):
                self.packets += 1
                self._loop.call_soon_threadsafe(self._publish, data, samples)
            samples += block.size

    def _publish(self, data: bytes, timestamp: int) -> None:
        for listener in self._listeners:
            listener.put(data, timestamp)
        for tap in self.taps:
            tap(data, timestamp)

    def _say(self, state: str, detail: str) -> None:
        if (state, detail) == (self.state, self.detail):
            return
        self.state, self.detail = state, detail
        log.log(logging.WARNING if state == "down" else logging.INFO, "%s", detail or state)
