"""What the measurements share: a broker, an instrument on a pty, the two programs, a subscriber."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
import tempfile
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec

from agent.mqtt import Broker, Message, connect
from tests.mosquitto import Mosquitto, find_mosquitto

ORG = "bench"
UNIT = "unit-01"
FLOOR_TOPIC = "bench/floor"
READINGS_TOPIC = f"outpost/v1/{ORG}/{UNIT}/readings"
FILTERS = [f"outpost/v1/{ORG}/{UNIT}/#", FLOOR_TOPIC]
"""A center takes all that a unit says: what nobody takes would be sent again and again."""

CONFIG = """
[unit]
id = "{unit}"
org = "{org}"
profile = "laptop"
[store]
dir = "{folder}/store"
shutdown_drain_s = 0.0
[log]
level = "warning"
{sources}
[media]
enabled = false
[[uplink]]
name = "center"
host = "127.0.0.1"
port = {broker_port}
tls = false
local = true
"""

MODULE = """
[[source]]
name = "{name}"
driver = "winsen"
module = "ze03"
gas = "co"
port = "{port}"
"""


def module(port: str, name: str = "gas") -> str:
    """A `[[source]]` table of the carbon monoxide module that `Gauge` plays."""
    return MODULE.format(name=name, port=port)


def configuration(folder: Path, broker_port: int, sources: str) -> str:
    """TOML of a unit with these `[[source]]` tables, its store in this folder."""
    return CONFIG.format(
        unit=UNIT, org=ORG, folder=folder, sources=sources, broker_port=broker_port
    )


class BenchError(RuntimeError):
    """Something that is measured did not happen; the text says what was waited for."""


class Gauge:
    """A carbon monoxide module on a pty: `play(counts)` writes one upload frame."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)

    def play(self, counts: int) -> None:
        """`counts` in tenths of a ppm, of a range of 1000 ppm."""
        body = bytes((0x04, 0x03, 0x01, *counts.to_bytes(2), *(10_000).to_bytes(2)))
        self.write(b"\xff" + body + bytes((-sum(body) & 0xFF,)))

    def write(self, data: bytes) -> None:
        """What another instrument would send."""
        os.write(self._master, data)

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class Rig(msgspec.Struct):
    """One broker and one folder for one measurement."""

    folder: Path
    mosquitto: Mosquitto

    def agent_command(self, device: str, name: str = "agent", sources: str = "") -> list[str]:
        """`outpost run` on a configuration with one gas module on this device, or with these
        `[[source]]` tables."""
        path = self.folder / f"{name}.toml"
        sources = sources or module(device)
        path.write_text(configuration(self.folder / name, self.mosquitto.port, sources))
        return [*OUTPOST, "run", "--config", str(path)]

    def floor_command(self, device: str) -> list[str]:
        return [
            sys.executable, "-m", "bench.floor",
            device, "127.0.0.1", str(self.mosquitto.port), FLOOR_TOPIC,
        ]  # fmt: skip


OUTPOST = [str(Path(sys.executable).parent / "outpost")]


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    """A Mosquitto in a folder of its own.  BenchError: it is not installed."""
    program = find_mosquitto()
    if program is None:
        raise BenchError("the bench needs mosquitto (apt-get install mosquitto)")
    with tempfile.TemporaryDirectory(prefix="outpost-bench-") as folder:
        broker = Mosquitto.in_folder(program, Path(folder))
        broker.start()
        try:
            yield Rig(folder=Path(folder), mosquitto=broker)
        finally:
            broker.stop()


@contextlib.contextmanager
def gauge() -> Iterator[Gauge]:
    instrument = Gauge()
    try:
        yield instrument
    finally:
        instrument.close()


@contextlib.contextmanager
def running(
    command: list[str], stop: signal.Signals = signal.SIGTERM, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program while the block lasts."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env
    )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.asynccontextmanager
async def subscribed(
    rig: Rig, filters: list[str], on_message: Callable[[Message], None]
) -> AsyncIterator[None]:
    """A plain subscriber beside the programs."""
    broker = Broker(host="127.0.0.1", port=rig.mosquitto.port)
    async with connect(broker, client_id="bench", on_message=on_message) as connection:
        await connection.subscribe(filters, qos=1)
        yield


async def first_of(event: asyncio.Event, what: str, timeout_s: float = 10.0) -> None:
    """Wait for it.  BenchError names what did not come."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError as error:
        raise BenchError(f"waited {timeout_s:g} s in vain for {what}") from error
