"""Twin of GQ Electronics' GMC counters: `<GETVER>>`, `<GETCPM>>`, `<HEARTBEAT1>>`, `<HEARTBEAT0>>`.

GQ-RFC1201 (GMC-280, 300, 320) answers with two bytes, GQ-RFC1801 (GMC-500, 600, 800) with four,
high byte first; no frame, no checksum.  Heartbeat sends the counts of each second in as many bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections import deque

from drivers.sim.line import Line

VERSIONS = {"gmc300": b"GMC-300Re 4.20", "gmc500": b"GMC-500+Re 1.22", "gmc600": b"GMC-600Re 2.04"}
_COUNT_BYTES = {"gmc300": 2, "gmc500": 4, "gmc600": 4}
_HELD_MAX = 64


class Twin:
    """One counter on `line`.  `set` takes count_rate in counts a minute; None: it keeps silent."""

    def __init__(self, line: Line, *, model: str = "gmc300", second_s: float = 1.0) -> None:
        if model not in VERSIONS:
            raise ValueError(f"no model {model!r}, expected one of {', '.join(VERSIONS)}")
        self._line = line
        self.model = model
        self._second_s = second_s
        self._cpm: float | None = 20.0
        self.heartbeat = False
        self.commands: deque[bytes] = deque(maxlen=64)
        """The last whole commands."""

    def set(self, **values: float | None) -> None:
        """What the tube counts from now on.  ValueError: something else, or no finite number."""
        for name, value in values.items():
            if name != "count_rate":
                raise ValueError(f"this counter does not measure {name!r}, only count_rate")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
            self._cpm = value

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer(), name="geiger twin: answer")
            tasks.create_task(self._beat(), name="geiger twin: heartbeat")

    def count(self, per_minute: float) -> bytes:
        """A count as the model sends it."""
        size = _COUNT_BYTES[self.model]
        return min(max(round(per_minute), 0), (1 << 8 * size) - 1).to_bytes(size, "big")

    async def _answer(self) -> None:
        held = b""
        while True:
            held = (held + await self._line.read())[-_HELD_MAX:]
            while (end := held.find(b">>")) >= 0:
                command, held = held[: end + 2], held[end + 2 :]
                self.commands.append(command[command.rfind(b"<") :])
                await self._obey(self.commands[-1])

    async def _obey(self, command: bytes) -> None:
        match command:
            case b"<GETVER>>":
                await self._line.write(VERSIONS[self.model])
            case b"<GETCPM>>" if self._cpm is not None:
                await self._line.write(self.count(self._cpm))
            case b"<HEARTBEAT1>>":
                self.heartbeat = True
            case b"<HEARTBEAT0>>":
                self.heartbeat = False

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._second_s)
            if self.heartbeat and self._cpm is not None:
                await self._line.write(self.count(self._cpm / 60))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim geiger`."""
    parser.add_argument("--model", choices=list(VERSIONS), default="gmc300")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, model=options.model)
