"""Whatever the media process does, readings and alarms go on as if it were not there."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import topics
from agent.broker import Broker
from agent.center.receiver import Receiver
from agent.mqtt import Connection, Message, connect
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import AgentProcess, agent
from tests.agent.rig import ROOT
from tests.mosquitto import Mosquitto
from tests.soak.figures import media_pid
from tests.waiting import until

pytest.importorskip("aiortc")
BOOT_S = 30.0
QUIET_S = 5.0
LATE_S = 1.0
"""A p99 that a busy machine keeps; the numbers beside it are printed."""


class Scene:
    """A unit with a gas cell and a camera, and a center that hears both."""

    def __init__(self, folder: Path, port: int, line: Line) -> None:
        self.folder = folder
        self.port = port
        self.cell = winsen.Twin(line, gas="cl2", period_s=0.1)
        self.line = line
        self.receiver = Receiver()
        self.ages_ms: list[float] = []
        """Of each reading of the cell: measured to heard by the center."""
        self.stills: list[float] = []
        self.unit: AgentProcess
        self.connection: Connection

    def tables(self, memory_mb: int) -> str:
        return (
            f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{self.line.link}"\ngas = "cl2"\n'
            f"[media]\nenabled = true\n[media.limits]\nmemory_mb = {memory_mb}\n"
            "heartbeat_s = 1.5\n"
            '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 180\nfps = 10\n'
            '[[camera]]\nname = "big"\nsource = "scene"\nwidth = 3840\nheight = 2160\nfps = 10\n'
            '[[camera]]\nname = "gone"\nsource = "v4l2:/dev/video-unplugged"\n'
            f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {self.port}\ntls = false\n'
        )

    def hear(self, message: Message) -> None:
        topic = topics.parse(message.topic)
        now = time.time()
        if topic.path[0] == "still" and topic.path[1] == "front":
            self.stills.append(now)
        elif topic.path[0] in ("readings", "alarms"):
            for record in self.receiver.feed(topic, message.payload):
                if record.body.get("source") == "gas":
                    self.ages_ms.append(1000 * now - record.t)

    async def watch(self, camera: str, lease_s: float = 600.0) -> None:
        args = {"camera": camera, "period_s": 0.5, "lease_s": lease_s}
        body: dict[str, Any] = {
            "id": f"{camera}{time.monotonic_ns()}", "by": "test", "mark": "exercise",
            "issued": time.time_ns() // 1_000_000, "args": args,
        }  # fmt: skip
        self.connection.publish(f"{ROOT}/cmd/video.start", msgspec.json.encode(body))

    async def media(self) -> dict[str, Any]:
        status = await self.unit.status()
        found: dict[str, Any] = status.get("media", {})
        return found

    def media_pid(self) -> int:
        assert self.unit.process is not None
        return media_pid(self.unit.process.pid)

    async def p99_ms(self, during: Any = None) -> float:
        """Of the readings in the next seconds, or until `during` is done."""
        before = len(self.ages_ms)
        if during is None:
            await until(lambda: len(self.ages_ms) >= before + 10 * QUIET_S, "readings come", 30)
        else:
            await during
        return statistics.quantiles(self.ages_ms[before:], n=100)[98]

    async def pictures_again(self) -> None:
        seen = len(self.stills)
        await until(lambda: len(self.stills) > seen + 2, "pictures are back", BOOT_S)


@asynccontextmanager
async def scene(folder: Path, mosquitto: Mosquitto, memory_mb: int) -> AsyncIterator[Scene]:
    async with Line(folder / "gas") as line:
        made = Scene(folder, mosquitto.port, line)
        made.cell.set(cl2=0.0)
        broker = Broker(host="127.0.0.1", port=mosquitto.port)
        playing = asyncio.create_task(made.cell.run())
        try:
            async with (
                agent(folder, made.tables(memory_mb)) as unit,
                connect(broker, client_id="test-center", on_message=made.hear) as connection,
            ):
                made.unit, made.connection = unit, connection
                await connection.subscribe([f"{ROOT}/#"])
                await unit.says("video: up")
                await made.watch("front")
                await made.pictures_again()
                yield made
        finally:
            playing.cancel()


async def test_kill_and_hang_and_an_absent_camera_cost_pictures_only(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with scene(tmp_path, mosquitto, 4096) as made:
        quiet_ms = await made.p99_ms()
        media = await made.media()
        states = {camera["name"]: camera["state"] for camera in media["cameras"]}
        assert (states["front"], states["gone"]) == ("live", "down")
        for number in (signal.SIGKILL, signal.SIGSTOP):
            began = time.monotonic()
            os.kill(made.media_pid(), number)
            p99_ms = await made.p99_ms(made.pictures_again())
            sys.stdout.write(
                f"{number.name}: reading to publish p99 {p99_ms:.0f} ms beside {quiet_ms:.0f} ms"
                f" quiet; pictures back after {time.monotonic() - began:.1f} s\n"
            )
            assert p99_ms < 1000 * LATE_S
        made.cell.set(cl2=5.0)
        os.kill(made.media_pid(), signal.SIGSTOP)
        await until(lambda: "gas/cl2/high" in made.unit.said, "the alarm is raised", 10)
        assert (await made.media())["restarts"] >= 2


async def test_a_process_that_takes_too_much_memory_is_ended_and_comes_back(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    for name in ("measured", "limited"):
        (tmp_path / name).mkdir()
    async with scene(tmp_path / "measured", mosquitto, 4096) as made:
        holds_mb = (await made.media())["rss_mb"]
    # A camera of 3840x2160 takes about 40 MB more.
    async with scene(tmp_path / "limited", mosquitto, holds_mb + 20) as made:
        quiet_ms = await made.p99_ms()
        await made.watch("big", 3.0)
        await made.unit.says("more than [media.limits] memory_mb")
        p99_ms = await made.p99_ms(made.pictures_again())
        sys.stdout.write(
            f"memory: p99 {p99_ms:.0f} ms beside {quiet_ms:.0f} ms quiet, {holds_mb} MB before\n"
        )
        assert p99_ms < 1000 * LATE_S
