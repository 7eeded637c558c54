"""An interface goes down and another one comes up: the picture is back by itself."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aioice import Connection

from agent.media import viewer

IP = shutil.which("ip") or "/sbin/ip"
SPACE = f"outpost-{os.getpid()}"
TOKEN = "correct-horse-battery"
PORT = 8554
SERVE = Path(__file__).with_name("serve_whep.py")


def ip(*words: str) -> None:
    subprocess.run([IP, *words], check=True, capture_output=True)


def inside(*words: str) -> None:
    ip("-n", SPACE, *words)


@pytest.fixture
def two_links() -> Iterator[None]:
    """The unit in a network of its own, with one link up and another one that is down."""
    try:
        ip("netns", "add", SPACE)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to make a network namespace here")
    try:
        for number in (1, 2):
            outer, inner = f"op{os.getpid() % 100000}-{number}", f"link{number}"
            ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", SPACE)
            ip("addr", "add", f"10.93.{number}.1/24", "dev", outer)
            ip("link", "set", outer, "up")
            inside("addr", "add", f"10.93.{number}.2/24", "dev", inner)
        inside("link", "set", "lo", "up")
        inside("link", "set", "link1", "up")
        yield
    finally:
        ip("netns", "del", SPACE)


@asynccontextmanager
async def unit(tmp_path: Path) -> AsyncIterator[None]:
    (tmp_path / "token").write_text(TOKEN)
    process = await asyncio.create_subprocess_exec(
        IP, "netns", "exec", SPACE, sys.executable, str(SERVE), str(PORT), str(tmp_path / "token"),
        stdout=subprocess.PIPE, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert json.loads(await process.stdout.readline()) == "up"
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_the_picture_comes_back_over_another_interface(
    two_links: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []
    news = asyncio.Event()

    # Packets, not frames: aiortc's own jitter buffer waits for what was lost, and asks for it over
    # the path that has died.
    taken = Connection.data_received

    def data(self: Connection, packet: bytes, component: int) -> None:
        if len(packet) > 200:
            times.append(time.monotonic())
            news.set()
        taken(self, packet, component)

    monkeypatch.setattr(Connection, "data_received", data)

    async def frames(count: int) -> None:
        async with asyncio.timeout(20):
            while len(times) < count:
                news.clear()
                await news.wait()

    async def exchange(offer: str) -> str:
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"http://10.93.1.2:{PORT}/whep/front", data=offer, headers=headers) as made,
        ):
            assert made.status == 201
            return await made.text()

    async with unit(tmp_path):
        stop = asyncio.Event()
        watching = asyncio.create_task(viewer.watch(exchange, seconds=40, stop=stop), name="viewer")
        await frames(50)
        before, fallen = len(times), time.monotonic()
        inside("addr", "flush", "dev", "link1")
        inside("link", "set", "link1", "down")
        inside("link", "set", "link2", "up")
        inside("route", "add", "default", "via", "10.93.2.1")
        changed = time.monotonic()
        await frames(before + 400)
        stop.set()
        await watching
    after = [fallen, *(at for at in times if at > fallen)]
    longest = max(later - at for at, later in itertools.pairwise(after))
    sys.stderr.write(f"link changed in {changed - fallen:.2f} s, longest gap {longest:.2f} s\n")
    # A busy machine may take its time; aioice alone takes 30 s, and then ends the session.
    assert longest < 6.0
