"""The unit's speaker: plays who has the floor, 20 ms at a time, in a thread that keeps the time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from agent.media.voice.jitter import Jitter, Lost
from agent.media.voice.level import SILENT_DBFS, Duplex, level_dbfs
from agent.media.voice.opus import Decoder
from drivers.microphone import BLOCK_S, BLOCK_SAMPLES, Block
from drivers.speaker import Speaker, open_speaker

log = logging.getLogger(__name__)

QUIET_S = 1.0
"""After so long without a packet the device is let go of: others may want to use it."""
RETRY_S = 2.0
CONCEALED_MAX = 3
"""Lost packets in a row that are covered up; then there is silence."""


class _Voice:
    """What one talker says."""

    def __init__(self) -> None:
        self.jitter = Jitter()
        self.decoder = Decoder()
        self.concealed = 0
        self.bad = 0
        self._rest: Block = np.zeros(0, np.int16)
        self._in_a_row = 0

    def next(self) -> Block | None:
        """20 ms; None: nothing is being said."""
        while self._rest.size < BLOCK_SAMPLES:
            piece = self._piece()
            if piece is None:
                if not self._rest.size:
                    return None
                piece = np.zeros(BLOCK_SAMPLES - self._rest.size, np.int16)
            self._rest = np.concatenate((self._rest, piece))
        block, self._rest = self._rest[:BLOCK_SAMPLES], self._rest[BLOCK_SAMPLES:]
        return block

    def _piece(self) -> Block | None:
        taken = self.jitter.take()
        if taken is None:
            return None
        if isinstance(taken, Lost):
            self._in_a_row += 1
            if self._in_a_row > CONCEALED_MAX:
                return np.zeros(BLOCK_SAMPLES, np.int16)
            self.concealed += 1
            return self.decoder.conceal()
        self._in_a_row = 0
        try:
            return self.decoder.decode(taken)
        except ValueError:
            self.bad += 1
            return self.decoder.conceal()


class Playback:
    """`put` and `give_floor` belong to the loop's thread."""

    def __init__(
        self,
        sink: str,
        duplex: Duplex,
        open_: Callable[[str], Speaker] = open_speaker,
    ) -> None:
        self.state, self.detail = "idle", ""
        self.level_dbfs = SILENT_DBFS
        self.played = 0
        """Blocks of 20 ms."""
        self._sink = sink
        self._duplex = duplex
        self._open = open_
        self._session = ""
        self._voice: _Voice | None = None
        self._voice_before = (0, 0)
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def exists(self) -> bool:
        """A speaker is configured."""
        return bool(self._sink)

    @property
    def held(self) -> int:
        """Packets that wait."""
        voice = self._voice
        return voice.jitter.held if voice is not None else 0

    @property
    def concealed(self) -> int:
        """Packets that never came, covered up."""
        voice = self._voice
        return self._voice_before[0] + (voice.concealed if voice is not None else 0)

    @property
    def dropped(self) -> int:
        """Packets that came too late, or too many."""
        voice, before = self._voice, self._voice_before[1]
        if voice is None:
            return before
        return before + voice.jitter.dropped + voice.jitter.late + voice.bad

    def give_floor(self, session: str) -> None:
        """From now on that session is heard; empty: none."""
        with self._lock:
            if session == self._session:
                return
            self._voice_before = (self.concealed, self.dropped)
            self._session = session
            self._voice = _Voice() if session else None

    def put(self, session: str, sequence: int, timestamp: int, payload: bytes) -> None:
        """A packet of a session; one that has not the floor is not heard."""
        with self._lock:
            if session != self._session or self._voice is None or self._closed:
                return
            self._voice.jitter.put(sequence, timestamp, payload, time.monotonic())
            if self._thread is None and self._sink:
                self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
                self._thread.start()
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    # The thread: alive while somebody talks.

    def _run(self) -> None:
        try:
            speaker = self._open(self._sink)
        except (OSError, ValueError) as error:
            self._say("down", str(error))
            time.sleep(RETRY_S)
        else:
            try:
                self._say("live", "")
                self._play(speaker)
                self._say("idle", "")
            except OSError as error:
                self._say("down", str(error))
            finally:
                speaker.close()
        with self._lock:
            self.level_dbfs = SILENT_DBFS
            self._thread = None

    def _play(self, speaker: Speaker) -> None:
        """Until nobody has said anything for a while.  OSError."""
        due = heard = time.monotonic()
        while not self._closed and (now := time.monotonic()) - heard < QUIET_S:
            with self._lock:
                block = self._voice.next() if self._voice is not None else None
            if block is None:
                self.level_dbfs = SILENT_DBFS
                self._news.clear()
                self._news.wait(BLOCK_S)
                due = time.monotonic()
                continue
            heard = now
            self.level_dbfs = level_dbfs(block)
            self._duplex.played(self.level_dbfs, now)
            speaker.play(block)
            self.played += 1
            due += BLOCK_S
            if (rest_s := due - time.monotonic()) > 0:
                time.sleep(rest_s)
            elif rest_s < -10 * BLOCK_S:
                due = time.monotonic()

    def _say(self, state: str, detail: str) -> None:
        if state == "down" and self.state != "down":
            log.warning("%s", detail)
        self.state, self.detail = state, detail
