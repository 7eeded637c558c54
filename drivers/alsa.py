"""ALSA as PyAV's wheel brings it: its library looks for configuration and plugins in the folder in
which it was built, so that no device is found unless it is told where they are on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Protocol

CONFIGURATION = "/usr/share/alsa/alsa.conf"
PLUGINS = "/usr/lib"
NONE = "null"
"""ALSA's own device that hears and says nothing."""


class Device(Protocol):
    """As PyAV lists it."""

    name: str


def find(
    environment: MutableMapping[str, str] = os.environ,
    *,
    is_file: Callable[[str], bool] = os.path.isfile,
    plugin_folders: Callable[[], Iterable[Path]] = lambda: Path(PLUGINS).glob("*/alsa-lib"),
) -> None:
    """Name this machine's in the environment; what stands there already is left."""
    if "ALSA_CONFIG_PATH" not in environment and is_file(CONFIGURATION):
        environment["ALSA_CONFIG_PATH"] = CONFIGURATION
    if "ALSA_PLUGIN_DIR" not in environment:
        for folder in plugin_folders():
            environment["ALSA_PLUGIN_DIR"] = str(folder)
            return


def named(listed: Callable[[str], Iterable[Device]]) -> list[str]:
    """What `listed` finds of ALSA; none where it has no configuration."""
    find()
    try:
        return [device.name for device in listed("alsa") if device.name != NONE]
    except (OSError, ValueError):
        return []
