"""What the doctor says of microphone and speaker, with ALSA's plug-ins in the place of devices."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("av")

from agent import config
from agent.__main__ import main
from agent.doctor import sound, words
from agent.doctor.finding import Finding, Level
from tests.alsa import configure
from tests.media.voice import sound as tones

HEAD = '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'
CONFIGURATION = """
pcm.nothing {{ type null }}
pcm.desk {{
    type file slave.pcm "nothing" file "{out}" infile "{into}" format "raw"
    hint {{ show on description "a desk microphone" }}
}}
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One ALSA device, `desk`, that records and plays."""
    (tmp_path / "said.raw").write_bytes(tones.tone(700, 1).tobytes())
    configure(tmp_path, CONFIGURATION, monkeypatch)
    return tmp_path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any."""
    configure(tmp_path, "pcm.null {{ type null }}\n", monkeypatch)


def examined(folder: Path, voice: str, told: dict[str, str] | None = None) -> list[Finding]:
    path = folder / "unit.toml"
    path.write_text(f"{HEAD}[media.voice]\n{voice}", encoding="utf-8")
    return list(sound.findings(config.load(path).media, told or {}))


def codes(found: list[Finding]) -> list[tuple[str, Level]]:
    return [(finding.code, finding.level) for finding in found]


def test_devices_that_are_there_are_said_to_work(desk: Path) -> None:
    found = examined(desk, 'microphone = "alsa:desk"\nspeaker = "alsa:desk"\n')
    assert codes(found) == [("microphone_works", Level.GOOD), ("speaker_works", Level.GOOD)]


def test_one_that_is_missing_is_named_beside_what_there_is(desk: Path) -> None:
    found = examined(desk, 'microphone = "alsa:usb"\nspeaker = "alsa:horn"\n')
    assert codes(found) == [("microphone_fails", Level.BAD), ("speaker_fails", Level.BAD)]
    chinese, english = (words.say(found[0], lang) for lang in ("zh", "en"))
    assert "话筒 alsa:usb 打不开" in chinese
    assert "本机可录音的有：desk。请改 [media.voice] microphone" in chinese
    assert "what records here: desk. Change microphone of [media.voice]" in english
    assert "what plays here: desk. Change speaker" in words.say(found[1], "en")


def test_what_is_there_and_not_configured_is_worth_a_word(desk: Path) -> None:
    found = examined(desk, "")
    assert codes(found) == [("microphone_unset", Level.NOTE), ("speaker_unset", Level.NOTE)]
    assert "(desk), but no microphone in [media.voice]" in words.say(found[0], "en")
    assert "可以播放（desk），但 [media.voice] 没有 speaker" in words.say(found[1], "zh")


def test_a_machine_without_sound_that_wants_none_is_left_in_peace(
    bare: None, tmp_path: Path
) -> None:
    assert examined(tmp_path, "") == []


def test_what_the_agent_has_open_is_left_to_it(desk: Path) -> None:
    found = examined(
        desk, 'microphone = "alsa:usb"\nspeaker = "alsa:horn"\n',
        {"microphone": "live", "speaker": "live"},
    )  # fmt: skip
    assert codes(found) == [("microphone_live", Level.GOOD), ("speaker_live", Level.GOOD)]


def test_files_and_tones_are_for_trials(bare: None, tmp_path: Path) -> None:
    speaker = tmp_path / "heard.wav"
    speaker.write_bytes(b"of a drill")
    found = examined(tmp_path, f'microphone = "tone:500"\nspeaker = "file:{speaker}"\n')
    assert codes(found) == [("microphone_trial", Level.NOTE), ("speaker_trial", Level.NOTE)]
    assert speaker.read_bytes() == b"of a drill"
    gone = f'microphone = "file:{tmp_path}/no.wav"\nspeaker = "file:{tmp_path}/no/heard.wav"\n'
    found = examined(tmp_path, gone)
    assert codes(found) == [("microphone_absent", Level.BAD), ("speaker_absent", Level.BAD)]
    assert "there is no file" in words.say(found[0], "en")
    assert "there is no folder" in words.say(found[1], "en")


def test_the_command_says_it_and_ends_with_one(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = desk / "unit.toml"
    path.write_text(
        f'{HEAD}[store]\ndir = "{desk}"\n[media.voice]\nmicrophone = "alsa:usb"\n',
        encoding="utf-8",
    )
    assert main(["doctor", "--config", str(path), "--lang", "en"]) == 1
    assert "x microphone alsa:usb cannot be opened" in capsys.readouterr().out
