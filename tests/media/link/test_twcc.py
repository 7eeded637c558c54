"""Transport-wide feedback: the draft's own bytes, ours, and what is no feedback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.link import twcc

HEAD = bytes.fromhex("00000001 00000002")


def test_the_chunks_of_the_draft_are_read() -> None:
    # A run of three that did not arrive, then a vector of one-bit statuses: 1 0 1 ...
    body = HEAD + bytes.fromhex("00050006 00000a07") + bytes.fromhex("0003 a800") + bytes((4, 8))
    feedback = twcc.parse(body)
    assert (feedback.base, feedback.number) == (5, 7)
    assert feedback.arrivals_ms == (None, None, None, 641.0, None, 643.0)


def test_two_bit_statuses_and_negative_deltas_are_read() -> None:
    # 11 10 01 00 01 00 00: reserved, large, small, none, small
    body = HEAD + bytes.fromhex("fffe0005 00000101") + (0xC000 | 0b10_01_00_01 << 6).to_bytes(2)
    body += (-8).to_bytes(2, signed=True) + bytes((40, 4))
    feedback = twcc.parse(body)
    assert feedback.base == 0xFFFE
    assert feedback.arrivals_ms == (62.0, 72.0, None, 73.0, None)


@given(
    arrivals=st.dictionaries(st.integers(0, 400), st.floats(0, 4000), min_size=1, max_size=120),
    base=st.integers(0, 70_000),
)
def test_what_is_built_is_read_again(arrivals: dict[int, float], base: int) -> None:
    moved = {base + n: at for n, at in arrivals.items()}
    first = min(moved)
    packet = twcc.build(1, 2, 3, first, moved)
    (body,) = twcc.messages(packet)
    feedback = twcc.parse(body)
    assert feedback.base == first & 0xFFFF
    assert len(feedback.arrivals_ms) == max(moved) - first + 1
    for n, at in enumerate(feedback.arrivals_ms):
        expected = moved.get(first + n)
        assert (at is None) == (expected is None)
        if at is not None and expected is not None:
            assert abs(at - expected) <= 0.25


@given(st.binary(max_size=64))
def test_anything_else_is_refused_and_breaks_nothing(data: bytes) -> None:
    for body in [data, *twcc.messages(data)]:
        try:
            twcc.parse(body)
        except twcc.FeedbackError:
            continue


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\0" * 8, "read 8 bytes, expected at least 16"),
        (HEAD + bytes.fromhex("00000000 00000000"), "read a packet count of 0, expected 1 to 4096"),
        (HEAD + bytes.fromhex("00000009 00000000"), "read 16 bytes, 9 of 9 statuses are missing"),
        (
            HEAD + bytes.fromhex("00000002 00000000 2002"),
            "read 18 bytes, a delta is cut short at 18",
        ),
    ],
)
def test_each_fault_has_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(twcc.FeedbackError) as caught:
        twcc.parse(body)
    assert str(caught.value) == sentence


def test_only_feedback_is_taken_out_of_a_compound_packet() -> None:
    message = twcc.build(1, 2, 3, 4, {4: 10.0})
    report = bytes.fromhex("80c90001 00000001")
    assert len(list(twcc.messages(report + message + report))) == 1
    assert list(twcc.messages(report)) == []


def test_numbers_go_on_over_the_wrap_and_late_ones_stay_behind() -> None:
    unwrap = twcc.Unwrapper().unwrap
    assert [unwrap(n) for n in (65534, 65535, 0, 2, 1, 65535, 3)] == [
        65534, 65535, 65536, 65538, 65537, 65535, 65539,
    ]  # fmt: skip
