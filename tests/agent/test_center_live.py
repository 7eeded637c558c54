"""docs/center.py with a live unit: one that compresses and thins, and a broker that is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.store import Store
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import agent
from tests.agent.relay_rig import uplink
from tests.mosquitto import Mosquitto
from tests.waiting import until

SCRIPT = Path(__file__).parents[2] / "docs" / "center.py"


class Script:
    """What it prints."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.errors = ""

    async def read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.lines.append(msgspec.json.decode(line))

    async def read_errors(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.errors += line.decode()

    def numbers(self) -> list[tuple[str, int]]:
        return [(line["epoch"], line["seq"]) for line in self.lines if "seq" in line]

    def rolled(self) -> set[tuple[str, int]]:
        return {
            (line["epoch"], seq)
            for line in self.lines if "rolled" in line
            for first, last in line["ranges"] for seq in range(first, last + 1)
        }  # fmt: skip


async def test_it_follows_a_unit_on_a_narrow_link_over_a_broken_broker(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    said = Script()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "127.0.0.1", str(mosquitto.port), "hubei", "--exercise",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        asyncio.create_task(said.read(process.stdout)),
        asyncio.create_task(said.read_errors(process.stderr)),
    ]
    try:
        async with Line(tmp_path / "gas") as line:
            cell = winsen.Twin(line, gas="cl2", period_s=0.05)
            cell.set(cl2=0.2)
            playing = asyncio.create_task(cell.run())
            tables = (
                f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{line.link}"\ngas = "cl2"\n'
                + uplink("center", mosquitto.port, 'compress = "zstd"', "rate_kbit_s = 16.0")
            )
            async with agent(tmp_path / "unit", tables) as unit:
                await until(lambda: len(said.rolled()) > 50, "readings are thinned", 60)
                mosquitto.kill()
                await until(lambda: "again in a second" in said.errors, "the script is alone", 20)
                before = len(said.lines)
                mosquitto.start()
                await until(lambda: len(said.lines) > before + 3, "it is back", 60)
                playing.cancel()
                # Nothing new comes, so that the readings themselves have room.
                last = 0

                async def caught_up() -> bool:
                    status = await unit.status()
                    return bool(status) and status["pending"]["center"] == 0

                async with asyncio.timeout(60):
                    while not await caught_up():  # noqa: ASYNC110 - another process
                        await asyncio.sleep(0.1)
                assert await unit.stop() == 0
                async with Store.open(unit.store) as store:
                    (epoch,) = store.epochs.values()
                    last = epoch.last
            want = {(epoch.name, seq) for seq in range(1, last + 1)}
            await until(lambda: want <= set(said.numbers()), "every number has come", 30)
            assert len(said.numbers()) == len(set(said.numbers())), "each once"
            assert said.rolled() <= want
    finally:
        process.kill()
        await process.wait()
        await asyncio.gather(*readers)
    assert "Traceback" not in said.errors, said.errors
