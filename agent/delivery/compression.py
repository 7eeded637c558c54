"""Zstandard (RFC 8878) on the wire, with a ceiling.  The only importer of zstandard.

A compressed payload is one frame over the same JSON.  In MQTT 5 its content type says so; a frame
also shows by its first four bytes, with which no JSON begins, so that a receiver that is told
nothing (a 3.1.1 subscriber, a file) knows it too.
"""

from __future__ import annotations

import zstandard

CONTENT_TYPE = "application/json+zstd"
"""JSON with RFC 8878's structured syntax suffix."""
MOST_BYTES = 1_000_000
"""A payload that would be larger than this is refused: fifteen times what a unit sends."""
WINDOW_BYTES = 1 << 23
"""Memory that a frame may ask for: what RFC 8878 wants of every decoder."""
MAGIC = b"\x28\xb5\x2f\xfd"
LEVEL = 6
"""A batch of 64 kB in about a third of a millisecond; more gains a few per cent for ten times the
work."""
WORTH_BYTES = 40
"""What must be saved at least: the content type costs 24 bytes."""

_compressor = zstandard.ZstdCompressor(level=LEVEL)


def shrink(payload: bytes) -> bytes:
    """A frame; the payload itself where that would not be worth it."""
    frame = _compressor.compress(payload)
    return frame if len(frame) + WORTH_BYTES <= len(payload) else payload


def is_frame(payload: bytes) -> bool:
    return payload.startswith(MAGIC)


def expand(payload: bytes) -> bytes:
    """What was compressed, or the payload where it is no frame.  ValueError: it is damaged, or
    would be larger than MOST_BYTES."""
    if not is_frame(payload):
        return payload
    try:
        told = zstandard.get_frame_parameters(payload).content_size
        # Read as far as the ceiling and one byte on, whatever the frame says of itself.
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        data = decompressor.stream_reader(payload).read(MOST_BYTES + 1)
    except zstandard.ZstdError as error:
        raise ValueError(f"expected a zstd frame of JSON, but {error}") from error
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"{len(payload)} bytes of zstd become more than {MOST_BYTES}, the most that is taken"
        )
    if told not in (zstandard.CONTENTSIZE_UNKNOWN, len(data)):
        raise ValueError(f"a zstd frame of {told} bytes ends after {len(data)}")
    return data
