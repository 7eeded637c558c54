"""What a drill's microphone hears: syllables with the pitch and the pauses of somebody who speaks,
made at run time; nobody's voice, and no file that has to be brought along."""

from __future__ import annotations

import array
import math
import wave
from pathlib import Path

RATE_HZ = 16_000
PITCH_HZ = 125
"""A man's; `RATE_HZ` is a multiple of it."""
VOWELS_HZ = ((730, 1090), (270, 2290), (300, 870), (530, 1840), (570, 840))
"""First and second formant of a, i, u, e, o (Peterson and Barney, 1952)."""
SYLLABLE_S, GAP_S, PAUSE_S = 0.22, 0.04, 0.6
SYLLABLES, PHRASES = 6, 3
PEAK = 12_000
FORMANT_WIDTH_HZ = 150.0


def _period(formants: tuple[int, int]) -> list[float]:
    """One period of a vowel, at most 1: harmonics of the pitch, loud near the formants."""
    size = RATE_HZ // PITCH_HZ
    wanted = [
        (number, sum(1 / (1 + ((number * PITCH_HZ - f) / FORMANT_WIDTH_HZ) ** 2) for f in formants))
        for number in range(1, 3000 // PITCH_HZ)
    ]
    made = [
        sum(loud * math.sin(2 * math.pi * number * at / size) for number, loud in wanted)
        for at in range(size)
    ]
    top = max(map(abs, made))
    return [value / top for value in made]


def make() -> array.array[int]:
    """About six seconds, 16 bits, one channel."""
    periods = [_period(formants) for formants in VOWELS_HZ]
    length = round(SYLLABLE_S * RATE_HZ)
    swell = [math.sin(math.pi * at / length) for at in range(length)]
    samples = array.array("h")
    for phrase in range(PHRASES):
        for syllable in range(SYLLABLES):
            period = periods[(phrase * 2 + syllable * 3) % len(periods)]
            samples.extend(
                round(PEAK * swell[at] * period[at % len(period)]) for at in range(length)
            )
            samples.extend([0] * round(GAP_S * RATE_HZ))
        samples.extend([0] * round(PAUSE_S * RATE_HZ))
    return samples


def write(path: Path) -> None:
    """A WAV file.  OSError."""
    with wave.open(str(path), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(RATE_HZ)
        made.writeframes(make().tobytes())
