"""ALSA's plug-ins in the place of devices, by a configuration of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


def configure(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`{into}` in the text is `said.raw` of the folder, which is recorded from, and `{out}` its
    `heard.raw`, which is played to; braces of its own are doubled."""
    file = folder / "asound.conf"
    file.write_text(
        text.format(out=folder / "heard.raw", into=folder / "said.raw"), encoding="utf-8"
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(file))
