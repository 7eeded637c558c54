"""Lamp, buzzer and heartbeat lamp, driven by patterns on the event loop; and what they do when that
loop does not turn any more."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Protocol

from drivers.patterns import HEARTBEAT, PATTERNS, WINK_S, Step

log = logging.getLogger(__name__)

STALLED_S = 3.0
"""A loop that has not turned for so long is wedged, for all that a wearer can know."""
TURN_S = 0.5


class Output(Protocol):
    """A gpiozero output."""

    value: float


class Lights:
    """On the loop that runs.  `None`: there is no such output."""

    def __init__(
        self, lamp: Output | None, buzzer: Output | None, heartbeat: Output | None
    ) -> None:
        self.pattern = "off"
        self.lamp_only = False
        self.beating = False
        self._lamp = lamp
        self._buzzer = buzzer
        self._heart = heartbeat
        self._loop = asyncio.get_running_loop()
        self._stepping: asyncio.TimerHandle | None = None
        self._heart_timer: asyncio.TimerHandle | None = None
        self._wink_timer: asyncio.TimerHandle | None = None
        self._guard = _Guard(self)
        self._turning: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the loop from beside it."""
        self._turn()
        self._guard.start()

    def show(self, pattern: str, *, lamp_only: bool = False) -> None:
        """Drive lamp and buzzer by a pattern of PATTERNS from now on; the first step at once.

        The same pattern again does not begin anew.  ValueError: no such pattern.
        """
        if pattern not in PATTERNS:
            raise ValueError(f"pattern: expected one of {', '.join(PATTERNS)}, read {pattern!r}")
        if (pattern, lamp_only) != (self.pattern, self.lamp_only):
            self.pattern, self.lamp_only = pattern, lamp_only
            self._step(0)

    def heartbeat(self, beats: bool) -> None:
        """The lamp whose blinking says: protected."""
        if beats != self.beating:
            self.beating = beats
            self._beat(0)

    def wink(self, times: int) -> None:
        """A discreet confirmation on the heartbeat lamp, or on the lamp where there is none: so
        many short winks, without sound, once.  What the lamp is at comes back after it."""
        self._wink(2 * times)

    def end(self, *, lamp: bool) -> None:
        """Stop everything: the lamp as said, the rest off."""
        self._guard.stop()
        for timer in (self._stepping, self._heart_timer, self._wink_timer, self._turning):
            if timer is not None:
                timer.cancel()
        self.pattern = "off"
        self._set(lamp, False)
        _put(self._heart, False)

    def fault(self, number: int) -> Step:
        """From the guard's thread, while the loop does not turn: a step of the pattern `fault`,
        its lamp lit throughout: whoever ends this process must not leave it dark."""
        step = PATTERNS["fault"][number % len(PATTERNS["fault"])]
        self._set(True, step[1])
        _put(self._heart, False)
        return step

    def resume(self) -> None:
        """The loop turns again."""
        self._step(0)
        self._beat(0)

    # -- within ----------------------------------------------------------------------------

    def _step(self, number: int) -> None:
        if self._stepping is not None:
            self._stepping.cancel()
            self._stepping = None
        steps = PATTERNS[self.pattern]
        lamp, buzzer, duration_s = steps[number % len(steps)]
        self._set(lamp, buzzer and not self.lamp_only)
        if duration_s:
            self._stepping = self._loop.call_later(duration_s, self._step, number + 1)

    def _set(self, lamp: bool, buzzer: bool) -> None:
        _put(self._lamp, lamp)
        _put(self._buzzer, buzzer)

    def _beat(self, number: int) -> None:
        if self._heart_timer is not None:
            self._heart_timer.cancel()
            self._heart_timer = None
        level, duration_s = HEARTBEAT[number % len(HEARTBEAT)]
        _put(self._heart, level and self.beating)
        if self.beating:
            self._heart_timer = self._loop.call_later(duration_s, self._beat, number + 1)

    def _wink(self, left: int) -> None:
        output = self._heart if self._heart is not None else self._lamp
        if left <= 0:
            self._wink_timer = None
            self.resume()
            return
        _put(output, left % 2 == 0)
        self._wink_timer = self._loop.call_later(WINK_S, self._wink, left - 1)

    def _turn(self) -> None:
        if self._guard.turned():
            log.error("panel: the loop stood still; it turns again")
            self.resume()
        self._turning = self._loop.call_later(TURN_S, self._turn)


def _put(output: Output | None, level: bool) -> None:
    if output is not None and output.value != level:
        output.value = level


class _Guard:
    """A thread that drives the fault pattern where the loop cannot: a wedged agent must not look
    like a calm one until the watchdog ends it."""

    def __init__(self, lights: Lights) -> None:
        self._lights = lights
        self._turned_at = time.monotonic()
        self._acts = False
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="panel guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def turned(self) -> bool:
        """On the loop: it turns.  True where the guard had taken over."""
        with self._lock:
            acted, self._acts = self._acts, False
            self._turned_at = time.monotonic()
        return acted

    def _run(self) -> None:
        number = 0
        wait_s = TURN_S
        while not self._done.wait(wait_s):
            with self._lock:
                if time.monotonic() - self._turned_at < STALLED_S:
                    number, wait_s = 0, TURN_S
                    continue
                self._acts = True
                wait_s = min(TURN_S, self._lights.fault(number)[2])
                number += 1
