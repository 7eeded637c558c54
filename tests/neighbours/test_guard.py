"""agent/neighbours/guard.py: what is replayed changes nothing, and who is new must prove it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Clock
from agent.neighbours.guard import AGREE_MS, RETIRED_MAX, UNITS_MAX, Guard, Heard
from agent.neighbours.packet import PacketError
from tests.neighbours.making import NOW_MS, made

OWN, NONCE = "kit-01", b"one-0001"


def guard(saved: dict[str, Heard] | None = None) -> Guard:
    return Guard(OWN, NONCE, saved)


def admitted(one: Guard, now_ms: int = NOW_MS, own: Clock = Clock.GNSS, **changes: Any) -> str:
    """`ok`, or the code of the refusal."""
    try:
        one.admit(made(**changes), now_ms, own)
    except PacketError as error:
        return error.code
    return "ok"


def test_a_packet_is_believed_once() -> None:
    one = guard()
    assert [admitted(one), admitted(one), admitted(one, number=2)] == ["ok", "replayed", "ok"]
    assert admitted(one, number=1) == "replayed"
    assert admitted(one, number=9) == "ok"


def test_own_words_are_not_a_neighbour() -> None:
    assert admitted(guard(), unit=OWN) == "own"


def test_what_is_no_epoch_is_said() -> None:
    with pytest.raises(PacketError, match=r"an epoch is '{UTC ms}-{random}', but read 'now'"):
        guard().admit(made(epoch="now"), NOW_MS, Clock.GNSS)


@pytest.mark.parametrize(
    ("now_ms", "own", "sender", "expected"),
    [
        (NOW_MS + AGREE_MS, Clock.NTP, Clock.GNSS, "ok"),
        (NOW_MS + AGREE_MS + 1, Clock.NTP, Clock.GNSS, "unproved"),
        (NOW_MS - AGREE_MS - 1, Clock.NTP, Clock.GNSS, "unproved"),
        (NOW_MS, Clock.FREE, Clock.GNSS, "unproved"),
        (NOW_MS, Clock.GNSS, Clock.RTC, "unproved"),
    ],
)
def test_the_first_packet_proves_itself_by_two_set_clocks(
    now_ms: int, own: Clock, sender: Clock, expected: str
) -> None:
    assert admitted(guard(), now_ms, own, clock=sender) == expected


def test_or_by_the_own_nonce() -> None:
    one = guard()
    assert admitted(one, 0, Clock.FREE, number=1, echo={OWN: b"one-0000"}) == "unproved"
    assert admitted(one, 0, Clock.FREE, number=2, echo={OWN: NONCE}) == "ok"
    # From then on the number is enough.
    assert admitted(one, 0, Clock.FREE, number=3) == "ok"


def test_a_recorded_run_is_not_believed_again_after_a_later_one() -> None:
    one = guard()
    assert admitted(one, epoch=f"{NOW_MS}-aa", number=5) == "ok"
    assert admitted(one, epoch=f"{NOW_MS + 1}-bb", number=1) == "ok"
    assert admitted(one, epoch=f"{NOW_MS}-aa", number=6, echo={OWN: NONCE}) == "replayed"
    assert admitted(one, epoch=f"{NOW_MS - 9}-cc", number=1) == "unproved"


def test_a_unit_whose_store_was_lost_and_whose_clock_is_behind_is_believed_by_its_echo() -> None:
    one = guard()
    assert admitted(one, epoch=f"{NOW_MS}-aa") == "ok"
    assert admitted(one, epoch="5-dd", clock=Clock.FREE, echo={OWN: NONCE}) == "ok"


def test_a_restart_forgets_nothing() -> None:
    one = guard()
    assert admitted(one, number=7) == "ok"
    kept = msgspec.json.decode(msgspec.json.encode(one.save()), type=dict[str, Heard])
    again = Guard(OWN, b"one-0002", kept)
    assert admitted(again, number=7) == "replayed"
    assert admitted(again, number=8) == "ok"


def test_what_is_remembered_has_a_ceiling() -> None:
    one = guard()
    for number in range(UNITS_MAX + 10):
        assert admitted(one, unit=f"kit-{number + 100}") == "ok"
    assert len(one.save()) == UNITS_MAX
    for run in range(RETIRED_MAX + 10):
        assert admitted(one, unit="kit-07", epoch=f"{NOW_MS + run}-r") == "ok"
    assert len(one._retired) == RETIRED_MAX


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), max_size=40))
def test_no_order_of_packets_is_believed_twice(order: list[tuple[int, int]]) -> None:
    one, believed = guard(), []
    for run, number in order:
        if admitted(one, epoch=f"{NOW_MS + run}-r", number=number) == "ok":
            believed.append((run, number))
    assert len(set(believed)) == len(believed)
    assert believed == sorted(believed)
