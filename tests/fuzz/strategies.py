"""Inputs for hypothesis: pieces of well-made frames, cut, repeated, with bits flipped, in noise."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from .targets import HEADER


def inputs(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Whole inputs, header first; `seeds` have theirs."""
    header = st.one_of(
        st.sampled_from([seed[:HEADER] for seed in seeds] or [bytes(HEADER)]),
        st.binary(min_size=HEADER, max_size=HEADER),
    )
    bodies = sorted({seed[HEADER:] for seed in seeds} | {b"\0"})
    piece = st.one_of(
        st.sampled_from(bodies),
        st.builds(_slice, st.sampled_from(bodies), st.integers(0), st.integers(0, 80)),
        st.builds(_flipped, st.sampled_from(bodies), st.lists(st.integers(0), max_size=4)),
        st.binary(max_size=40),
    )
    body = st.lists(piece, max_size=6).map(lambda pieces: b"".join(pieces)[:8192])
    return st.builds(lambda head, rest: head + rest, header, body)


def _slice(data: bytes, start: int, length: int) -> bytes:
    start %= max(1, len(data))
    return data[start : start + length]


def _flipped(data: bytes, bits: Sequence[int]) -> bytes:
    spoilt = bytearray(data)
    for bit in bits:
        if spoilt:
            spoilt[bit // 8 % len(spoilt)] ^= 1 << bit % 8
    return bytes(spoilt)
