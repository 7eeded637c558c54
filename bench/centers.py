"""What a center is in these measurements: a Mosquitto with room for everything, and
`mosquitto_sub`, which writes down each message with the time at which it came."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.rig import BenchError
from tests.mosquitto import Mosquitto

SESSION = "bench-center"
MARK = b'"seq":'
"""Each record has one."""
LOOK_S = 0.05
LIMITS = ["max_queued_messages 0", "max_inflight_messages 1000"]


class Arrival(msgspec.Struct, frozen=True):
    """A message of records as it came."""

    at: float
    """UTC, seconds."""
    payload: bytes


class Listener:
    """A subscriber to `topic`, with a session that its broker keeps while it is away."""

    def __init__(self, center: Mosquitto, topic: str, file: Path) -> None:
        """BenchError: Mosquitto's command-line clients are not installed."""
        self.records = 0
        """That have come so far."""
        program = shutil.which("mosquitto_sub")
        if program is None:
            raise BenchError("the bench needs mosquitto_sub (apt-get install mosquitto-clients)")
        self._command = [
            program, "-h", center.host, "-p", str(center.port), "-V", "5", "-c", "-x", "3600",
            "-i", SESSION, "-q", "1", "-t", topic,
        ]  # fmt: skip
        self._file = file
        self._read = 0
        self._tail = b""

    def subscribe(self) -> None:
        """Make the session, and leave."""
        subprocess.run([*self._command, "-E"], check=True, timeout=10)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """What comes is written down while the block lasts."""
        with self._file.open("wb") as output:
            process = subprocess.Popen([*self._command, "-F", "%U %p"], stdout=output)
            try:
                yield
            finally:
                process.terminate()
                process.wait(10)

    async def heard(self, records: int, timeout_s: float) -> None:
        """Until so many records have come.  BenchError: they have not."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._look() < records:  # noqa: ASYNC110 - another program writes
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise BenchError(
                f"after {timeout_s:g} s only {self.records} of {records} records have come"
            ) from error

    def _look(self) -> int:
        with self._file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        text = self._tail + new
        self.records += text.count(MARK)
        self._tail = text[-len(MARK) + 1 :]
        return self.records

    def arrivals(self) -> Iterator[Arrival]:
        """All that has come."""
        with self._file.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    at, _, payload = line.rstrip(b"\n").partition(b" ")
                    yield Arrival(float(at), payload)


def center(program: str, folder: Path) -> Mosquitto:
    """Not started yet; what it keeps for a subscriber that is away survives a stop."""
    folder.mkdir()
    broker = Mosquitto.in_folder(program, folder)
    add_lines(broker, [*LIMITS, "persistence true", f"persistence_location {folder}/"])
    return broker


def add_lines(broker: Mosquitto, lines: list[str]) -> None:
    """To its configuration, in place of what it says of the same."""
    names = {line.split()[0] for line in lines}
    kept = [line for line in broker.config.read_text().splitlines() if line.split()[0] not in names]
    broker.config.write_text("\n".join([*kept, *lines]) + "\n")
