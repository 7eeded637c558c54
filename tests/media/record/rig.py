"""A media process that records, and what independent programs say of its files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.media.record import sidefile
from agent.media.record.config import RecordConfig
from agent.media.record.sidefile import Side
from agent.media.wire import CameraConfig, MediaConfig
from tests.media.conftest import media_config

CAMERA = CameraConfig(
    name="front", source="scene", width=320, height=180, fps=15, bitrate_kbit_s=300
)


def config(folder: Path, **record: Any) -> MediaConfig:
    values: dict[str, Any] = {"mode": "always", "segment_s": 4.0, "free_mb": 1, **record}
    return msgspec.structs.replace(
        media_config(CAMERA), record=RecordConfig(dir=str(folder), **values)
    )


def sides(folder: Path) -> list[Side]:
    return list(sidefile.scan(folder))


def closed(folder: Path) -> list[Side]:
    return [side for side in sides(folder) if side.number]


def probe(path: Path) -> dict[str, Any]:
    """What ffprobe decodes of each stream, by codec name: packets, frames, seconds."""
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    made = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_entries",
         "stream=codec_name,nb_read_frames,duration,width,height", str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert not made.stderr, made.stderr
    return {stream["codec_name"]: stream for stream in json.loads(made.stdout)["streams"]}
