"""agent/neighbours/packet.py: what is sealed is read, and nothing else is believed."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Clock, Mark
from agent.neighbours.packet import (
    DATAGRAM_MAX,
    MAGIC,
    Packet,
    PacketError,
    Shared,
    fingerprint,
    group_key,
    seal,
    unseal,
)
from tests.neighbours.making import KEY, ORG, made

SECRET = b"forty-two bytes that nobody is able to guess"


def refused(data: bytes, key: bytes = KEY, org: str = ORG, mark: Mark = Mark.ACTUAL) -> PacketError:
    with pytest.raises(PacketError) as error:
        unseal(data, key, org, mark)
    return error.value


def test_what_is_sealed_is_read() -> None:
    packet = made(
        alarms=(Shared(alarm="gas/h2s/high", code="high", quantity="h2s", rank=1, since=5),)
    )
    assert unseal(seal(packet, KEY), KEY, ORG, Mark.ACTUAL) == packet


def test_another_key_is_a_forgery() -> None:
    other = group_key(SECRET[::-1], ORG, Mark.ACTUAL)
    error = refused(seal(made(), other))
    assert error.code == "forged"
    assert str(error) == "it is not sealed with this group's key"


def test_an_exercise_has_another_key_though_the_secret_is_the_same() -> None:
    keys = {fingerprint(group_key(SECRET, ORG, mark)) for mark in Mark}
    assert len(keys) == 3
    exercise = group_key(SECRET, ORG, Mark.EXERCISE)
    assert refused(seal(made(mark=Mark.EXERCISE), exercise)).code == "forged"


def test_a_wrong_mark_under_the_right_key() -> None:
    error = refused(seal(made(mark=Mark.EXERCISE), KEY))
    assert (error.code, str(error)) == ("other_mark", "expected the mark actual, read exercise")


def test_another_organisation_under_the_right_key() -> None:
    error = refused(seal(made(org="henan"), KEY))
    assert (error.code, str(error)) == (
        "other_org", "expected the organisation 'hubei', read 'henan'",
    )  # fmt: skip


def test_what_is_not_ours() -> None:
    error = refused(b"HTTP/1.1 200 OK")
    assert error.code == "foreign"
    assert str(error) == f"expected {MAGIC!r} at its beginning, read b'HTTP'"


def test_a_short_secret_is_none() -> None:
    with pytest.raises(ValueError, match="expected at least 16 bytes of secret, read 5"):
        group_key(b" short\n", ORG, Mark.ACTUAL)


def test_what_is_too_large_is_not_sealed() -> None:
    with pytest.raises(ValueError, match=f"expected at most {DATAGRAM_MAX}"):
        seal(made(echo={f"unit-{number:02}" + "x" * 20: bytes(8) for number in range(60)}), KEY)


@pytest.mark.parametrize(
    "changes",
    [{"number": 0}, {"nonce": b"short"}, {"lat": 91.0}, {"unit": "u" * 65}, {"more": -1}],
)
def test_values_out_of_range_are_malformed(changes: dict[str, object]) -> None:
    assert refused(seal(made(**changes), KEY)).code == "malformed"


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_raises_otherwise(data: bytes) -> None:
    assert refused(MAGIC + data).code == "forged"


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_each_changed_byte_is_noticed(place: int, change: int) -> None:
    data = bytearray(seal(made(), KEY))
    data[place % len(data)] ^= change
    assert refused(bytes(data)).code in ("foreign", "forged")


@given(st.binary(max_size=100))
def test_sealed_garbage_is_malformed(body: bytes) -> None:
    data = MAGIC + body
    assert refused(data + hmac.digest(KEY, data, "sha256")).code == "malformed"


def test_a_clock_s_word_is_one_of_the_contract() -> None:
    assert isinstance(made(clock=Clock.FREE), Packet)
