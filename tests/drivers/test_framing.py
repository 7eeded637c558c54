"""drivers/framing.py: whole, byte by byte, in random cuts, and through garbage."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.checksum import casic32, crc24q, fletcher8, xor8
from drivers.framing import (
    BINARY_MAX,
    NMEA_LIMIT,
    SENTENCE_MAX,
    WAIT,
    Deframer,
    Drop,
    Frame,
    Take,
    Verdict,
    line_matcher,
    match_nmea,
)


def sentence(body: bytes) -> bytes:
    return b"$%s*%02X\r\n" % (body, xor8(body))


def ubx(payload: bytes, group: int = 1, ident: int = 7) -> bytes:
    body = bytes((group, ident)) + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + fletcher8(body)


def rtcm(payload: bytes) -> bytes:
    body = b"\xd3" + len(payload).to_bytes(2, "big") + payload
    return body + crc24q(body).to_bytes(3, "big")


def casic(payload: bytes) -> bytes:
    body = len(payload).to_bytes(2, "little") + b"\x01\x03" + payload
    return b"\xba\xce" + body + casic32(body)


ZDA = sentence(b"GNZDA,023042.00,24,11,2026,00,00")
TXT = sentence(b"GNTXT,01,01,02,ANTSTATUS=OK")
# A real sentence inside a binary frame is the frame's business, not ours.
HIDING = TXT.ljust(36, b"\0")


def deframer() -> Deframer:
    return Deframer(match_nmea, limit=NMEA_LIMIT)


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({c % (len(data) + 1) for c in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def data_of(frames: Sequence[Frame], kind: str = "nmea") -> list[bytes]:
    return [frame.data for frame in frames if frame.kind == kind]


MIXED = (
    b"\xff\x00garbage"
    + ZDA
    + ubx(HIDING)
    + TXT
    + rtcm(HIDING)
    + casic(HIDING)
    + b"$GNGGA,0230"
    + ZDA
    + b"\xb5\x62\x01\x07\x04\x00wrong!"
    + b"$GNTXT,no checksum\r\n"
    + b"$GNTXT,01,01,02,ANTSTATUS=OK*26\r\n"
    + sentence(b"GNTXT,01,01,02,last")
)


def test_the_mixed_stream_whole() -> None:
    framer = deframer()
    frames = framer.feed(MIXED, 1.0)
    assert [frame.kind for frame in frames] == ["nmea", "ubx", "nmea", "rtcm3", "casic"] + [
        "nmea"
    ] * 2
    assert data_of(frames) == [
        ZDA[:-2],
        TXT[:-2],
        ZDA[:-2],
        sentence(b"GNTXT,01,01,02,last")[:-2],
    ]
    counters = framer.counters
    assert counters.frames == 7
    assert counters.bad_checksums == 2
    dropped = len(b"\xff\x00garbage$GNGGA,0230\xb5\x62\x01\x07\x04\x00wrong!$GNTXT,no checksum")
    assert counters.bytes_dropped == dropped + len(b"$GNTXT,01,01,02,ANTSTATUS=OK*26")
    assert counters.bytes_read == len(MIXED)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, len(MIXED)), max_size=30))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    whole, parts = deframer(), deframer()
    frames = [frame for piece in cut(MIXED, cuts) for frame in parts.feed(piece, 1.0)]
    assert frames == whole.feed(MIXED, 1.0)
    assert parts.counters == whole.counters


def test_byte_by_byte() -> None:
    whole, single = deframer(), deframer()
    frames = [frame for byte in MIXED for frame in single.feed(bytes((byte,)), 1.0)]
    assert frames == whole.feed(MIXED, 1.0)
    assert single.counters == whole.counters


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=2000), st.integers(1, 200))
def test_garbage_is_bounded_counted_and_survived(noise: bytes, size: int) -> None:
    framer = deframer()
    frames: list[Frame] = []
    for start in range(0, len(noise), size):
        frames += framer.feed(noise[start : start + size], 1.0)
        assert framer.waiting <= NMEA_LIMIT
    # A false header may hold the sentence back, but no longer than until the line is quiet.
    frames += framer.feed(ZDA, 2.0) + framer.settle()
    assert data_of(frames)[-1] == ZDA[:-2]
    assert framer.counters.bytes_read == len(noise) + len(ZDA)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(1, len(ZDA) - 5), st.integers(1, 255))
def test_no_flipped_byte_passes(index: int, flip: int) -> None:
    broken = bytearray(ZDA)
    broken[index] ^= flip
    framer = deframer()
    assert data_of(framer.feed(bytes(broken) + TXT, 1.0)) == [TXT[:-2]]


def test_a_sentence_is_given_with_its_checksum_not_with_its_line_end() -> None:
    framer = deframer()
    assert framer.feed(ZDA[:-3], 1.0) == []
    assert data_of(framer.feed(ZDA[-3:-2], 1.0)) == [ZDA[:-2]]
    assert framer.feed(b"\r\n", 1.0) == []
    assert framer.counters.bytes_dropped == 0


def test_lower_case_checksum_and_lost_line_end() -> None:
    lower = b"$GPRMC,205150.00,V,,,,,,,,,,,V*4a"
    assert data_of(deframer().feed(lower + ZDA, 1.0)) == [lower, ZDA[:-2]]


def test_a_frame_is_dated_by_its_first_byte() -> None:
    framer = deframer()
    framer.feed(b"noise" + ZDA[:10], 1.0)
    framer.feed(ZDA[10:20], 2.0)
    frames = framer.feed(ZDA[20:] + TXT[:4], 3.0) + framer.feed(TXT[4:], 4.0)
    assert [frame.at for frame in frames] == [1.0, 3.0]


def test_a_long_line_without_end_is_dropped() -> None:
    framer = deframer()
    for _ in range(100):
        assert framer.feed(b"$" + b"A" * 99, 1.0) == []
    assert framer.waiting <= SENTENCE_MAX
    assert data_of(framer.feed(ZDA, 1.0)) == [ZDA[:-2]]


def test_a_false_binary_header_is_given_up_when_the_line_is_quiet() -> None:
    framer = deframer()
    assert framer.feed(b"\xb5\x62\x01\x07\x00\x0f" + ZDA + b"\xd3\x03\xff" + TXT, 1.0) == []
    assert data_of(framer.settle()) == [ZDA[:-2], TXT[:-2]]
    assert framer.counters.bytes_dropped == 9
    # A cut sentence is kept: the rest may still come.
    assert framer.feed(ZDA[:10], 2.0) == []
    assert framer.settle() == []
    assert data_of(framer.feed(ZDA[10:], 3.0)) == [ZDA[:-2]]


def test_a_false_binary_header_is_given_up_when_its_frame_is_full() -> None:
    framer = deframer()
    frames = framer.feed(b"\xd3\x00\x28" + ZDA + ZDA, 1.0)
    assert data_of(frames) == [ZDA[:-2], ZDA[:-2]]
    assert framer.counters.bad_checksums == 1


def test_an_impossible_binary_length_is_no_header() -> None:
    length = (BINARY_MAX + 1).to_bytes(2, "little")
    assert data_of(deframer().feed(b"\xb5\x62\x01\x07" + length + ZDA, 1.0)) == [ZDA[:-2]]
    framer = deframer()
    assert data_of(framer.feed(b"\xba\xce\x03\x00\x01\x03" + ZDA, 1.0)) == [ZDA[:-2]]
    assert framer.counters.bad_checksums == 0


# --- lines ---


def test_lines_end_in_any_way() -> None:
    framer = Deframer(line_matcher(20), limit=32)
    frames = framer.feed(b"one\r\ntwo\nthree\r\r\n\nfour", 1.0) + framer.feed(b"\n", 2.0)
    assert data_of(frames, "line") == [b"one", b"two", b"three", b"four"]
    assert framer.counters.bytes_dropped == 0


def test_a_line_that_is_too_long_is_dropped() -> None:
    framer = Deframer(line_matcher(20), limit=32)
    assert framer.feed(b"x" * 1000, 1.0) == []
    assert framer.waiting == 0
    assert data_of(framer.feed(b"\nok\n", 1.0), "line") == [b"ok"]
    assert framer.counters.bytes_dropped == 1000


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_lines_never_pass_their_ceiling(noise: bytes, cuts: list[int]) -> None:
    framer = Deframer(line_matcher(20), limit=32)
    for piece in cut(noise, cuts):
        for frame in framer.feed(piece, 1.0):
            assert 0 < len(frame.data) <= 20
        assert framer.waiting <= 20


# --- a matcher of somebody else's ---


def test_a_matcher_that_waits_too_long_cannot_fill_the_memory() -> None:
    def greedy(data: bytearray) -> Verdict:
        if data[0] == 0x7E:
            return WAIT
        return Take(1, "byte") if data[0] == 1 else Drop(1)

    framer = Deframer(greedy, limit=16)
    assert framer.feed(b"\x7e" + b"\x01" * 14, 1.0) == []
    assert len(framer.feed(b"\x01", 1.0)) == 15
    assert framer.counters.bytes_dropped == 1
