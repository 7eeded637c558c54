"""The mock panel's pins as text: a drill presses and watches them, a bench times them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator

from drivers.port import SerialPort, open_port

log = logging.getLogger(__name__)

_EDGES_MAX = 256
_LINE_MAX = 64
_REOPEN_S = 1.0
_FLUSH_S = 0.2


class EdgeFile:
    """Each edge of an output as a line `PIN=LEVEL NANOSECONDS` (CLOCK_MONOTONIC), appended in the
    turn in which it happens: what has been written outlives the process, however it ends."""

    def __init__(self, path: str) -> None:
        """OSError: it cannot be opened."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, pin: int, level: int) -> None:
        os.write(self._file, b"%d=%d %d\n" % (pin, level, time.monotonic_ns()))

    def close(self) -> None:
        os.close(self._file)


class Wire:
    """The mock panel's pins as text on a pseudo-terminal."""

    def __init__(
        self,
        device: str,
        press: Callable[[int, int], bool],
        levels: Callable[[], Iterator[tuple[int, int]]],
    ) -> None:
        self._device = device
        self._press = press
        self._levels = levels
        self._port: SerialPort | None = None
        # Ceiling: a drill that does not read its panel loses the oldest edges, not the agent.
        self._edges: deque[tuple[int, int]] = deque(maxlen=_EDGES_MAX)
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """OSError, a sentence: it cannot be opened."""
        try:
            self._port = open_port(self._device)
        except OSError as error:
            raise OSError(f"panel: wire: {error}") from error

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"panel wire {self._device}")

    def send(self, pin: int, level: int) -> None:
        self._edges.append((pin, level))
        self._idle.clear()
        self._news.set()

    async def close(self) -> None:
        """Give the last edges a moment to leave, then let go."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _FLUSH_S)
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._port is not None:
            self._port.close()

    async def _run(self) -> None:
        while True:
            try:
                if self._port is None:
                    self._port = open_port(self._device)
                for pin, level in self._levels():
                    self.send(pin, level)
                await self._serve(self._port)
            except OSError as error:
                if self._port is not None:
                    log.warning("panel: wire: %s; trying again", error)
                    self._port.close()
                    self._port = None
            await asyncio.sleep(_REOPEN_S)

    async def _serve(self, port: SerialPort) -> None:
        """Both ways, until the wire is lost: OSError."""
        tasks = {
            asyncio.create_task(self._read(port), name="panel wire: read"),
            asyncio.create_task(self._write(port), name="panel wire: write"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, port: SerialPort) -> None:
        held = b""
        while True:
            *lines, held = (held + await port.read()).split(b"\n")
            for line in lines:
                self._take(line.strip()[:_LINE_MAX])
            held = held[-_LINE_MAX:]

    def _take(self, line: bytes) -> None:
        pin, _, level = line.partition(b"=")
        known = pin.isdigit() and level in (b"0", b"1") and self._press(int(pin), int(level))
        if line and not known:
            log.warning(
                "panel: wire: expected PIN=0 or PIN=1 of an input pin, read %r",
                line.decode("ascii", "replace"),
            )

    async def _write(self, port: SerialPort) -> None:
        while True:
            while self._edges:
                pin, level = self._edges.popleft()
                await port.write(b"%d=%d\n" % (pin, level))
            self._idle.set()
            self._news.clear()
            await self._news.wait()
