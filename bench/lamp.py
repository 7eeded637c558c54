"""Frame on the pty to lamp: with video being encoded and watched, the disk stalled, and no network.

The panel is the mock one; it appends each edge of an output to a file, with CLOCK_MONOTONIC, in the
turn in which it happens.  The disk is stalled by bench/stall.c: no fdatasync returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench.figure import Figure, figure, percentile
from bench.rig import OUTPOST, BenchError, Gauge, gauge, module, running
from tests.mosquitto import find_free_port
from tests.ptys import raw_pty

ALARMS = 200
WARM_UP = 5
LAMP, BUZZER, ACK = 22, 23, 27
HIGH, CLEAN = 5000, 0
"""Tenths of a ppm of carbon monoxide."""
QUIET_S = 0.3
"""No output has changed for so long: no pattern that sounds is on."""
PATIENCE_S = 10.0
STALL_C = Path(__file__).with_name("stall.c")
CONFIG = """
[unit]
id = "bench-01"
org = "bench"
profile = "monitor"
[store]
dir = "{folder}/store"
shutdown_drain_s = 0.0
[log]
level = "error"
{gas}silent_s = 300.0
[alarms]
limits = "responder"
[panel]
factory = "mock"
wire = "{wire}"
record = "{folder}/edges"
ack_pin = 27
lamp_pin = 22
buzzer_pin = 23
[[camera]]
name = "front"
source = "scene"
width = 1280
height = 720
fps = 30
[media.whep]
port = {whep}
[[uplink]]
name = "center"
# TEST-NET-1 (RFC 5737): nobody is there.
host = "192.0.2.1"
port = 8883
"""


class Unit:
    """One agent, what it reads, what it lights."""

    def __init__(self, edges: Path, instrument: Gauge, buttons: int = -1) -> None:
        self._edges = edges
        self._instrument = instrument
        self._buttons = buttons

    def edges(self) -> list[tuple[int, int, int]]:
        """(pin, level, monotonic ns) of each so far; a line that is being written is none yet."""
        found: list[tuple[int, int, int]] = []
        if not self._edges.exists():
            return found
        for line in self._edges.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                edge, at = line.split()
                pin, level = edge.split("=")
                found.append((int(pin), int(level), int(at)))
        return found

    async def quiet(self) -> None:
        """No alarm stands that nobody has acknowledged."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for _ in range(3):
                self._instrument.play(CLEAN)
                await asyncio.sleep(0.02)
            for level in (b"0", b"1"):
                os.write(self._buttons, b"%d=%b\n" % (ACK, level))
                await asyncio.sleep(0.05)
            before = len(self.edges())
            await asyncio.sleep(QUIET_S)
            edges = self.edges()
            if len(edges) == before and _level(edges, BUZZER) == 0:
                return
        raise BenchError("the lamp does not come to rest")

    async def alarm_ms(self) -> float:
        """From one frame above the limit to the first output that goes on."""
        known = len(self.edges())
        start = time.monotonic_ns()
        self._instrument.play(HIGH)
        return await self.first_ms(known, start)

    async def first_ms(self, known: int, start: int) -> float:
        """From `start` to the first output that goes on after the first `known` edges."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            on = [at for _, level, at in self.edges()[known:] if level == 1 and at >= start]
            if on:
                return (on[0] - start) / 1e6
            await asyncio.sleep(0.005)
        raise BenchError(f"a frame leaves no trace in {self._edges.name}")


def _level(edges: list[tuple[int, int, int]], pin: int) -> int:
    return next((level for its, level, _ in reversed(edges) if its == pin), 0)


def shim(folder: Path) -> Path:
    """The library that stalls the disk.  BenchError: there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchError("stalling the disk needs a C compiler (apt-get install gcc libc6-dev)")
    made = folder / "stall.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(STALL_C), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{STALL_C.name} cannot be compiled: {done.stderr}")
    return made


@contextlib.asynccontextmanager
async def _swallowed(master: int) -> AsyncIterator[None]:
    """What the panel tells is read, so that its line never fills."""

    def swallow() -> None:
        with contextlib.suppress(OSError):
            os.read(master, 65536)

    loop = asyncio.get_running_loop()
    loop.add_reader(master, swallow)
    try:
        yield
    finally:
        loop.remove_reader(master)


async def delays(
    alarms: int = ALARMS, *, stalled: bool = True, video: bool = True
) -> tuple[list[float], list[float]]:
    """Milliseconds of each alarm, and of the floor in turn with it."""
    dice = random.Random(5)
    with (
        tempfile.TemporaryDirectory(prefix="outpost-lamp-") as name,
        gauge() as instrument,
        gauge() as other,
    ):
        folder, whep = Path(name), find_free_port()
        environment = os.environ | {
            "LD_PRELOAD": str(shim(folder)), "STALL_FILE": str(folder / "stalled"),
        }  # fmt: skip
        with raw_pty() as (master, device):
            gas = module(instrument.device)
            text = CONFIG.format(folder=folder, gas=gas, wire=device, whep=whep)
            config = folder / "agent.toml"
            config.write_text(text if video else f"{text}[media]\nenabled = false\n")
            command = [*OUTPOST, "run", "--config", str(config)]
            with running(command, env=environment), contextlib.ExitStack() as stack:
                async with _swallowed(master):
                    unit = Unit(folder / "edges", instrument, master)
                    floor = Unit(folder / "floor", other)
                    stack.enter_context(
                        running(
                            [
                                sys.executable,
                                "-m",
                                "bench.lamp_floor",
                                other.device,
                                str(folder / "floor"),
                            ]
                        )
                    )
                    await _wake(folder, instrument)
                    if video:
                        await _listens(whep)
                        url = f"http://127.0.0.1:{whep}/whep/front"
                        # It stands for another machine.
                        watch = [
                            "nice",
                            "-n",
                            "19",
                            sys.executable,
                            "-m",
                            "agent.media.viewer",
                            "--whep",
                            url,
                        ]
                        viewer = stack.enter_context(running([*watch, "--seconds", "3600"]))
                        await asyncio.sleep(5.0)
                        if viewer.poll() is not None:
                            raise BenchError("the viewer of the video has ended")
                    if stalled:
                        (folder / "stalled").touch()
                    found, least = [], []
                    try:
                        for _ in range(WARM_UP + alarms):
                            await unit.quiet()
                            await asyncio.sleep(dice.uniform(0.0, 0.1))
                            found.append(await unit.alarm_ms())
                            await asyncio.sleep(dice.uniform(0.0, 0.1))
                            least.append(await floor.alarm_ms())
                    finally:
                        (folder / "stalled").unlink(missing_ok=True)
    return found[WARM_UP:], least[WARM_UP:]


async def _wake(folder: Path, instrument: Gauge) -> None:
    """Until it reads its instrument: the first alarm lights the lamp."""
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        instrument.play(HIGH)
        await asyncio.sleep(0.1)
        if (folder / "edges").exists() and b"=1 " in (folder / "edges").read_bytes():
            return
    raise BenchError("the agent does not light its lamp")


async def _listens(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.1)
    raise BenchError("the agent serves no video")


async def measure() -> list[Figure]:
    found, least = await delays()
    note = (
        f"{ALARMS} alarms, aim: 5 ms; 720p30 encoded and watched, no fdatasync returns, no network;"
        " other: bench/lamp_floor.py"
    )
    return [
        figure(
            f"frame on the pty to lamp p{percent}", percentile(found, percent),
            percentile(least, percent), "ms", note,
        )
        for percent in (50, 99)
    ]  # fmt: skip
