"""How loud a block is, and who must be silent for it.  Pure."""

from __future__ import annotations

import math

import numpy as np

from drivers.microphone import Block

SILENT_DBFS = -96.0
"""Digital silence."""
VOICE_DBFS = -45.0
"""Louder than that somebody speaks."""
HANG_S = 0.3
"""A room still sounds when the speaker has stopped."""


def level_dbfs(block: Block) -> float:
    """Root mean square against full scale."""
    if not block.size:
        return SILENT_DBFS
    samples = block.astype(np.float64)
    rms = math.sqrt(float(np.dot(samples, samples)) / block.size)
    return max(SILENT_DBFS, 20 * math.log10(rms / 32768)) if rms else SILENT_DBFS


class Duplex:
    """Half-duplex where nothing cancels echoes: what the speaker says, the microphone must not
    send back.  Written by the speaker's thread, read by the microphone's: one float."""

    def __init__(self, *, full: bool) -> None:
        self._full = full
        self._until_s = float("-inf")

    def played(self, level: float, now_s: float) -> None:
        if level > VOICE_DBFS:
            self._until_s = now_s + HANG_S

    def is_muted(self, now_s: float) -> bool:
        """Whether the microphone must be silent."""
        return not self._full and now_s < self._until_s
