"""Twin of the panel's pins: buttons that can be pressed, lamps and buzzer that are watched.

The wire is text, one edge a line, `PIN=LEVEL` and a line feed, both ways.  Inputs have pull-ups:
1 is idle, 0 is pressed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import NamedTuple

from drivers.sim.line import Line

_EDGES_KEPT = 4096
_LINE_MAX = 64
_HOLD_MAX_S = 3600.0
_PIN_MAX = 53
"""Highest GPIO of the boards that the panel is built for (BCM numbering)."""


class Edge(NamedTuple):
    """One change of an output."""

    pin: int
    level: int
    at: float
    """`time.monotonic()` seconds."""


def check_press(pin: int, hold_s: float) -> None:
    """ValueError: a pin that no board has, or a time that nobody presses for."""
    if not 0 <= pin <= _PIN_MAX:
        raise ValueError(f"pin is {pin}, expected 0 to {_PIN_MAX}")
    if not 0 <= hold_s <= _HOLD_MAX_S:
        raise ValueError(f"hold_s is {hold_s}, expected 0 to {_HOLD_MAX_S}")


class Twin:
    """Presses inputs and records outputs."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.edges: deque[Edge] = deque(maxlen=_EDGES_KEPT)
        """Output edges received, the oldest first."""
        self.levels: dict[int, int] = {}
        """The last level of each output that was ever written."""
        self.bad_lines = 0
        """Lines that were not `PIN=LEVEL`."""
        self._news = asyncio.Condition()

    async def press(self, pin: int, hold_s: float = 0.1) -> None:
        """Pull `pin` low for `hold_s` seconds; a cancelled press lets go as well."""
        check_press(pin, hold_s)
        await self._line.write(b"%d=0\n" % pin)
        try:
            await asyncio.sleep(hold_s)
        finally:
            await self._line.write(b"%d=1\n" % pin)

    async def wait_for(self, pin: int, level: int) -> None:
        """Return when output `pin` is at `level`."""
        async with self._news:
            await self._news.wait_for(lambda: self.levels.get(pin) == level)

    async def run(self) -> None:
        """Record what the agent does to its outputs, until cancelled."""
        held = b""
        while True:
            *lines, held = (held + await self._line.read()).split(b"\n")
            for line in lines:
                self._take(line)
            if len(held) > _LINE_MAX:
                self.bad_lines += 1
                held = b""
            async with self._news:
                self._news.notify_all()

    def _take(self, line: bytes) -> None:
        pin, _, level = line.strip().partition(b"=")
        if (
            not (pin.isdigit() and len(pin) <= 2)
            or int(pin) > _PIN_MAX
            or level not in (b"0", b"1")
        ):
            self.bad_lines += 1
            return
        edge = Edge(int(pin), int(level), time.monotonic())
        self.edges.append(edge)
        self.levels[edge.pin] = edge.level
