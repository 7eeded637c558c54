"""The unit under torture: a real agent process, its instrument on a pty, its folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.control import ask
from drivers.sim.line import Line
from tests.torture.moved_clock import OFFSET_FILE

ORG = "torture"
UNIT = "ex-t-01"
HZ = 40
START_S = 30.0
SWING_S = 6.0
"""The gas goes over its limits and back so often, so that there are alarms all the time."""

_HEAD = """
[unit]
id = "{unit}"
org = "{org}"
profile = "laptop"
mark = "exercise"
[store]
dir = "{store}"
shutdown_drain_s = 20.0
"""
_CONFIG = """
[[source]]
name = "gas1"
driver = "winsen"
port = "{port}"
gas = "cl2"
silent_s = 2.0
[[uplink]]
name = "center"
host = "127.0.0.1"
port = {link}
tls = false
keepalive_s = 4
"""


class Unit:
    """Started, killed and started again; `starts` counts."""

    def __init__(self, folder: Path, program: Sequence[str]) -> None:
        self.starts = 0
        self.exit: int | None = None
        self.store = folder / "store"
        self._config = folder / "agent.toml"
        self._clock = folder / "clock"
        self._clock.write_text("0")
        self._log = folder / "agent.log"
        self._line = Line(folder / "gas1")
        self._program = program
        self._process: asyncio.subprocess.Process | None = None

    def configure(self, link_port: int, *, straight: int = 0) -> None:
        """`straight`: the port of the way that it takes where nobody hands on what comes to the
        first; 0: none."""
        tables = _CONFIG.format(port=self._line.link, link=link_port)
        self.write(UNIT, tables + (f'hosts = ["127.0.0.1:{straight}"]\n' if straight else ""))

    def write(self, unit: str, tables: str) -> None:
        """The configuration: whose it is and where it keeps its records, and `tables`."""
        self._config.write_text(_HEAD.format(unit=unit, org=ORG, store=self.store) + tables)

    async def start(self, *, disk_full: bool = False) -> None:
        """`disk_full`: from its first moment on, until `free_disk`."""
        limit = ["prlimit", "--fsize=0:unlimited"] if disk_full else []
        environment = os.environ | {OFFSET_FILE: str(self._clock)}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *limit, *self._program, "run", "--config", str(self._config),
                stdout=log, stderr=log, env=environment,
            )  # fmt: skip
        self.starts += 1

    async def kill(self, *, disk_full: bool = False, away_s: float = 0.0) -> None:
        """kill -9, and started again at once, or after so long."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.sleep(away_s)
        await self.start(disk_full=disk_full)

    async def end(self, timeout_s: float = 40.0) -> None:
        """SIGTERM; the agent drains and says goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                self.exit = await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    def fill_disk(self) -> None:
        """No file of the agent may grow any more, as on a full disk."""
        self._limit(0)

    def free_disk(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        assert self._process is not None
        ended = self._process.returncode
        assert ended is None, f"the agent has ended by itself, with {ended}: {self.tail()}"
        hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def move_clock(self, seconds: int) -> None:
        """The unit's wall clock is off by so much from now on."""
        # Replaced whole, so that nobody reads half of it.
        new = self._clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._clock)

    async def feed(self) -> None:
        """Frames of a chlorine cell, until cancelled."""
        async with self._line:
            tick = 0
            while True:
                part = (tick / HZ) % SWING_S / SWING_S
                await self._line.write(_frame(round(30 * part)))
                tick += 1
                await asyncio.sleep(1 / HZ)

    async def runs(self) -> None:
        """Until it answers, and keeps what it makes."""
        async with asyncio.timeout(START_S):
            while True:
                assert self._process is not None
                ended = self._process.returncode
                assert ended is None, f"the agent has ended by itself, with {ended}: {self.tail()}"
                with contextlib.suppress(OSError):
                    answer = await ask(self.store, "status")
                    if not answer["store"]["trouble"]:
                        return
                await asyncio.sleep(0.05)

    async def pending(self) -> int:
        """Records that the broker has not acknowledged, those just being made left out."""
        try:
            answer = await ask(self.store, "status")
        except OSError:
            return 1
        up = answer["uplinks"]["center"]["state"] == "up"
        waiting = int(answer["pending"]["center"])
        return waiting if not up or waiting > HZ else 0

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    def remove(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)


def _frame(tenths: int) -> bytes:
    """Winsen's nine bytes, active upload: chlorine, ppm, one decimal, full scale 20.0."""
    body = bytes((0x31, 0x03, 0x01, tenths >> 8, tenths & 0xFF, 0, 200))
    return b"\xff" + body + bytes(((-sum(body)) & 0xFF,))


def ordinary_agent() -> list[str]:
    """The agent as it is, but for a clock that can be moved."""
    return [sys.executable, "-m", "tests.torture.moved_clock"]


def buggy_agent() -> list[str]:
    """One that settles before the broker has acknowledged."""
    return [sys.executable, "-m", "tests.torture.settles_early"]
