"""The file of a group's secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.neighbours.packet import group_key

if TYPE_CHECKING:
    from agent.settings.neighbours import NeighboursConfig
    from agent.settings.tables import UnitConfig

SECRET_MAX = 4096


def read(config: NeighboursConfig, unit: UnitConfig) -> bytes:
    """The group's key.  OSError: the file cannot be read; ValueError: it holds no secret."""
    with open(config.key_file, "rb") as file:
        return group_key(file.read(SECRET_MAX), unit.org, unit.mark)
