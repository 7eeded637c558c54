"""`make torture`: TORTURE_S seconds (180), TORTURE_SEED (random, printed).

TORTURE_RELAY=1: the agent is behind a vehicle that relays it, and that is tortured too.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.mosquitto import Mosquitto, find_mosquitto
from tests.torture.play import play
from tests.torture.unit import ordinary_agent


def main() -> int:
    program = find_mosquitto()
    if program is None:
        sys.stderr.write("mosquitto is not installed: apt-get install mosquitto\n")
        return 2
    seconds = float(os.environ.get("TORTURE_S", "180"))
    seed = int(os.environ.get("TORTURE_SEED", random.randrange(1_000_000)))
    sys.stdout.write(f"torture for {seconds:g} s, seed {seed} (TORTURE_SEED={seed} repeats it)\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="outpost-torture-") as name:
        broker = Mosquitto.in_folder(program, Path(name))
        broker.start()
        board = _board(program, Path(name)) if os.environ.get("TORTURE_RELAY") else None
        try:
            result = asyncio.run(
                play(Path(name), broker, ordinary_agent(), seconds=seconds, seed=seed, board=board)
            )
        finally:
            broker.stop()
            if board is not None:
                board.stop()
    played = ", ".join(f"{name} {count}" for name, count in sorted(result.faults.items()))
    sys.stdout.write(
        f"{result.starts} starts; faults: {played}; void {result.void}, "
        f"delivered again and removed {result.delivered_again}, slowest alarm "
        f"{result.slowest_ms:.1f} ms, exit {result.exit}\n"
        f"{result.line()}\n"
    )
    return 0 if result.ok else 1


def _board(program: str, folder: Path) -> Mosquitto:
    """The broker on board, running."""
    (folder / "board").mkdir()
    board = Mosquitto.in_folder(program, folder / "board")
    board.start()
    return board


if __name__ == "__main__":
    sys.exit(main())
