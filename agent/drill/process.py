"""A child process in a session of its own: Ctrl-C in the terminal does not reach it.

It does not outlive the drill, however the drill ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2); kept across execve
_libc = ctypes.CDLL(None, use_errno=True)
TAIL_BYTES = 2000
OUTPUT_LIMIT = 1024 * 1024


def _die_with_parent() -> None:
    """Runs in the child between fork and exec."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


class Child:
    """One run of a program; its standard error goes to `log`."""

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, name: str, arguments: Sequence[str], log: Path, *, output: bool = False
    ) -> Child:
        """Run `python -m ARGUMENTS...`.  With `output` its standard output can be read by
        `read_output`, else it goes to the log too."""
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if output else sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                limit=OUTPUT_LIMIT,
            )  # fmt: skip
        return cls(name, log, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Until it has ended; its return code."""
        return await self._process.wait()

    async def read_output(self) -> bytes:
        """All that it says on standard output, when it has ended."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(OUTPUT_LIMIT)

    def terminate(self) -> None:
        """SIGTERM: it may end in order."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the process alone, as an out-of-memory killer does it."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self, timeout_s: float) -> int:
        """SIGTERM, wait, and SIGKILL to its whole session when it takes longer."""
        self.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.wait()
        # Also what it may have left behind in its session.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()

    def tail(self) -> str:
        """The last lines of its log, for a person."""
        try:
            text = self.log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")
        except OSError as error:
            return f"({self.log}: {error.strerror})"
        return "\n".join(text.strip().splitlines()[-12:]) or "(it said nothing)"
