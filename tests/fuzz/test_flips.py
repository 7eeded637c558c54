"""One bit flipped in a capture never gives a wrong value of good quality, unless drivers/README.md
says that the protocol has no check."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest

from agent.tools import replay
from drivers import DriverModule, Fix, Quality, Sample
from drivers.recording import Chunk

from . import seeds

TABLE = Path(__file__).parents[2] / "drivers" / "README.md"
NO_CHECK = re.compile(r"\*\*no check|the check is TCP's|no port:")
"""What the table says of wires whose bits nothing protects, or another layer does."""
TRUSTED = (Quality.GOOD, Quality.CAL_DUE)
MOST_BITS = 250
"""Of a capture so many are flipped, by chance, the same in each run; the driver's own test flips
each bit of a frame."""
POSITION_DEG = 2e-5
"""A position of a sentence with fewer digits than the one that was lost: 2 m."""

MOTION = ("lat", "lon", "alt", "speed", "track")

Good = set[tuple[str, float | None]]
CAPTURES = seeds.captures()
RECEIVERS = seeds.receivers()


@pytest.fixture(autouse=True)
def without_the_log() -> Iterator[None]:
    """What spoilt frames make the drivers say is thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@cache
def unchecked() -> frozenset[str]:
    """Drivers whose row says so; a row without a driver belongs to the one above."""
    found, driver = set(), ""
    for row in TABLE.read_text("utf-8").splitlines():
        if row.startswith("|"):
            name = re.match(r"\| \[`(\w+)`\]", row)
            driver = name[1] if name else driver
            if NO_CHECK.search(row):
                found.add(driver)
    return frozenset(found)


def good(items: Iterable[Sample | Fix]) -> Good:
    """What may be believed; of a fix, where it is and how it moves."""
    found: Good = set()
    for item in items:
        if item.quality not in TRUSTED:
            continue
        if isinstance(item, Sample):
            found.add((item.quantity, item.value))
        else:
            told = ((name, getattr(item, name)) for name in MOTION)
            found |= {(name, value) for name, value in told if value is not None}
    return found


def played(capture: seeds.Capture, chunks: list[Chunk]) -> list[Sample | Fix]:
    module = replay.driver(capture.driver)
    player = replay.Player(module, replay.options(module, capture.driver, capture.keys))
    return list(player.play(chunks))


def bits(capture: seeds.Capture) -> list[int]:
    """Those of the frames that say something: a frame with a wrong check, which captures have too,
    may well become a right one."""
    said, place = rows(played(capture, capture.chunks)), 0
    found: list[int] = []
    for number, chunk in enumerate(capture.chunks):
        others = capture.chunks[:number] + capture.chunks[number + 1 :]
        if rows(played(capture, others)) != said:
            found += range(8 * place, 8 * (place + len(chunk.data)))
        place += len(chunk.data)
    return random.Random(capture.path.name).sample(found, min(len(found), MOST_BITS))


def rows(items: Iterable[Sample | Fix]) -> list[Sample | Fix]:
    return [msgspec.structs.replace(item, at=0.0) for item in items]


def flipped(chunks: list[Chunk], bit: int) -> list[Chunk]:
    """The same with one bit of all their bytes flipped."""
    place, made = bit // 8, []
    for at, data in chunks:
        if 0 <= place < len(data):
            data = data[:place] + bytes((data[place] ^ 1 << bit % 8,)) + data[place + 1 :]
            place = -1
        place -= len(data) if place >= 0 else 0
        made.append(Chunk(at, data))
    return made


def wrong(capture: seeds.Capture) -> Iterator[str]:
    """A sentence for each flipped bit that gives a good value which nobody had sent."""
    meant = good(played(capture, capture.chunks))
    for bit in bits(capture):
        lies = good(played(capture, flipped(capture.chunks, bit))) - meant
        if lies:
            yield f"bit {bit % 8} of byte {bit // 8}: {sorted(lies, key=str)}"


@pytest.mark.parametrize(
    "capture", [c for c in CAPTURES if c.driver not in unchecked()], ids=lambda c: c.path.name
)
def test_a_flipped_bit_gives_no_wrong_good_value(capture: seeds.Capture) -> None:
    assert bits(capture)
    assert not list(wrong(capture))


@pytest.mark.parametrize("name", sorted({c.driver for c in CAPTURES} & unchecked()))
def test_the_table_excuses_nobody_who_needs_it_not(name: str) -> None:
    """Where it says that there is no check, a wrong value does come through."""
    assert any(next(wrong(capture), "") for capture in CAPTURES if capture.driver == name)


def test_flipping_touches_one_bit_wherever_it_stands() -> None:
    chunks = [Chunk(0.0, b"\0\0"), Chunk(1.0, b"\0")]
    assert flipped(chunks, 0) == [Chunk(0.0, b"\1\0"), Chunk(1.0, b"\0")]
    assert flipped(chunks, 15) == [Chunk(0.0, b"\0\x80"), Chunk(1.0, b"\0")]
    assert flipped(chunks, 17) == [Chunk(0.0, b"\0\0"), Chunk(1.0, b"\2")]


@pytest.mark.skipif(not RECEIVERS, reason="shared/corpus/gnss is not here")
def test_a_flipped_bit_moves_no_receiver() -> None:
    nmea = replay.driver("nmea")
    dice = random.Random(1)
    for data in RECEIVERS:
        meant = places(nmea, data)
        for bit in dice.sample(range(8 * len(data)), 12):
            for lat, lon in places(nmea, flipped([Chunk(0.0, data)], bit)[0].data):
                assert any(
                    abs(lat - a) <= POSITION_DEG and abs(lon - b) <= POSITION_DEG for a, b in meant
                ), f"bit {bit} of {data[:40]!r}..."


def places(module: DriverModule, data: bytes) -> set[tuple[float, float]]:
    player = replay.Player(module, module.Config())
    return {
        (item.lat, item.lon)
        for item in player.play([Chunk(0.0, data)])
        if isinstance(item, Fix) and item.lat is not None and item.lon is not None
        if item.quality in TRUSTED
    }
