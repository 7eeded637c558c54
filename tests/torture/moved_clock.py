"""The agent, with a wall clock that the torture can move: setting the machine's would hurt others,
and libfaketime spoils the monotonic clock as well.  Everything else is the ordinary agent."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent import __main__, clock

OFFSET_FILE = "TORTURE_CLOCK"

_system_ms = clock._system_ms


def moved_ms() -> int:
    """The system's UTC ms, and the offset that stands in the file, in seconds."""
    return _system_ms() + 1000 * int(Path(os.environ[OFFSET_FILE]).read_text() or "0")


def main() -> int:
    clock._system_ms = moved_ms
    return __main__.main()


if __name__ == "__main__":
    sys.exit(main())
