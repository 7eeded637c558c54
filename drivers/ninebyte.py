"""Nine-byte frames `FF ... cs`, cs the (-sum) mod 256 of the seven between: Winsen, EC Sense.

The checksum is weak and FF is also a value's byte, so after a loss, and at the start, nothing is
believed before two frames have followed each other; both are then given.
"""

from __future__ import annotations

from collections.abc import Callable

from . import Counters
from .checksum import negated_sum8

FRAME_LENGTH = 9
QUESTION = bytes.fromhex("FF 01 86 00 00 00 00 00 79")
"""Reads the value: the one command of this wire that means the same to every maker.  87, 88, 79
and 99 calibrate or re-range a Winsen, though 87 only reads an EC Sense."""
REPLY = 0x86


def is_whole(data: bytes) -> bool:
    """Whether these nine bytes have the header and a right checksum."""
    return data[0] == 0xFF and data[8] == negated_sum8(data[1:8])


class Frames:
    """Cuts the bytes of one line.  `is_frame` judges nine bytes, `is_header` the first two."""

    def __init__(
        self,
        is_frame: Callable[[bytes], bool],
        is_header: Callable[[bytes], bool],
        counters: Counters,
        *,
        hold_s: float,
        asks: bool,
    ) -> None:
        self.counters = counters
        self._is_frame = is_frame
        self._is_header = is_header
        self._hold_s = hold_s
        """A frame that nothing confirms for so long is of another time."""
        self._asks = asks
        self._waiting = bytearray()
        self._times: list[float] = []
        self._in_step = False

    @property
    def holds_frame(self) -> bool:
        """True where a frame waits for a second one to confirm it."""
        at = len(self._waiting) - FRAME_LENGTH
        return at >= 0 and self._frame_at(at) is not None

    def feed(self, data: bytes, at: float) -> list[tuple[bytes, float]]:
        """(frame, when its first byte was read) of each frame that `data` completes."""
        self.counters.bytes_read += len(data)
        if self._times and at - self._times[0] > self._hold_s:
            self._drop(len(self._waiting))
        self._waiting += data
        self._times += [at] * len(data)
        if self._asks:
            self._remove_echo()
        found = []
        start = 0
        while len(self._waiting) - start >= FRAME_LENGTH:
            frame = self._frame_at(start)
            if frame is None:
                self._count_bad(start)
                self._in_step = False
                start += 1
            elif self._in_step:
                self.counters.frames += 1
                found.append((frame, self._times[start]))
                start += FRAME_LENGTH
            elif len(self._waiting) - start < 2 * FRAME_LENGTH:
                break
            elif self._frame_at(start + FRAME_LENGTH) is not None:
                self._in_step = True
            else:
                self.counters.bytes_dropped += 1
                start += 1
        self._forget(start)
        return found

    def expect_reply(self) -> None:
        """A question is about to be sent: what has not become a frame by now never will."""
        self._drop(len(self._waiting) - (FRAME_LENGTH if self.holds_frame else 0))

    def _frame_at(self, start: int) -> bytes | None:
        frame = bytes(self._waiting[start : start + FRAME_LENGTH])
        return frame if self._is_frame(frame) else None

    def _count_bad(self, start: int) -> None:
        self.counters.bytes_dropped += 1
        frame = bytes(self._waiting[start : start + FRAME_LENGTH])
        self.counters.bad_checksums += self._is_header(frame[:2]) and not is_whole(frame)

    def _remove_echo(self) -> None:
        # A two-wire adapter hears its own question.
        while (start := self._waiting.find(QUESTION)) >= 0:
            del self._waiting[start : start + FRAME_LENGTH]
            del self._times[start : start + FRAME_LENGTH]

    def _drop(self, count: int) -> None:
        if count > 0:
            self.counters.bytes_dropped += count
            self._in_step = False
            self._forget(count)

    def _forget(self, count: int) -> None:
        del self._waiting[:count]
        del self._times[:count]
