"""Sound of a microphone that somebody else has opened, in the same file as the pictures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from agent.media import scene
from agent.media.encoder import H264Encoder
from agent.media.record.config import RecordConfig
from agent.media.record.recorder import Recorder
from agent.media.record.sidefile import Side
from agent.media.voice.opus import Encoder
from agent.messages import Mark
from tests.media.record.rig import closed, probe

FPS = 10


def test_a_microphone_that_opens_begins_a_file_with_sound(tmp_path: Path) -> None:
    told: list[Side] = []
    recorder = Recorder(
        RecordConfig(dir=str(tmp_path), segment_s=60.0, free_mb=0), "cv-01", Mark.ACTUAL, None,
        need_keyframe=lambda camera: None, tell=told.append, gone=lambda side, why: None,
        state=lambda state, detail: None,
    )  # fmt: skip
    recorder.begin()
    video, audio = H264Encoder(160, 120, FPS, 200), Encoder(24)
    pictures = scene.frames(160, 120, 1000.0)
    began = time.monotonic()
    tone = (np.sin(np.arange(960) * 0.05) * 8000).astype(np.int16)
    for number in range(5 * FPS):
        at = began + number / FPS
        if number >= 2 * FPS:
            for block in range(5):
                for data in audio.encode(tone):
                    recorder.sound(data, round(at * 48_000) + 960 * block)
        # A keyframe each second, as a request for one would bring it.
        for picture in video.encode(next(pictures)(), at, keyframe=number % FPS == 0):
            recorder.picture("front", picture, painted=True)
    recorder.close()
    silent, loud = closed(tmp_path)
    assert (silent.sound, loud.sound) == (False, True)
    assert set(probe(tmp_path / silent.file)) == {"h264"}
    streams = probe(tmp_path / loud.file)
    assert set(streams) == {"h264", "opus"}
    seconds = float(streams["h264"]["duration"])
    assert abs(float(streams["opus"]["duration"]) - seconds) < 0.3
    assert int(streams["opus"]["nb_read_frames"]) >= 50 * seconds * 0.9
    assert told[-1].id == loud.id
