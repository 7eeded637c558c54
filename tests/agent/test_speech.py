"""What is said aloud: alarms first, never in the way, and a real espeak-ng where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent import speech
from agent.alarms.standing import RANKS
from agent.incident.words import WORDS
from agent.messages import Alarm, AlarmState
from agent.settings.person import SpeechConfig
from agent.speech import SENTENCES, WAITING_MAX, Speech
from tests.waiting import until

REAL = shutil.which("espeak-ng")


def alarm(code: str = "high", quantity: str = "cl2", source: str = "gas") -> Alarm:
    return Alarm(
        alarm=f"{source}/{quantity}/{code}", code=code, rank=RANKS[code], change="raised",
        state=AlarmState.UNACKNOWLEDGED, source=source, quantity=quantity,
    )  # fmt: skip


def program(folder: Path, body: str) -> str:
    """An espeak-ng that does something else."""
    made = folder / "say"
    made.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    made.chmod(0o755)
    return str(made)


@contextlib.asynccontextmanager
async def speaking(config: SpeechConfig, told: list[tuple[object, ...]]) -> AsyncIterator[Speech]:
    voice = Speech(config, lambda *said, **_: told.append(said))
    task = asyncio.create_task(voice.run())
    try:
        yield voice
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def heard(folder: Path) -> list[str]:
    log = folder / "said"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


async def test_the_most_urgent_is_said_first_in_both_languages(tmp_path: Path) -> None:
    say = program(tmp_path, f'echo "$2 $(cat)" >> {tmp_path}/said')
    async with speaking(SpeechConfig(enabled=True, program=say), []) as voice:
        voice.say("check_in_due", 3.5)
        voice.alarm(alarm("low"))
        voice.alarm(alarm("high"))
        await until(lambda: len(heard(tmp_path)) == 6, "all is said")
    assert heard(tmp_path) == [
        "cmn 氯气高报警", "en chlorine high alarm", "cmn 氯气低报警", "en chlorine low alarm",
        "cmn 请按键报平安", "en press the button to check in",
    ]  # fmt: skip


async def test_what_is_urgent_cuts_short_what_is_not(tmp_path: Path) -> None:
    say = program(
        tmp_path,
        f'text="$(cat)"; echo "$text" >> {tmp_path}/said\n'
        'case "$text" in *message*) exec sleep 60;; esac',
    )
    config = SpeechConfig(enabled=True, program=say, languages=("en",))
    async with speaking(config, []) as voice:
        voice.say("message", text="come back")
        await until(lambda: heard(tmp_path) == ["message: come back"], "the message is being said")
        voice.alarm(alarm("high"))
        await until(lambda: len(heard(tmp_path)) == 2, "the alarm does not wait for it")
    assert heard(tmp_path)[1] == "chlorine high alarm"


async def test_what_waits_has_a_ceiling_and_keeps_what_is_urgent(tmp_path: Path) -> None:
    say = program(tmp_path, f"cat >> {tmp_path}/said; echo >> {tmp_path}/said")
    config = SpeechConfig(enabled=True, program=say, languages=("en",))
    async with speaking(config, []) as voice:
        for number in range(50):
            voice.say("message", text=str(number))
        voice.alarm(alarm("high"))
        # The same again is not said twice.
        voice.alarm(alarm("high"))
        await until(lambda: len(heard(tmp_path)) == WAITING_MAX, "all that found room is said")
        assert voice.dropped == 51 - WAITING_MAX
    assert heard(tmp_path)[0] == "chlorine high alarm"
    assert heard(tmp_path)[-1] == f"message: {WAITING_MAX - 2}"


async def test_a_program_that_hangs_is_ended_and_the_loop_turns_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(speech, "REST_S", 0.0)
    say = program(tmp_path, "exec sleep 60")
    told: list[tuple[object, ...]] = []
    async with speaking(SpeechConfig(enabled=True, program=say), told) as voice:
        voice.say("camera_on")
        turns = 0
        while not told:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 100
    assert told == [("speech_failed", "speech", f"{say} has not ended within 0.2 s")]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [(None, "none: No such file or directory"), ("echo no card >&2; exit 2", "say: no card")],
)
async def test_a_failure_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str | None, sentence: str
) -> None:
    monkeypatch.setattr(speech, "REST_S", 0.0)
    say = str(tmp_path / "none") if body is None else program(tmp_path, body)
    told: list[tuple[object, ...]] = []
    async with speaking(SpeechConfig(enabled=True, program=say), told) as voice:
        for number in range(3):
            voice.say("message", text=str(number))
            await until(lambda: bool(told) and not voice._waiting, "it was tried")
    assert told == [("speech_failed", "speech", str(tmp_path / sentence))]


async def test_where_it_is_not_enabled_nothing_is_said(tmp_path: Path) -> None:
    say = program(tmp_path, f"cat >> {tmp_path}/said")
    voice = Speech(SpeechConfig(program=say))
    voice.say("camera_on")
    voice.alarm(alarm())
    await asyncio.wait_for(voice.run(), 5)
    assert heard(tmp_path) == []


@pytest.mark.skipif(REAL is None, reason="espeak-ng is not installed")
async def test_every_sentence_is_said_by_the_real_program(tmp_path: Path) -> None:
    """Each as a WAV file in which something can be heard."""
    told: list[tuple[object, ...]] = []
    words = {"what": "氯气", "code": "高报警", "who": "A", "where": "", "text": "hello"}
    async with speaking(SpeechConfig(enabled=True, folder=str(tmp_path)), told) as voice:
        for count, key in enumerate(SENTENCES, 1):
            voice.say(key, 9.0, **words)
            await _written(tmp_path, 2 * count)
        await until(lambda: voice._saying is None and not voice._waiting, "all is said")
    assert told == []
    _all_can_be_heard(tmp_path)


async def _written(folder: Path, count: int) -> None:
    await until(lambda: len([*folder.glob("*.wav")]) == count, f"{count} files are written")


def _all_can_be_heard(folder: Path) -> None:
    for path in folder.glob("*.wav"):
        with wave.open(str(path)) as sound:
            frames = sound.readframes(sound.getnframes())
            assert sound.getnframes() / sound.getframerate() > 0.4, path.name
        assert max(frames) > 100, path.name


def test_every_alarm_has_words_to_be_said() -> None:
    assert RANKS.keys() <= WORDS.keys()
    for texts in SENTENCES.values():
        assert len(texts) == 2
        fields = [{part.split("}")[0] for part in text.split("{")[1:]} for text in texts]
        assert fields[0] == fields[1]
