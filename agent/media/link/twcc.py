"""Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): which packets
arrived, and when.  Both directions, as pure functions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import msgspec

URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
RTPFB, FORMAT = 205, 15
REFERENCE_MS = 64.0
TICK_MS = 0.25
HEAD_BYTES = 4
"""Of an RTCP packet, before what `parse` takes."""
MAX_PACKETS = 4096
"""Reported by one message; more is no feedback of ours."""
_HEAD = struct.Struct("!LLHHL")
_SMALL, _LARGE = 1, 2
_REFERENCE_WRAPS = 1 << 24


class FeedbackError(ValueError):
    """Bytes that are no transport-wide feedback."""


class Feedback(msgspec.Struct, frozen=True):
    """One message."""

    base: int
    """Sequence number of the first packet, 16 bits."""
    number: int
    """Of this message, 8 bits."""
    arrivals_ms: tuple[float | None, ...]
    """Of each packet from `base` on, by the receiver's clock (it wraps after 12 days); None where
    it did not arrive."""


def parse(body: bytes) -> Feedback:
    """`body` is the RTCP packet without its first four bytes.  FeedbackError."""
    if len(body) < _HEAD.size:
        raise FeedbackError(f"read {len(body)} bytes, expected at least {_HEAD.size}")
    _sender, _media, base, count, last = _HEAD.unpack_from(body)
    if not 1 <= count <= MAX_PACKETS:
        raise FeedbackError(f"read a packet count of {count}, expected 1 to {MAX_PACKETS}")
    symbols, at = _symbols(body, count)
    now_ms = (last >> 8) * REFERENCE_MS
    arrivals: list[float | None] = []
    for symbol in symbols:
        if symbol in (_SMALL, _LARGE):
            size = symbol
            if at + size > len(body):
                raise FeedbackError(f"read {len(body)} bytes, a delta is cut short at {at}")
            now_ms += TICK_MS * int.from_bytes(body[at : at + size], signed=size == _LARGE)
            at += size
            arrivals.append(now_ms)
        else:
            arrivals.append(None)
    return Feedback(base, last & 0xFF, tuple(arrivals))


def _symbols(body: bytes, count: int) -> tuple[list[int], int]:
    """One status for each packet, and where the deltas begin."""
    symbols: list[int] = []
    at = _HEAD.size
    while len(symbols) < count:
        if at + 2 > len(body):
            raise FeedbackError(
                f"read {len(body)} bytes, {count - len(symbols)} of {count} statuses are missing"
            )
        chunk = int.from_bytes(body[at : at + 2])
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return symbols[:count], at


def build(
    sender: int, media: int, number: int, base: int, arrivals_ms: Mapping[int, float]
) -> bytes:
    """The RTCP packet that reports packets `base` to the last of `arrivals_ms` (unwrapped sequence
    number -> receiver's clock).  ValueError where nothing arrived."""
    if not arrivals_ms:
        raise ValueError("there is nothing to report")
    last = max(arrivals_ms)
    reference = int(arrivals_ms[min(arrivals_ms)] // REFERENCE_MS)
    now = reference * round(REFERENCE_MS / TICK_MS)
    symbols, deltas = [], b""
    for seq in range(base, last + 1):
        at_ms = arrivals_ms.get(seq)
        if at_ms is None:
            symbols.append(0)
            continue
        ticks = round(at_ms / TICK_MS)
        delta = max(-32768, min(ticks - now, 32767))
        now += delta
        symbols.append(_SMALL if 0 <= delta <= 255 else _LARGE)
        deltas += delta.to_bytes(symbols[-1], signed=symbols[-1] == _LARGE)
    body = _HEAD.pack(
        sender, media, base & 0xFFFF, len(symbols),
        (reference % _REFERENCE_WRAPS) << 8 | number & 0xFF,
    )  # fmt: skip
    body += b"".join(_chunks(symbols)) + deltas
    body += bytes(-len(body) % 4)
    return struct.pack("!BBH", 0x80 | FORMAT, RTPFB, len(body) // 4) + body


def _chunks(symbols: list[int]) -> Iterator[bytes]:
    """Vectors of seven two-bit statuses: simple, and short enough at our rates."""
    for start in range(0, len(symbols), 7):
        chunk = 0xC000
        for n, symbol in enumerate(symbols[start : start + 7]):
            chunk |= symbol << (12 - 2 * n)
        yield chunk.to_bytes(2)


def messages(data: bytes) -> Iterator[bytes]:
    """The bodies of all transport-wide feedback in a compound RTCP packet."""
    at = 0
    while at + 4 <= len(data):
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            return
        if kind == RTPFB and first & 0x1F == FORMAT:
            yield data[at + HEAD_BYTES : end]
        at = end


class Unwrapper:
    """16-bit sequence numbers as numbers that only grow (but for packets that are late)."""

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, seq: int) -> int:
        if self._last is None:
            self._last = seq
            return seq
        step = (seq - self._last + 0x8000 & 0xFFFF) - 0x8000
        number = self._last + step
        self._last = max(self._last, number)
        return number
