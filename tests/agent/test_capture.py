"""`outpost capture` on real ptys: what it writes, replay reads."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from drivers import recording
from drivers.sim import winsen
from drivers.sim.line import Fault, Line

from ..waiting import until

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def outpost(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def gas_module(folder: Path) -> AsyncIterator[tuple[Line, Path]]:
    async with Line(folder / "gas") as line:
        twin = winsen.Twin(line, module="ze07", period_s=0.02)
        twin.set(co=35.0)
        running = asyncio.create_task(twin.run(), name="twin")
        try:
            yield line, line.link
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_what_is_recorded_until_a_signal_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "co.cap"
    note = "driver: winsen\nZE07 在车上"
    async with gas_module(tmp_path) as (_, port):
        async with outpost("capture", str(port), "-o", str(file), "--note", note) as process:
            await until(lambda: file.is_file() and file.stat().st_size > 1000, "bytes are there")
            process.send_signal(signal.SIGINT)
            code, out, err = await ended(process)
    assert (code, out) == (0, "")
    chunks = list(recording.read(file))
    assert err == f"{len(recording.joined(chunks))} bytes\n"
    assert all(0 <= a.at <= b.at for a, b in itertools.pairwise(chunks))
    notes = dict(recording.notes(file))
    assert notes["port"] == str(port)
    assert notes["line"] == "9600 8N1"
    assert notes["note"] == "driver: winsen ZE07 在车上"
    assert notes.keys() == {"port", "line", "began", "by", "note"}

    async with outpost(
        "replay", str(file), "--driver", "winsen", "--set", "gas=co", "--set", 'module="ze07"'
    ) as process:
        code, out, err = await ended(process)
    assert code == 0
    samples = [msgspec.json.decode(line) for line in out.splitlines()]
    assert len(samples) > 5
    assert {(s["quantity"], s["value"], s["quality"]) for s in samples} == {("co", 35.0, "good")}
    assert f"frames {len(samples)}, bad_checksums 0, " in err


async def test_it_ends_after_the_time_given_and_writes_to_standard_output(tmp_path: Path) -> None:
    async with gas_module(tmp_path) as (_, port):
        async with outpost("capture", str(port), "--seconds", "0.3") as process:
            code, out, _ = await ended(process)
    assert code == 0
    (tmp_path / "x").write_text(out, encoding="utf-8")
    assert b"\xff\x04\x03\x01\x01\x5e" in recording.joined(recording.read(tmp_path / "x"))


async def test_a_lost_device_ends_it_and_what_came_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "co.cap"
    async with gas_module(tmp_path) as (line, port):
        async with outpost("capture", str(port), "-o", str(file)) as process:
            await until(lambda: file.is_file() and file.stat().st_size > 400, "bytes are there")
            line.inject(Fault.UNPLUG)
            code, _, err = await ended(process)
    assert code == 1
    assert err == f"{port}: device lost: the line was hung up (unplugged, or its far end closed)\n"
    assert recording.joined(recording.read(file))


async def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    async with gas_module(tmp_path) as (_, port):
        async with outpost("capture", str(port), "-o", str(tmp_path / "old")) as process:
            code, _, err = await ended(process)
    assert (code, err) == (2, f"{tmp_path / 'old'}: cannot be made: File exists\n")
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(
    ("port", "why"),
    [
        ("nosuch", "no such device; is it plugged in, and is this its name?"),
        ("", "it is a folder, not a serial line"),
        (os.devnull, "it is not a serial line"),
    ],
)
async def test_a_port_that_is_none_is_answered_with_one_sentence(
    tmp_path: Path, port: str, why: str
) -> None:
    path = tmp_path / port
    async with outpost("capture", str(path), "-o", str(tmp_path / "new")) as process:
        code, out, err = await ended(process)
    assert (code, out) == (2, "")
    assert err == f"cannot open {path}: {why}\n"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("seconds", ["-1", "0", "soon", "nan"])
async def test_a_wrong_time_is_refused(seconds: str) -> None:
    async with outpost("capture", "x", f"--seconds={seconds}") as process:
        code, _, err = await ended(process)
    assert code == 2
    assert err.endswith(f"argument --seconds: invalid number of seconds value: '{seconds}'\n")
