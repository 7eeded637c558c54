"""A short fuzzing of every decoder and parser; `make fuzz` does the same for ten minutes each."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import tracemalloc
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from agent.config import driver_names

from . import judge, planted, seeds, targets
from .strategies import inputs
from .targets import ANSWERS, DecoderTarget, Target

ROOT = Path(__file__).parents[2]
STREAM = 60_000
LONG = 8_000
KEPT_MAX = 64 * 1024
"""What memory may grow by in the second half of a long stream: nothing but chance."""
ATHERIS_S = 6

NAMES = targets.names()
DECODERS = targets.decoder_names()


@cache
def target(name: str) -> Any:
    made: Target = targets.target(name)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_what_fuzzing_begins_with_breaks_nothing(name: str) -> None:
    assert target(name).seeds
    for data in target(name).seeds:
        target(name).run(data)


@pytest.mark.parametrize("name", NAMES)
def test_pieces_of_frames_in_any_order_break_nothing(name: str) -> None:
    @settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(data=inputs(target(name).seeds))
    def run(data: bytes) -> None:
        target(name).run(data)

    run()


@pytest.mark.parametrize("name", DECODERS)
def test_no_decoder_is_fuzzed_with_noise_alone(name: str) -> None:
    """Its captures and probes must reach what stands behind the checks."""
    found = [item for data in target(name).seeds for item in meant(target(name), data)]
    assert found, f"no capture in tests/captures gives a value of drivers/{name}.py"


def test_every_driver_that_decodes_is_found() -> None:
    assert set(driver_names()) - set(DECODERS) == {"panel"} & set(driver_names())
    assert {"winsen", "modbus", "nmea", "host"} <= set(DECODERS)


def meant(one: DecoderTarget, data: bytes) -> list[Any]:
    return one.settings[data[0] % len(one.settings)].line().bring(data)


def stream(name: str, dice: random.Random) -> list[bytes]:
    """Frames with mistakes, noise, and the beginnings of frames again and again."""
    own = [data[3:] for data in target(name).seeds if data[1] != ANSWERS and len(data) > 4]
    pieces: list[bytes] = []
    while sum(map(len, pieces)) < STREAM:
        piece = bytearray(dice.choice(own)[:2000])
        for _ in range(dice.randrange(4)):
            piece[dice.randrange(len(piece))] = dice.randrange(256)
        head = bytes(piece[: dice.randint(1, 12)])
        pieces.append(dice.choice((bytes(piece), bytes(piece), head * 50, dice.randbytes(200))))
    return pieces


@pytest.mark.parametrize("name", DECODERS)
def test_no_decoder_grows_with_the_length_of_its_line(name: str) -> None:
    dice = random.Random(name)
    line = target(name).settings[0].line()
    pieces = stream(name, dice)
    tracemalloc.start()
    try:
        for piece in pieces[: len(pieces) // 2]:
            line.decoder.feed(piece, 0.0)
        half, _ = tracemalloc.get_traced_memory()
        for piece in pieces[len(pieces) // 2 :]:
            line.decoder.feed(piece, 0.0)
        all_of_it, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all_of_it - half < KEPT_MAX
    judge.bounded(line, target(name).settings[0].began_with)


@pytest.mark.parametrize("name", DECODERS)
def test_no_beginning_of_a_frame_makes_a_decoder_slow(name: str) -> None:
    for data in target(name).seeds[:8]:
        setting = target(name).settings[data[0] % len(target(name).settings)]
        for head in (data[3:5], data[3:11], data[3:-1]):
            body = (head * (LONG // max(1, len(head)) + 1))[:LONG]
            bring = partial(setting.line().bring, bytes((0, 16, 0)) + body)
            judge.in_time(bring, LONG, target(name).per_byte_s)


# --- the fuzzer itself ---


def planted_target(mistake: planted.Mistake) -> DecoderTarget:
    made = DecoderTarget("planted", planted)
    made.settings = [targets.Setting(planted, planted.Config(mistake=mistake))]
    return made


def frame(number: int) -> bytes:
    head = bytes((0x86, *number.to_bytes(2)))
    check = head[0] ^ head[1] ^ head[2]
    return b"\0\0\0\xff" + head + bytes((check,))


def test_a_decoder_that_grows_is_seen() -> None:
    growing = planted_target("grows")
    for number in range(50):
        growing.run(frame(number))
    growing.look()
    for number in range(50, 200):
        growing.run(frame(number))
    with pytest.raises(judge.FuzzError, match=r"Line holds \d+ bytes, began with \d+: it grows"):
        growing.look()


def test_a_decoder_that_takes_too_long_is_seen() -> None:
    with pytest.raises(judge.FuzzError, match=r"8 bytes took .* s of CPU, expected at most"):
        planted_target("hangs").run(frame(0xFFFF))


def test_a_value_that_is_no_number_is_seen() -> None:
    with pytest.raises(judge.FuzzError, match="a value that is no number"):
        planted_target("lies").run(frame(0x9000))


def test_a_frame_with_a_wrong_check_is_repaired_and_looked_into() -> None:
    broken = frame(0x5502)[:-1] + b"\0"
    with pytest.raises(ZeroDivisionError):
        planted_target("raises").run(broken)


needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris has no build for this processor or Python",
)


def by_coverage(name: str, seconds: int, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.engine",
        "atheris",
        name,
        str(seconds),
        str(folder),
    ]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )


@needs_atheris
def test_coverage_leads_to_a_crash_that_no_seed_shows(tmp_path: Path) -> None:
    ended = by_coverage("planted", 30, tmp_path)
    assert ended.returncode != 0
    assert "ZeroDivisionError" in ended.stdout + ended.stderr
    (crash,) = tmp_path.glob("crash-*")
    with pytest.raises(ZeroDivisionError):
        planted_target("raises").run(crash.read_bytes())


@needs_atheris
def test_coverage_finds_nothing_in_a_short_time(tmp_path: Path) -> None:
    ended = by_coverage("every", ATHERIS_S, tmp_path)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "DONE" in ended.stderr
    assert not list(tmp_path.glob("crash-*"))


def test_what_was_found_once_belongs_to_a_target() -> None:
    names = {path.name.partition(".")[0] for path in seeds.FOUND.glob("*.*")}
    assert names - {"README"} <= set(NAMES)
