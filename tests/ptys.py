"""A raw pseudo-terminal, for tests and measurements."""

from __future__ import annotations

import contextlib
import os
import tty
from collections.abc import Iterator


@contextlib.contextmanager
def raw_pty() -> Iterator[tuple[int, str]]:
    """The master's descriptor (non-blocking), and the slave's path."""
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)
