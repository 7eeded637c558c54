"""GQ GMC Geiger counters: counts of two and four bytes, and what stands in for a checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Fix, Quality, Sample
from drivers.geiger import GET_CPM, GET_VERSION, Config, Decoder, Driver, Listener
from drivers.sim import geiger as sim
from drivers.sim.line import Fault, Line
from tests.waiting import until

from . import trials

ONLY_QUESTIONS = {GET_VERSION, GET_CPM}


def answers(decoder: Decoder, *pieces: bytes, start: float = 0.0) -> list[Sample | Fix]:
    """What the decoder gives for one answer each."""
    got: list[Sample | Fix] = []
    for number, piece in enumerate(pieces):
        decoder.expect(decoder.wants)
        for byte in piece:
            assert decoder.feed(bytes((byte,)), start + number) == []
        got += decoder.settle()
    return got


def row(cpm: float, rate: float, quality: Quality = Quality.GOOD) -> list[trials.Row]:
    return [
        ("dose_rate", rate, "uSv/h", quality, 425.9775),
        ("count_rate", cpm, "1/min", quality, 65535.0),
    ]


@pytest.mark.parametrize(
    ("version", "count"),
    [
        (b"GMC-280Re 4.20", b"\x00\x9a"),
        (b"GMC-300Re 4.20", b"\x00\x9a"),
        (b"GMC-320+V5.15", b"\x00\x9a"),
        (b"GMC-500+Re 1.22", b"\x00\x00\x00\x9a"),
        (b"GMC-600Re 2.04", b"\x00\x00\x00\x9a"),
        (b"GMC-800Re1.08", b"\x00\x00\x00\x9a"),
    ],
)
def test_the_model_says_how_long_a_count_is(version: bytes, count: bytes) -> None:
    decoder = Decoder()
    assert decoder.wants == GET_VERSION
    got = answers(decoder, version, count, count)
    assert trials.rows(got) == row(154.0, 1.001)
    assert decoder.counters.bytes_dropped == 0
    listener = Listener(Config())
    heard = []
    for at, data in enumerate((version, count, count)):
        assert listener.feed(data[:1], at) == listener.feed(data[1:], at) == []
        heard += listener.flush(at + 0.5)
    assert trials.rows(heard) == row(154.0, 1.001)


def test_a_model_that_is_not_known_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder()
    assert answers(decoder, b"GMC-900 1.0", b"\x00\x9a", b"?") == []
    assert decoder.wants == GET_VERSION
    assert [r.getMessage() for r in caplog.records] == [
        "geiger: 'GMC-900 1.0' names no model that is known; say count_bytes = 2 (RFC1201) or 4"
        " (RFC1801)"
    ]
    told = Decoder(Config(count_bytes=2, usv_h_per_cpm=0.0029))
    assert trials.rows(answers(told, b"\x00\x64", b"\x00\x65"))[0][:3] == (
        "dose_rate", 0.2929, "uSv/h")  # fmt: skip


def test_an_answer_has_its_length_and_a_second_one_agrees() -> None:
    decoder = Decoder(Config(count_bytes=2))
    assert answers(decoder, b"\x00", b"\x00\x14\x00", b"") == []
    # Too far apart: nobody knows which was right, and the third decides.
    assert answers(decoder, b"\x00\x14", b"\x40\x14") == []
    assert decoder.confirms
    assert trials.rows(answers(decoder, b"\x40\x18")) == row(16408.0, 106.652)
    assert not decoder.confirms
    assert decoder.counters.bad_checksums == 3


@given(st.integers(0, 15), st.integers(0, 40000))
def test_a_flipped_bit_is_small_or_seen(bit: int, cpm: int) -> None:
    """No checksum: this is what is promised instead."""
    decoder = Decoder(Config(count_bytes=2))
    spoilt = (cpm ^ 1 << bit).to_bytes(2)
    for first, second in ((cpm.to_bytes(2), spoilt), (spoilt, cpm.to_bytes(2))):
        for sample in answers(decoder, first, second):
            assert isinstance(sample, Sample)
            if sample.quantity == "count_rate":
                assert sample.value is not None
                assert abs(sample.value - cpm) <= max(16, 0.06 * cpm)
        answers(decoder, b"")


@given(st.lists(st.binary(max_size=100), max_size=8))
def test_garbage_is_never_raised_and_not_kept(pieces: list[bytes]) -> None:
    decoder = Decoder(Config(count_bytes=4))
    answers(decoder, *pieces, b"")
    got = answers(decoder, b"\x00\x00\x00\x9a", b"\x00\x00\x00\x9a", start=100.0)
    assert trials.rows(got) == row(154.0, 1.001)


def test_warm_up_and_over_range() -> None:
    decoder = Decoder(Config(count_bytes=2, warmup_s=5.0, full_scale_cpm=30000))
    assert {s[3] for s in trials.rows(answers(decoder, b"\x00\x01", b"\x00\x01"))} == {"warmup"}
    high = answers(decoder, *[b"\x75\x30"] * 8)
    assert trials.rows(high)[-1] == ("count_rate", 30000.0, "1/min", Quality.OVER_RANGE, 30000.0)


@pytest.mark.parametrize("model", list(sim.VERSIONS))
async def test_twin_with_every_fault(tmp_path: Path, model: str) -> None:
    config = Config(period_s=0.06, timeout_s=0.3, quiet_s=0.02)
    async with Line(tmp_path / "tube") as line:
        twin = sim.Twin(line, model=model)
        # A spoilt last bit is one count more or less: there is no checksum that would show it.
        await trials.stands_all_faults(
            line, twin, Driver(config), "count_rate", (20.0, 3000.0), slack=3,
            faults=(Fault.GARBAGE, Fault.CUT_FRAME), checked=False,
        )  # fmt: skip
        assert set(twin.commands) == ONLY_QUESTIONS


async def test_a_heartbeat_that_somebody_left_on_gives_no_wrong_count(tmp_path: Path) -> None:
    config = Config(period_s=0.02, timeout_s=0.05, quiet_s=0.02)
    async with Line(tmp_path / "tube") as line:
        twin = sim.Twin(line, second_s=0.03)
        twin.heartbeat = True
        twin.set(count_rate=6000.0)
        driver = Driver(config)
        async with trials.playing(line, twin, driver) as got:
            await until(lambda: driver.counters.bytes_dropped > 60, "heartbeats are dropped")
            twin.heartbeat = False
            await got.reads("count_rate", 6000.0)
        assert {s.value for s in got.of("count_rate")} == {6000.0}
        assert twin.commands.count(b"<HEARTBEAT0>>") == 0


async def test_unplugged_and_another_model_plugged_in(tmp_path: Path) -> None:
    config = Config(period_s=0.05, timeout_s=0.2)
    async with Line(tmp_path / "tube") as line:
        twin = sim.Twin(line)

        def make() -> Driver:
            twin.model = "gmc500" if twin.commands else "gmc300"
            return Driver(config)

        await trials.comes_back_when_replugged(line, twin, make, "count_rate", (20.0, 3000.0))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"count_bytes": 3}, "Invalid enum value 3"),
        ({"usv_h_per_cpm": 0, "warmup_s": -1},
         "usv_h_per_cpm: expected more than 0, read 0\nwarmup_s: expected 0 or more, read -1"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)
