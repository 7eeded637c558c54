"""`make soak`: SOAK_S seconds (1800).  A whole agent, a viewer more each 10 s, each for 18 s."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.media import loopback
from tests.agent.agent_process import AgentProcess
from tests.mosquitto import Mosquitto, find_mosquitto
from tests.soak.figures import HEAD, Sample, Verdict, judge, media_pid, sample
from tests.soak.viewers import Center, center

EACH_S = 10.0
LOOK_S = 2.0
TABLES = """[media]
enabled = true
[media.voice]
microphone = "tone:600"
speaker = "file:{folder}/heard.wav"
open_microphone = true
[[camera]]
name = "front"
source = "scene"
width = 640
height = 360
fps = 15
[[uplink]]
name = "center"
host = "127.0.0.1"
port = {port}
tls = false
verbs = ["video.start", "video.stop", "talk"]
"""


class Result(msgspec.Struct, frozen=True):
    verdicts: list[Verdict]
    watched: int
    frames: int
    sounds: int
    failed: list[str]

    @property
    def good(self) -> bool:
        """Nothing grows, and they have seen and heard something."""
        seen = self.watched > 0 and self.frames > 0 and self.sounds > 0
        return seen and not self.failed and not any(one.grows for one in self.verdicts)

    def table(self) -> str:
        lines = [HEAD, *(one.line() for one in self.verdicts)]
        lines.append(
            f"{self.watched} viewers came and went; {self.frames} pictures, {self.sounds} blocks "
            f"of sound; failed: {', '.join(self.failed) or 'none'}"
        )
        return "\n".join(lines)


def _errors(said: str) -> Iterator[str]:
    """Lines of a log that tell of one, each with the places of its traceback."""
    places: list[str] = []
    for line in said.splitlines():
        if line.lstrip().startswith("File "):
            places.append(line.strip())
        elif "Error" in line or "ERROR" in line:
            yield " < ".join([line, *reversed(places)])
            places.clear()


async def soak(folder: Path, port: int, seconds: float) -> Result:
    """What its log says of errors counts as failed, and keeps no figure back."""
    loopback.install()
    samples: dict[str, list[Sample]] = {"core": [], "media": []}
    unit = AgentProcess(folder, TABLES.format(folder=folder, port=port))
    unit.start()
    try:
        async with center(port) as made:
            await unit.says("video: up")
            assert unit.process is not None
            core = unit.process.pid
            media = media_pid(core)
            coming = asyncio.create_task(_come_and_go(made))
            began = time.monotonic()
            try:
                while (at_s := time.monotonic() - began) < seconds:
                    samples["core"].append(sample(core, at_s))
                    samples["media"].append(sample(media, at_s))
                    await asyncio.sleep(LOOK_S)
            finally:
                coming.cancel()
                await asyncio.wait([coming])
            stayed = media_pid(core) == media
            await unit.stop()
        if not stayed:
            made.failed.append("the media process went away by itself")
        made.failed += list(_errors(unit.said))
    finally:
        if unit.process is not None:
            await unit.kill()
    verdicts = [one for name, list_ in samples.items() for one in judge(name, list_)]
    return Result(verdicts, made.watched, made.frames, made.sounds, made.failed)


async def _come_and_go(made: Center) -> None:
    async with asyncio.TaskGroup() as group:
        number = 0
        while True:
            group.create_task(made.watch(number), name=f"viewer {number}")
            number += 1
            await asyncio.sleep(EACH_S)


def main() -> int:
    program = find_mosquitto()
    if program is None:
        sys.stderr.write("mosquitto is not installed: apt-get install mosquitto\n")
        return 2
    seconds = float(os.environ.get("SOAK_S", "1800"))
    sys.stdout.write(f"soak for {seconds:g} s: a viewer more each {EACH_S:g} s\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="outpost-soak-") as name:
        broker = Mosquitto.in_folder(program, Path(name))
        broker.start()
        try:
            result = asyncio.run(soak(Path(name), broker.port, seconds))
        finally:
            broker.stop()
    sys.stdout.write(result.table() + "\n")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
