"""Microphone and speaker of a configuration: opened for a moment, unless the agent has them open.

Nothing is kept of what is heard, and what is played is silence.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from agent.doctor.finding import Finding, Level
from agent.media.host import LIBRARIES
from agent.settings.tables import MediaConfig

PART = "unit"
LIVE = "live"


def findings(config: MediaConfig, voice: Mapping[str, Any]) -> Iterator[Finding]:
    """`voice` is what a running agent says of it; none where the extra that would look is not
    installed, or media are off."""
    missing = any(importlib.util.find_spec(name) is None for name in LIBRARIES)
    if missing or not config.enabled:
        return
    for kind, name in (("microphone", config.voice.microphone), ("speaker", config.voice.speaker)):
        found = ", ".join(importlib.import_module(f"drivers.{kind}").found())
        if name:
            yield _one(kind, name, found, is_live=voice.get(kind) == LIVE)
        elif found:
            yield Finding(part=PART, code=f"{kind}_unset", data={"found": found})


def _one(kind: str, name: str, found: str, *, is_live: bool) -> Finding:
    data = {"name": name, "found": found or "-"}
    if is_live:
        return Finding(part=PART, code=f"{kind}_live", level=Level.GOOD, data=data)
    source, _, where = name.partition(":")
    try:
        if kind == "microphone":
            _record(name)
        elif source == "alsa":
            _play(name)
        elif not Path(where).parent.is_dir():
            # A file is not opened: that would begin it anew.
            raise OSError(f"there is no folder {str(Path(where).parent)!r}")
    except (OSError, ValueError) as error:
        data["detail"] = str(error)
        code = f"{kind}_fails" if source == "alsa" else f"{kind}_absent"
        return Finding(part=PART, code=code, level=Level.BAD, data=data)
    if source == "alsa":
        return Finding(part=PART, code=f"{kind}_works", level=Level.GOOD, data=data)
    return Finding(part=PART, code=f"{kind}_trial", data=data)


def _record(name: str) -> None:
    """One block.  OSError, ValueError."""
    with closing(importlib.import_module("drivers.microphone").blocks(name)) as blocks:
        next(blocks)


def _play(name: str) -> None:
    """The silence with which a device begins.  OSError."""
    importlib.import_module("drivers.speaker").open_speaker(name).close()
