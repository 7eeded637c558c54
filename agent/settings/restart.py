"""The orderly end of a run, and the start anew in the same process."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import NoReturn


class Stop(asyncio.Event):
    """Set when a run is to end: for good by a signal, or to start again.  A signal always wins."""

    def __init__(self) -> None:
        super().__init__()
        self.again = False
        self._signalled = False

    def for_good(self) -> None:
        self._signalled, self.again = True, False
        self.set()

    def restart(self) -> None:
        self.again = not self._signalled
        self.set()


def start_anew() -> NoReturn:
    """The same command in place of this process: it needs no systemd, and systemd sees no end."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
