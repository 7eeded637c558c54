"""A small systemd for a test: NOTIFY_SOCKET, a watchdog, and a new start whenever the agent ends.

The agent is the real one; only its interpreter is told to take SIGUSR2 as an order to stand still,
which is how a test wedges the loop of a process that is not its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.agent.agent_process import ROOT
from tests.waiting import until

WEDGE = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGUSR2, lambda *_: time.sleep(3600))\n"
    "from agent.__main__ import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


class Edge(NamedTuple):
    """A line of the panel's record."""

    pin: int
    level: int
    at_s: float
    """CLOCK_MONOTONIC."""


def edges(path: Path) -> list[Edge]:
    """All that the panel has recorded, over all processes."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        what, at = line.split()
        pin, level = what.split("=")
        found.append(Edge(int(pin), int(level), int(at) / 1e9))
    return found


class Supervised:
    """The life of one unit."""

    def __init__(self, config: Path, watchdog_s: float, log: Path) -> None:
        self.starts: list[float] = []
        """Monotonic seconds at which the program was executed."""
        self.ends: list[tuple[float, int]] = []
        """When it ended, and how."""
        self.ready = 0
        self.fed = 0
        self.process: asyncio.subprocess.Process | None = None
        self._command: Sequence[str] = (
            sys.executable, "-c", WEDGE, "run", "--config", str(config),
        )  # fmt: skip
        self._watchdog_s = watchdog_s
        self._log = log
        self._socket = log.with_suffix(".notify")

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(self._socket))
            channel.setblocking(False)
            environment = os.environ | {
                "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(self._socket),
                "WATCHDOG_USEC": str(int(self._watchdog_s * 1e6)),
            }  # fmt: skip
            while True:
                with self._log.open("ab") as log:
                    self.starts.append(time.monotonic())
                    self.process = await asyncio.create_subprocess_exec(
                        *self._command, stdout=log, stderr=log, env=environment,
                        start_new_session=True,
                    )  # fmt: skip
                ended = asyncio.ensure_future(self.process.wait())
                try:
                    await self._watch(loop, channel, ended)
                    self.ends.append((time.monotonic(), await ended))
                finally:
                    ended.cancel()

    async def _watch(
        self, loop: asyncio.AbstractEventLoop, channel: socket.socket, ended: asyncio.Future[int]
    ) -> None:
        """Until it has ended; a watchdog that is not fed ends it, as systemd does, by SIGABRT."""
        assert self.process is not None
        ready = False
        while not ended.done():
            word = asyncio.ensure_future(loop.sock_recv(channel, 4096))
            patience_s = self._watchdog_s if ready else 60.0
            watched: list[asyncio.Future[Any]] = [word, ended]
            await asyncio.wait(watched, timeout=patience_s, return_when="FIRST_COMPLETED")
            if word.done():
                said = word.result().split(b"\n")
                self.fed += b"WATCHDOG=1" in said
                self.ready += b"READY=1" in said
                ready = ready or b"READY=1" in said
                continue
            word.cancel()
            if not ended.done():
                self.process.send_signal(signal.SIGABRT)
                await ended

    async def is_ready(self, count: int) -> None:
        """Until it has been ready so often."""
        await until(lambda: self.ready == count, f"it is ready, start {count}", 30)

    async def is_started(self, count: int) -> float:
        """Until it has been started so often; when."""
        await until(lambda: len(self.starts) == count, f"start {count}", 30)
        return self.starts[-1]

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextlib.asynccontextmanager
async def supervised(config: Path, watchdog_s: float = 30.0) -> AsyncIterator[Supervised]:
    made = Supervised(config, watchdog_s, config.with_suffix(".log"))
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        process = made.process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
