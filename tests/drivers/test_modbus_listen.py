"""A Modbus line heard by one who does not ask: only whole, checked answers of its units count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import Quality, Sample
from drivers.checksum import crc16_modbus
from drivers.modbus import Config, Counters
from drivers.modbus_listen import Listener

# FIELD.md 2.2
CO_42 = bytes.fromhex("03 03 14 00 00 00 2A 00 18 00 A0 03 E8 00 05 01 55 02 DF 05 00 02 8C 8B DB")
QUESTION_3 = bytes.fromhex("03 03 00 00 00 0A C4 2F")
BUSY = bytes.fromhex("03 83 06")
CONFIG = Config(map="six_in_one", addresses=(2, 3), gases={"2": "o2"})
O2_20_9 = bytes.fromhex(
    "02 03 14 44 00 00 D1 00 C3 00 E6 01 2C 00 01 01 55 02 DF 00 00 02 8C C4 A8"
)


def values(samples: list[Any]) -> list[tuple[str, float | None, Quality]]:
    assert all(isinstance(sample, Sample) for sample in samples)
    return [(sample.quantity, sample.value, sample.quality) for sample in samples]


CO = ("co", 42.0, Quality.GOOD)
O2 = ("o2", 20.9, Quality.GOOD)
HEAD = [("temperature", 23.5, Quality.GOOD), ("humidity", 65.2, Quality.GOOD)]


def play(data: bytes, size: int = 0, config: Config = CONFIG) -> tuple[list[Any], Counters]:
    listener = Listener(config, Counters())
    size = size or max(1, len(data))
    samples: list[Any] = []
    for start in range(0, len(data), size):
        samples += listener.feed(data[start : start + size], 1.0)
    return samples + listener.flush(2.0), listener.counters


@pytest.mark.parametrize("size", [0, 1, 7])
def test_answers_of_several_units_without_and_with_their_questions(size: int) -> None:
    samples, counters = play(O2_20_9 + QUESTION_3 + CO_42 + QUESTION_3 + CO_42, size)
    assert values(samples) == [O2, *HEAD, CO, CO]
    assert (counters.frames, counters.bytes_dropped, counters.bad_checksums) == (3, 0, 0)


def test_noise_and_a_cut_answer_hide_none() -> None:
    samples, counters = play(b"\x03\x03\x14\x00" + CO_42[:9] + b"\xff\x00" + CO_42 + CO_42[:5], 1)
    assert values(samples) == [CO, *HEAD]
    assert counters.bytes_dropped == 4 + 9 + 2 + 5
    assert counters.bytes_read == 4 + 9 + 2 + len(CO_42) + 5


def test_a_wrong_checksum_is_counted_and_gives_nothing() -> None:
    spoilt = CO_42[:4] + b"\x01" + CO_42[5:]
    samples, counters = play(spoilt)
    assert not samples
    assert counters.bad_checksums >= 1
    assert counters.frames == 0


def test_other_units_are_not_listened_to() -> None:
    samples, counters = play(CO_42, config=Config(addresses=(1,), gases={"1": "co"}))
    assert not samples
    assert counters.bytes_dropped == len(CO_42)


def test_an_exception_is_counted() -> None:
    samples, counters = play(BUSY + crc16_modbus(BUSY).to_bytes(2, "little") + CO_42)
    assert values(samples) == [CO, *HEAD]
    assert counters.exceptions == 1


def two_reads(first: int, second: int) -> tuple[bytes, bytes]:
    def answer(value: int) -> bytes:
        body = bytes((1, 3, 2)) + value.to_bytes(2)
        return body + crc16_modbus(body).to_bytes(2, "little")

    return answer(first), answer(second)


def test_reads_of_equal_length_are_taken_in_their_order(tmp_path: Any) -> None:
    (tmp_path / "two.toml").write_text(
        'title = "two"\nevidence = "from memory"\n'
        "read = [{ start = 0, count = 1 }, { start = 100, count = 1 }]\n"
        '[[quantity]]\nname = "co"\nunit = "ppm"\nregister = 0\n'
        '[[quantity]]\nname = "h2s"\nunit = "ppm"\nregister = 100\n'
    )
    config = Config(map="two", map_dir=str(tmp_path))
    first, second = two_reads(7, 9)
    samples, _ = play(first + second + first, config=config)
    assert values(samples) == [("co", 7.0, Quality.GOOD), ("h2s", 9.0, Quality.GOOD)]


@settings(max_examples=60)
@given(data=st.binary(max_size=200), size=st.integers(1, 40))
def test_garbage_never_raises_and_every_byte_is_accounted_for(data: bytes, size: int) -> None:
    samples, counters = play(data.replace(b"\x00", b"\x03"), size)
    assert not samples
    assert counters.bytes_read == len(data)
    assert counters.bytes_dropped <= len(data)


@settings(max_examples=100)
@given(bit=st.integers(0, 8 * len(CO_42) - 1))
def test_a_flipped_bit_never_gives_a_value(bit: int) -> None:
    spoilt = bytearray(CO_42)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not play(bytes(spoilt))[0]
