"""`python -m drivers.sim` as a technician uses it: a process, a link, typed lines."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.sim import modbus, nmea, panel, winsen
from drivers.sim.__main__ import Twin, build, obey, parser, registered
from drivers.sim.line import Line
from tests.drivers.sim.client import client, receive
from tests.waiting import until

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def playing(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, running in the checkout; killed where a test has not ended it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "drivers.sim", *arguments,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_twin_is_played_until_it_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    link = tmp_path / "gas"
    async with playing("winsen", "--link", str(link), "--gas", "cl2") as process:
        assert process.stdout
        assert process.stdin
        assert process.stderr
        assert await process.stdout.readline() == f"winsen on {link}\n".encode()
        process.stdin.write(b"cl2=1.2\nnonsense\n")
        assert (await process.stderr.readline()).startswith(b"'nonsense' is not understood")
        with client(link) as fd:
            received = b""
            while winsen.frame(0x31, 3, 1, 0, 12, 0, 200) not in received:
                received += await receive(fd, 1)
        process.stdin.write(b"unplug\n")
        await until(lambda: not link.is_symlink(), "the link is gone")
        process.stdin.write(b"replug\n")
        await until(link.is_symlink, "the link is back")
        process.send_signal(number)
        assert await process.wait() == 0
        assert await process.stderr.read() == b""
        assert not link.is_symlink()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["winsen", "--link", "{link}", "--gas", "xe"], "ze03 has no cell for 'xe'"),
        (["modbus", "--link", "{link}", "--address", "1", "2"], "gases are ['co'], expected 2"),
        (["nmea", "--link", "{link}/absent/port"], "no such folder, needed for the line's link"),
        (["laser", "--link", "{link}"], "invalid choice: 'laser'"),
    ],
)
async def test_what_cannot_be_played_ends_with_a_sentence(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    link = str(tmp_path / "port")
    async with playing(*(argument.replace("{link}", link) for argument in arguments)) as process:
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert sentence in errors.decode()
        assert "Traceback" not in errors.decode()


async def test_typed_lines(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        head, receiver, buttons = modbus.Twin(line), nmea.Twin(line), panel.Twin(line)
        tasks: list[asyncio.Task[None]] = []

        def typed(text: str, twin: Twin) -> None:
            obey(text, line, twin, lambda work: tasks.append(asyncio.create_task(work)))

        typed("state co warmup\n", head)
        slave = head.slaves[1]
        assert isinstance(slave, modbus.GasSlave)
        assert slave.state is modbus.State.WARMUP
        typed("lat=30.6 lon=114.3 track=none\n", receiver)
        assert (receiver.state.lat, receiver.state.lon) == (30.6, 114.3)
        typed("\n", receiver)
        typed("silence\n", receiver)
        assert line.silent
        typed("restore", receiver)
        with client(line.link) as fd:
            typed("press 17 0.01", buttons)
            await asyncio.gather(*tasks)
            assert await receive(fd, 10) == b"17=0\n17=1\n"
            typed("cut_frame 2", head)
            await line.write(b"abcd")
            assert await receive(fd, 2) == b"ab"
        for text, twin, sentence in (
            ("state co happy", head, "no state 'happy', expected one of warmup, normal"),
            ("lat=north", receiver, "lat=north: expected a number or none behind the ="),
            ("press 99", buttons, "pin is 99, expected 0 to 53"),
            ("press 17 3", head, "'press 17 3' is not understood, expected a fault"),
            ("so2=1", head, "does not measure 'so2'"),
        ):
            with pytest.raises(ValueError, match=sentence):
                typed(text, twin)


async def test_input_at_its_end_goes_on_playing(tmp_path: Path) -> None:
    link = tmp_path / "gnss"
    async with playing("nmea", "--link", str(link), "--rate-hz", "10") as process:
        assert process.stdout
        assert process.stdin
        process.stdin.close()
        assert await process.stdout.readline()
        with client(link) as fd:
            assert (await receive(fd, 6)).startswith(b"$GNRMC")
        assert process.returncode is None
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize("name", sorted(registered()))
async def test_a_twin_that_registers_itself_plays_with_its_defaults(
    tmp_path: Path, name: str
) -> None:
    known = argparse.ArgumentParser()
    registered()[name].add_arguments(known)
    # Some play files that the kernel would show, and no line.
    folder = ["--folder", str(tmp_path)] if "--folder" in known.format_help() else []
    options = parser().parse_args([name, "--link", str(tmp_path / "port"), *folder])
    async with Line(options.link) as line:
        twin = build(line, options)
        task = asyncio.create_task(twin.run())
        await asyncio.wait({task}, timeout=0.05)
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
