"""Sources that are lost, found again, and broken."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent import config
from agent.settings.toml import Document
from agent.supervise import Source
from drivers import Counters, Emit, Fix, Port, Sample
from drivers.port import open_port
from drivers.sim import winsen
from drivers.sim.line import Fault, Line
from tests.waiting import until

PROMISED_S = 2.0
"""A re-plugged adapter is read again within this time of reappearing."""


class Watched:
    """A source, and all that it told."""

    def __init__(self, port: Path) -> None:
        text = (
            '[unit]\nid = "u"\norg = "o"\nprofile = "soldier"\n'
            f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{port}"\ngas = "cl2"\n'
            'place = "chest"\nserial = "7"\n'
        )
        (settings,) = config.parse(Document("x.toml", text)).sources
        self.samples: list[Sample | Fix] = []
        self.told: list[tuple[str, str]] = []
        self.source = Source(settings, self._emit, self._changed)

    def _emit(self, name: str, sample: Sample | Fix) -> None:
        assert name == "gas"
        self.samples.append(sample)

    def _changed(self, source: Source) -> None:
        self.told.append((source.state, source.detail))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.source.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def cell(link: Path) -> AsyncIterator[Line]:
    """A chlorine cell that plays on `link`."""
    async with Line(link) as line:
        twin = winsen.Twin(line, gas="cl2", period_s=0.05)
        playing = asyncio.create_task(twin.run())
        try:
            yield line
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


async def test_absent_at_the_start_and_taken_up_when_it_appears(tmp_path: Path) -> None:
    link = tmp_path / "line"
    watched = Watched(link)
    async with watched.running():
        await until(lambda: watched.source.state == "down", "its absence is told")
        sentence = f"cannot open {link}: no such device; is it plugged in, and is this its name?"
        # One sentence, however often it is tried.
        assert watched.told == [("down", sentence)]
        assert watched.source.status().detail == sentence
        async with cell(link):
            await until(lambda: watched.source.state == "up", "it is taken up", PROMISED_S + 1)
            assert watched.told[1:] == [("up", "")]
            assert watched.source.counters()["frames"] >= 1


async def test_pulled_out_and_put_back_under_the_same_name(tmp_path: Path) -> None:
    async with cell(tmp_path / "line") as line:
        watched = Watched(tmp_path / "line")
        async with watched.running():
            await until(lambda: len(watched.samples) > 1, "it reads")
            for _ in range(2):
                line.inject(Fault.UNPLUG)
                await until(lambda: watched.source.state == "down", "the loss is told")
                assert "device lost: the line was hung up" in watched.told[-1][1] or (
                    "no such device" in watched.told[-1][1]
                )
                line.inject(Fault.REPLUG)
                back = time.monotonic()
                await until(lambda: watched.source.state == "up", "it is back")
                assert time.monotonic() - back < PROMISED_S
    status = watched.source.status()
    assert (status.name, status.driver, status.place, status.serial) == (
        "gas", "winsen", "chest", "7",
    )  # fmt: skip


async def test_a_line_that_another_program_holds(tmp_path: Path) -> None:
    link = tmp_path / "line"
    async with cell(link):
        watched = Watched(link)
        async with watched.running():
            async with open_port(str(link)):
                await until(lambda: watched.source.state == "down", "it is told")
                assert watched.told == [("down", f"cannot open {link}: in use by another program")]
            await until(lambda: watched.source.state == "up", "it is taken up when free")


class Broken:
    """A driver with a mistake: it fails at the first bytes, the first `times` times."""

    def __init__(self, error: BaseException, times: int) -> None:
        self.counters = Counters()
        self.left = times
        self._error = error

    async def run(self, port: Port, emit: Emit) -> None:
        await port.read()
        if self.left:
            self.left -= 1
            raise self._error
        emit(Sample(quantity="cl2", value=0.0, unit="ppm", at=time.monotonic()))
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no number"), "the driver failed: ValueError: no number"),
        (IndexError("index out of range"), "the driver failed: IndexError: index out of range"),
        (ZeroDivisionError("by zero"), "the driver failed: ZeroDivisionError: by zero"),
        (TypeError("None"), "the driver failed: TypeError: None"),
        (OSError("device lost: gone"), "device lost: gone"),
        (TimeoutError("no answer"), "no answer"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_driver_that_fails_is_started_anew(
    tmp_path: Path, error: BaseException, words: str
) -> None:
    async with cell(tmp_path / "line"):
        watched = Watched(tmp_path / "line")
        watched.source.driver = Broken(error, times=2)
        async with watched.running():
            await until(lambda: watched.source.state == "up", "it reads at last")
            assert watched.told == [("down", words), ("up", "")]


async def test_what_fails_in_the_core_ends_it(tmp_path: Path) -> None:
    """An alarm engine with a mistake must not look like a broken instrument."""
    async with cell(tmp_path / "line"):
        watched = Watched(tmp_path / "line")

        def emit(_name: str, _sample: Sample | Fix) -> None:
            raise LookupError("in the core")

        watched.source._emit = emit
        with pytest.raises(LookupError, match="in the core"):
            async with asyncio.timeout(10):
                await watched.source.run()


async def test_a_driver_that_ends_is_started_anew(tmp_path: Path) -> None:
    class Ending(Broken):
        async def run(self, port: Port, emit: Emit) -> None:
            await port.read()

    async with cell(tmp_path / "line"):
        watched = Watched(tmp_path / "line")
        watched.source.driver = Ending(ValueError(), 0)
        async with watched.running():
            await until(lambda: watched.told == [("down", "the driver ended")], "it is told")


async def test_cancelling_gives_the_line_back(tmp_path: Path) -> None:
    link = tmp_path / "line"
    async with cell(link):
        watched = Watched(link)
        async with watched.running():
            await until(lambda: watched.source.state == "up", "it reads")
        async with open_port(str(link)) as port:
            assert await asyncio.wait_for(port.read(), 5)
