"""Microphone and speaker: files, tones, and ALSA with plug-ins in the place of hardware."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from drivers import alsa
from drivers.microphone import BLOCK_SAMPLES, blocks
from drivers.speaker import open_speaker
from tests.alsa import configure
from tests.media.voice import sound

CONFIGURATION = """
pcm.nothing {{ type null }}
pcm.heard {{ type file slave.pcm "nothing" file "{out}" format "raw" }}
pcm.said {{ type file slave.pcm "nothing" file "/dev/null" infile "{into}" format "raw" }}
"""


@pytest.fixture
def plugs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ALSA devices `said` (reads said.raw) and `heard` (writes heard.raw)."""
    configure(tmp_path, CONFIGURATION, monkeypatch)
    return tmp_path


def first(source: str, count: int) -> np.ndarray:
    return np.concatenate(list(itertools.islice(blocks(source), count)))


def test_a_tone_is_one_and_comes_as_a_device_would_give_it() -> None:
    began = time.monotonic()
    heard = first("tone:1000", 30)
    assert sound.share(heard, 1000) > 0.95
    assert time.monotonic() - began >= 0.5


def test_a_file_is_heard_again_and_again(tmp_path: Path) -> None:
    sound.write(tmp_path / "a.wav", sound.tone(440, 0.2))
    heard = first(f"file:{tmp_path / 'a.wav'}", 25)
    assert heard.size == 25 * BLOCK_SAMPLES
    assert sound.share(heard, 440) > 0.8


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("file:/nowhere.wav", "microphone: there is no file '/nowhere.wav'"),
        ("alsa:no_such_card", "microphone 'no_such_card'"),
        ("pulse:x", "expected alsa:NAME, file:PATH or tone:HERTZ, read 'pulse:x'"),
    ],
)
def test_what_is_not_there_is_said_so(source: str, sentence: str) -> None:
    with pytest.raises((OSError, ValueError)) as caught:
        next(blocks(source))
    assert sentence in str(caught.value)


def test_a_file_without_sound_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_bytes(b"no sound at all")
    with pytest.raises(OSError, match="it has no sound that can be read"):
        next(blocks(f"file:{tmp_path / 'no.wav'}"))
    sound.write(tmp_path / "short.wav", sound.tone(440, 0.005))
    with pytest.raises(OSError, match="it has less than 20 ms of sound"):
        next(blocks(f"file:{tmp_path / 'short.wav'}"))


def test_an_alsa_device_is_recorded(plugs: Path) -> None:
    (plugs / "said.raw").write_bytes(sound.tone(700, 5).tobytes())
    assert sound.share(first("alsa:said", 25), 700) > 0.9


def test_an_alsa_device_is_played(plugs: Path) -> None:
    speaker = open_speaker("alsa:heard")
    for block in sound.tone(900, 0.5).reshape(-1, BLOCK_SAMPLES):
        speaker.play(block)
    speaker.close()
    heard = np.frombuffer((plugs / "heard.raw").read_bytes(), np.int16)
    channels = heard.size // (sound.RATE_HZ // 2)
    assert channels >= 1
    assert sound.share(heard, 900) > 0.9


def test_a_speaker_that_is_not_there_is_said_so() -> None:
    with pytest.raises(OSError, match=r"speaker 'no_such_card': .*aplay -L"):
        open_speaker("alsa:no_such_card")
    with pytest.raises(ValueError, match=r"expected alsa:NAME or file:PATH\.wav, read 'x'"):
        open_speaker("x")


def test_a_file_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    speaker = open_speaker(f"file:{tmp_path / 'out.wav'}")
    for block in sound.tone(500, 0.4).reshape(-1, BLOCK_SAMPLES):
        speaker.play(block)
    speaker.close()
    assert sound.share(sound.read(tmp_path / "out.wav"), 500) > 0.9


def test_alsa_is_told_where_this_machine_has_its_configuration(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    alsa.find(environment, is_file=lambda _: True, plugin_folders=lambda: [tmp_path])
    assert environment == {
        "ALSA_CONFIG_PATH": alsa.CONFIGURATION,
        "ALSA_PLUGIN_DIR": str(tmp_path),
    }
    alsa.find(environment, is_file=lambda _: True, plugin_folders=lambda: [Path("/other")])
    assert environment["ALSA_PLUGIN_DIR"] == str(tmp_path)
    bare: dict[str, str] = {}
    alsa.find(bare, is_file=lambda _: False, plugin_folders=list)
    assert bare == {}
