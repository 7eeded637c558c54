"""Microphone and speaker of the media process, with files in the place of devices."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from agent.media.voice.level import HANG_S, SILENT_DBFS, Duplex, level_dbfs
from agent.media.voice.opus import Decoder, Encoder
from agent.media.voice.playback import Playback
from agent.media.voice.source import QUEUE_PACKETS, Listener, Source
from drivers.microphone import BLOCK_SAMPLES, Block
from tests.waiting import until

from . import sound


def blocks_of(samples: np.ndarray) -> list[Block]:
    return list(samples.reshape(-1, BLOCK_SAMPLES))


def packets(hertz: float, seconds: float) -> list[bytes]:
    encoder = Encoder(24)
    return [p for b in blocks_of(sound.tone(hertz, seconds)) for p in encoder.encode(b)]


def test_opus_carries_a_tone_in_a_few_bytes() -> None:
    made = packets(1000, 1.0)
    decoder = Decoder()
    heard = np.concatenate([decoder.decode(packet) for packet in made])
    assert sound.share(heard, 1000) > 0.9
    assert sum(map(len, made)) * 8 < 34_000


def test_what_never_came_fades() -> None:
    decoder = Decoder()
    for packet in packets(500, 0.2):
        decoder.decode(packet)
    levels = [level_dbfs(decoder.conceal()) for _ in range(4)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] - levels[3] > 12


@pytest.mark.parametrize("payload", [b"", b"\xff\x00\x01"])
def test_what_is_no_opus_is_said_so(payload: bytes) -> None:
    with pytest.raises(ValueError, match="Opus"):
        Decoder().decode(payload)


def test_loudness_is_against_full_scale() -> None:
    assert level_dbfs(np.zeros(BLOCK_SAMPLES, np.int16)) == SILENT_DBFS
    assert level_dbfs(sound.tone(1000, 0.02, 32767)) == pytest.approx(-3.0, abs=0.1)


def test_the_microphone_is_silent_while_the_speaker_sounds() -> None:
    half, full = Duplex(full=False), Duplex(full=True)
    for duplex in (half, full):
        duplex.played(-20.0, 10.0)
    assert half.is_muted(10.0 + HANG_S - 0.01)
    assert not half.is_muted(10.0 + HANG_S)
    assert not full.is_muted(10.0)
    half.played(-60.0, 20.0)
    assert not half.is_muted(20.0)


def test_a_listener_who_stalls_goes_on_with_what_is_said_now() -> None:
    listener = Listener()
    for number in range(QUEUE_PACKETS + 5):
        listener.put(bytes([number]), number)
    assert listener.skipped == 5


# -- the microphone ------------------------------------------------------------------------


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    made = Source("tone:800", 24, Duplex(full=False), asyncio.get_running_loop())
    yield made
    made.close()


async def hear(listener: Listener, count: int) -> np.ndarray:
    decoder = Decoder()
    async with asyncio.timeout(15):
        return np.concatenate([decoder.decode(bytes(await listener.get())) for _ in range(count)])


async def test_a_microphone_is_open_only_when_it_may_be_and_somebody_listens(
    source: Source,
) -> None:
    listener = source.listen()
    assert source.state == "idle"
    assert not any(thread.name == "microphone" for thread in threading.enumerate())
    source.allow(True)
    assert sound.share(await hear(listener, 20), 800) > 0.8
    assert source.state == "live"
    source.drop(listener)
    await until(lambda: source.state == "idle", "the microphone is put away")
    source.listen()
    await until(lambda: source.state == "live", "the microphone is open")
    source.allow(False)
    await until(lambda: source.state == "idle", "the microphone is put away")


async def test_it_is_encoded_once_for_all(source: Source) -> None:
    source.allow(True)
    listeners = [source.listen() for _ in range(4)]
    heard = await asyncio.gather(*(hear(listener, 20) for listener in listeners))
    assert all(sound.share(one, 800) > 0.8 for one in heard)
    assert source.packets < 2 * 20


async def test_a_microphone_that_is_not_there_says_so_and_is_sought_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "later.wav"
    source = Source(f"file:{file}", 24, Duplex(full=False), asyncio.get_running_loop())
    listener = source.listen()
    source.allow(True)
    await until(lambda: source.state == "down", "the microphone is missed")
    assert source.detail == f"microphone: there is no file '{file}'"
    sound.write(file, sound.tone(600, 1))
    await hear(listener, 2)
    assert source.state == "live"
    source.close()


# -- the speaker ---------------------------------------------------------------------------


def talk(playback: Playback, session: str, hertz: float, seconds: float, start: int = 0) -> None:
    for index, packet in enumerate(packets(hertz, seconds)):
        playback.put(session, start + index, (start + index) * 960, packet)


async def test_who_has_the_floor_is_heard_and_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "heard.wav"
    playback = Playback(f"file:{file}", Duplex(full=False))
    talk(playback, "a", 500, 0.4)
    playback.give_floor("a")
    talk(playback, "b", 2000, 0.4)
    talk(playback, "a", 500, 0.6)
    await until(lambda: playback.played >= 25, "it has been played")
    await until(lambda: playback.state == "idle", "the speaker is let go of")
    heard = sound.read(file)
    assert sound.share(heard, 500) > 0.8
    assert sound.share(heard, 2000) < 0.01
    playback.close()


async def test_it_plays_no_faster_than_it_is_spoken(tmp_path: Path) -> None:
    playback = Playback(f"file:{tmp_path / 'heard.wav'}", Duplex(full=False))
    playback.give_floor("a")
    began = time.monotonic()
    talk(playback, "a", 500, 0.8)
    await until(lambda: playback.played >= 35, "it has been played")
    assert time.monotonic() - began >= 0.5
    playback.close()


async def test_a_speaker_that_is_not_there_says_so_and_is_sought_again(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    playback = Playback(f"file:{folder / 'heard.wav'}", Duplex(full=False))
    playback.give_floor("a")
    talk(playback, "a", 500, 0.2)
    await until(lambda: playback.state == "down", "the speaker is missed")
    assert "later" in playback.detail
    folder.mkdir()

    def said() -> bool:
        talk(playback, "a", 500, 0.2, start=said.counter)  # type: ignore[attr-defined]
        said.counter += 10  # type: ignore[attr-defined]
        return playback.state == "live"

    said.counter = 100  # type: ignore[attr-defined]
    await until(said, "the speaker is found")
    playback.close()


async def test_the_speaker_mutes_the_microphone(tmp_path: Path) -> None:
    duplex = Duplex(full=False)
    source = Source("tone:800", 24, duplex, asyncio.get_running_loop())
    playback = Playback(f"file:{tmp_path / 'heard.wav'}", duplex)
    source.allow(True)
    listener = source.listen()
    await hear(listener, 5)
    assert source.level_dbfs > -30
    playback.give_floor("a")
    talk(playback, "a", 500, 1.0)
    await until(lambda: source.level_dbfs == SILENT_DBFS, "the microphone is muted")
    assert source.state == "live"
    await until(lambda: source.level_dbfs > -30, "the microphone is heard again")
    source.close()
    playback.close()
