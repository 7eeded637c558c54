"""Each file of tests/captures that names its driver, played whole, byte by byte, in random cuts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.tools import replay
from drivers import recording
from drivers.recording import Chunk

CAPTURES = Path(__file__).parents[1] / "captures"
FILES = sorted(
    path
    for path in CAPTURES.rglob("*")
    if path.suffix in (".cap", ".hex", ".log") and "driver" in dict(recording.notes(path))
)


def whole(chunks: list[Chunk], _: random.Random) -> Iterator[Chunk]:
    yield from chunks


def byte_by_byte(chunks: list[Chunk], _: random.Random) -> Iterator[Chunk]:
    for at, data in chunks:
        yield from (Chunk(at, bytes((byte,))) for byte in data)


def random_cuts(chunks: list[Chunk], dice: random.Random) -> Iterator[Chunk]:
    for at, data in chunks:
        start = 0
        while start < len(data):
            step = dice.randint(1, 40)
            yield Chunk(at, data[start : start + step])
            start += step


@pytest.mark.parametrize("cut", [whole, byte_by_byte, random_cuts], ids=lambda cut: cut.__name__)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CAPTURES)))
def test_a_capture_gives_what_is_written_beside_it(path: Path, cut: Any) -> None:
    name, keys = replay.wanted(recording.notes(path), "", [])
    module = replay.driver(name)
    player = replay.Player(module, replay.options(module, name, keys))
    chunks = cut(list(recording.read(path)), random.Random(path.name))
    found = [msgspec.json.decode(replay.json_line(item)) for item in player.play(chunks)]
    lines = path.with_suffix(".chk").read_bytes().splitlines()
    expected = [msgspec.json.decode(line) for line in lines if line]
    assert len(found) == len(expected), found
    for got, wanted in zip(found, expected, strict=True):
        assert {key: got.get(key) for key in wanted} == wanted
