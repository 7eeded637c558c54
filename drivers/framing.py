"""Bytes of a line cut into frames: pure, bounded, and it finds its feet again after any garbage.

A wire brings one function, its `Matcher`: given bytes that begin where a frame may begin, it says
`Take` (a whole frame, checked), `Drop` (no frame begins here) or `WAIT` (not yet to be told).
`Deframer` does the rest: the buffer, its ceiling, the counters, and when each frame began.

Operations: append at the end, look at the beginning, remove from the beginning.  After a wrong
checksum exactly one byte goes, so that a true frame hidden behind a false header is still found.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from . import Counters
from .checksum import casic32, crc24q, crc32_novatel, fletcher8, xor8


class Take(NamedTuple):
    """The first `length` bytes are one whole frame, its checksum right."""

    length: int
    kind: str = ""


class Drop(NamedTuple):
    """No frame begins within the first `length` bytes."""

    length: int
    bad_checksum: bool = False
    """True where a whole frame stood here but for its checksum."""
    noise: bool = True
    """False for bytes that belong between frames, as CR and LF: they are not counted."""


class Wait(Enum):
    """What is here may become a frame; more bytes must come first."""

    WAIT = "wait"


WAIT: Final = Wait.WAIT

Verdict = Take | Drop | Wait
Matcher = Callable[[bytearray], Verdict]
"""Judges bytes, never empty, from their beginning.  Must not answer WAIT once it has been shown
as many bytes as the `limit` of its Deframer."""


class Frame(NamedTuple):
    kind: str
    data: bytes
    at: float
    """`time.monotonic()` seconds at which the read ended that brought the frame's first byte."""


class Deframer:
    """Cuts one line's bytes into frames, and counts them in `counters`."""

    def __init__(self, matcher: Matcher, *, limit: int, counters: Counters | None = None) -> None:
        self.counters = Counters() if counters is None else counters
        self._matcher = matcher
        self._limit = limit
        self._buffer = bytearray()
        self._passed = 0
        # (position in the stream, time) of each read that still has bytes in the buffer.
        self._reads: deque[tuple[int, float]] = deque()

    @property
    def waiting(self) -> int:
        """Bytes held back because they may become a frame."""
        return len(self._buffer)

    def feed(self, data: bytes, at: float) -> list[Frame]:
        """The frames that `data`, read at monotonic time `at`, completes; never raises."""
        if not data:
            return []
        self.counters.bytes_read += len(data)
        self._reads.append((self._passed + len(self._buffer), at))
        self._buffer += data
        return self._cut()

    def settle(self) -> list[Frame]:
        """The line is quiet: give the frames that a false header holds back, if there are any."""
        frames: list[Frame] = []
        start = 0
        while start < len(self._buffer):
            verdict = self._matcher(self._buffer[start:])
            if isinstance(verdict, Take):
                self.counters.bytes_dropped += start
                self._remove(start)
                frames += self._cut()
                start = 0
            else:
                start += verdict.length if isinstance(verdict, Drop) else 1
        return frames

    def _cut(self) -> list[Frame]:
        frames: list[Frame] = []
        while self._buffer:
            verdict = self._matcher(self._buffer)
            if isinstance(verdict, Take):
                self.counters.frames += 1
                data = bytes(self._buffer[: verdict.length])
                frames.append(Frame(verdict.kind, data, self._reads[0][1]))
                self._remove(verdict.length)
            elif isinstance(verdict, Drop):
                self.counters.bad_checksums += verdict.bad_checksum
                self.counters.bytes_dropped += verdict.length if verdict.noise else 0
                self._remove(verdict.length)
            elif len(self._buffer) >= self._limit:
                self.counters.bytes_dropped += 1
                self._remove(1)
            else:
                break
        return frames

    def _remove(self, count: int) -> None:
        del self._buffer[:count]
        self._passed += count
        while len(self._reads) > 1 and self._reads[1][0] <= self._passed:
            self._reads.popleft()
        if not self._buffer:
            self._reads.clear()


# --- text lines ---

_LINE_END = re.compile(rb"[\r\n]")


def line_matcher(max_length: int) -> Matcher:
    """Lines of at most `max_length` bytes that end in CR, LF or both; the end is not part of one.

    A longer line is dropped whole or in pieces, whichever is seen first; empty lines are nothing.
    """

    def match(data: bytearray) -> Verdict:
        end = _LINE_END.search(data, 0, max_length + 1)
        if end is None:
            return WAIT if len(data) <= max_length else Drop(len(data))
        if end.start() == 0:
            return Drop(1, noise=False)
        return Take(end.start(), "line")

    return match


# --- NMEA 0183 with the binary protocols that receivers mix into it ---

SENTENCE_MAX = 256
"""The standard says 82; 4.11 GSV and GNS and RTK receivers send more."""
UNICORE_MAX = 1024
"""A UNIHEADINGA has about 250."""
BINARY_MAX = 4096
"""A false header must not hold back the sentences behind it for long; real frames beside NMEA
stay below (RXM-RAWX of 64 signals: 2072)."""
NMEA_LIMIT = BINARY_MAX + 16

_CANDIDATE = re.compile(rb"[$!#\xb5\xd3\xba\r\n]")
_BETWEEN = re.compile(rb"[\r\n]+")
# A sentence holds printable ASCII; a `$` inside means that the one before was cut short.
_SENTENCE = re.compile(rb"[$!]([ -#%-)+-~]{5,})\*([0-9A-Fa-f]{2})")
_LONG = re.compile(rb"#([ -\"%-)+-~]{20,})\*([0-9A-Fa-f]{8})")
_LONG_BODY = re.compile(rb"#[ -\"%-)+-~]*(\*[0-9A-Fa-f]{0,8})?")
_BODY = re.compile(rb"[$!][ -#%-)+-~]*(\*[0-9A-Fa-f]{0,2})?")


def match_nmea(data: bytearray) -> Verdict:
    """A sentence with its checksum, or a whole Unicore, UBX, RTCM 3 or CASIC frame."""
    first = data[0]
    if first in b"$!":
        return _match_sentence(data)
    if first == 0x23:
        return _match_unicore(data)
    if first in _BINARY:
        return _BINARY[first](data)
    between = _BETWEEN.match(data)
    if between is not None:
        return Drop(between.end(), noise=False)
    candidate = _CANDIDATE.search(data)
    return Drop(candidate.start() if candidate else len(data))


def _match_sentence(data: bytearray) -> Verdict:
    """Ends with its checksum: waiting for CR LF would cost two characters' time and gain nothing.

    A line without a checksum is no sentence: cut short, it would be plausible and wrong.
    """
    head = data[: SENTENCE_MAX + 1]
    sentence = _SENTENCE.match(head)
    if sentence is not None:
        if xor8(sentence[1]) == int(sentence[2], 16):
            return Take(sentence.end(), "nmea")
        return Drop(1, bad_checksum=True)
    body = _BODY.match(head)
    if body is not None and body.end() == len(data) <= SENTENCE_MAX:
        return WAIT
    return Drop(1)


def _match_unicore(data: bytearray) -> Verdict:
    """A `#` message of Unicore or NovAtel: header, `;`, fields, `*` and CRC-32 of eight digits."""
    head = data[: UNICORE_MAX + 1]
    message = _LONG.match(head)
    if message is not None:
        if crc32_novatel(message[1]) == int(message[2], 16):
            return Take(message.end(), "unicore")
        return Drop(1, bad_checksum=True)
    body = _LONG_BODY.match(head)
    if body is not None and body.end() == len(data) <= UNICORE_MAX:
        return WAIT
    return Drop(1)


def _match_ubx(data: bytearray) -> Verdict:
    """B5 62, class, id, length LE 2, payload, CK_A CK_B (u-blox, UBX frame)."""
    if len(data) < 2:
        return WAIT
    if data[1] != 0x62:
        return Drop(1)
    if len(data) < 6:
        return WAIT
    total = int.from_bytes(data[4:6], "little") + 8
    return _whole(data, total, "ubx", lambda: fletcher8(bytes(data[2 : total - 2])))


def _match_rtcm(data: bytearray) -> Verdict:
    """D3, six zero bits, length of ten bits, payload, CRC-24Q (RTCM 10403, transport layer)."""
    if len(data) < 2:
        return WAIT
    if data[1] & 0xFC:
        return Drop(1)
    if len(data) < 3:
        return WAIT
    total = int.from_bytes(data[1:3], "big") + 6
    return _whole(data, total, "rtcm3", lambda: crc24q(bytes(data[: total - 3])).to_bytes(3, "big"))


def _match_casic(data: bytearray) -> Verdict:
    """BA CE, length LE 2, class, id, payload, checksum LE 4 (CASIC protocol specification)."""
    if len(data) < 2:
        return WAIT
    if data[1] != 0xCE:
        return Drop(1)
    if len(data) < 6:
        return WAIT
    length = int.from_bytes(data[2:4], "little")
    if length % 4:
        return Drop(1)
    total = length + 10
    return _whole(data, total, "casic", lambda: casic32(bytes(data[2 : total - 4])))


def _whole(data: bytearray, total: int, kind: str, checksum: Callable[[], bytes]) -> Verdict:
    if total > BINARY_MAX:
        return Drop(1)
    if len(data) < total:
        return WAIT
    expected = checksum()
    if data[total - len(expected) : total] != expected:
        return Drop(1, bad_checksum=True)
    return Take(total, kind)


_BINARY: dict[int, Matcher] = {0xB5: _match_ubx, 0xD3: _match_rtcm, 0xBA: _match_casic}
