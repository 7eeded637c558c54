"""A whole agent as it runs in the field: `python -m agent run`, its files, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent import control
from tests.waiting import until

ROOT = Path(__file__).parents[2]
START_S = 20.0
END_S = 10.0
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Without what lets root write and read where the mode says that nobody may."""


class AgentProcess:
    """One unit; started as often as wanted, on the same configuration and store."""

    def __init__(
        self, folder: Path, tables: str, *, unit: str = "ex-cv-01", mark: str = "exercise"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "agent.toml"
        self.store = folder / "state"
        self.log = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self.unprivileged = False
        self.write(tables, unit, mark)

    def write(self, tables: str, unit: str = "ex-cv-01", mark: str = "exercise") -> None:
        """The configuration: identity, store and no video, and `tables`."""
        head = (
            f'[unit]\nid = "{unit}"\norg = "hubei"\nprofile = "vehicle"\nmark = "{mark}"\n'
            f'[store]\ndir = "{self.store}"\n'
        )
        media = "" if "[media]" in tables else "[media]\nenabled = false\n"
        self.config.write_text(head + media + tables, encoding="utf-8")

    def start(self) -> None:
        command = [sys.executable, "-X", "dev", "-m", "agent", "run", "--config", str(self.config)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | self.environment
        if self.unprivileged and os.geteuid() == 0:
            command = [*UNPRIVILEGED, *command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    async def status(self) -> dict[str, Any]:
        """What the control socket says; empty while it does not listen."""
        with contextlib.suppress(OSError):
            return await control.ask(self.store, "status")
        return {}

    async def says(self, text: str) -> None:
        """Until its log holds `text`."""
        await until(lambda: text in self.said, f"the log says {text!r}", START_S)

    async def ends(self) -> int:
        """Its exit status."""
        process = self.process
        assert process is not None
        await until(lambda: process.poll() is not None, "the agent ends", START_S)
        self.process = None
        status: int = process.returncode
        return status

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await self.ends()

    async def kill(self) -> None:
        """kill -9."""
        assert await self.stop(signal.SIGKILL) == -signal.SIGKILL

    def is_alone(self) -> bool:
        """Nothing of its session is left."""
        assert self.process is not None
        return not _session(self.process.pid)


def _session(number: int) -> list[str]:
    """Processes of a session, but for zombies that only wait to be reaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, *rest = path.read_text().rsplit(")", 1)[1].split()
            if rest[2] == str(number) and state != "Z":
                found.append(path.parent.name)
    return found


@contextlib.asynccontextmanager
async def agent(
    folder: Path, tables: str, *, unprivileged: bool = False, **options: Any
) -> AsyncIterator[AgentProcess]:
    """Started; killed at the end where a test has not ended it.  No trace may be in its log."""
    made = AgentProcess(folder, tables, **options)
    made.unprivileged = unprivileged
    made.start()
    try:
        yield made
    finally:
        process = made.process
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)
    assert "Traceback" not in made.said, made.said
    assert "Warning" not in made.said, made.said
