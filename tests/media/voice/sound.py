"""Tones made, and found again."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000


def tone(hertz: float, seconds: float, peak: int = 8000) -> NDArray[np.int16]:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (peak * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def write(path: Path, samples: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(RATE_HZ)
        made.writeframes(samples.tobytes())
    return path


def read(path: Path) -> NDArray[np.int16]:
    """Also while it is being written; empty where there is none yet."""
    if not path.is_file() or path.stat().st_size <= 44:
        return np.zeros(0, np.int16)
    data = path.read_bytes()[44:]
    return np.frombuffer(data[: len(data) & ~1], np.int16)


def share(samples: NDArray[np.int16], hertz: float, width_hz: float = 40.0) -> float:
    """How much of the sound's power is at that pitch: 1 for a pure tone, near 0 for noise."""
    if samples.size < RATE_HZ // 10:
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples.astype(float) * np.hanning(samples.size))) ** 2
    pitches = np.fft.rfftfreq(samples.size, 1 / RATE_HZ)
    total = float(spectrum.sum())
    return float(spectrum[np.abs(pitches - hertz) < width_hz].sum() / total) if total else 0.0
