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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aioice import Connection

from agent.media import viewer
from tests.media.test_browser import CHROMIUM, decoded
from tests.media.ways.player import player

IP = shutil.which("ip") or "/sbin/ip"
SPACE = f"outpost-{os.getpid()}"
TOKEN = "correct-horse-battery"
PORT = 8554
SERVE = Path(__file__).with_name("serve_whep.py")
IPTABLES = shutil.which("iptables")
COUNT_FRAMES = """() => {
  const video = document.getElementById("picture");
  window.shown = [];
  const next = () => {
    window.shown.push(performance.now());
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}"""
LONGEST_GAP_S = "() => Math.max(...shown.slice(1).map((at, i) => at - shown[i])) / 1000"


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


async def exchange(offer: str) -> str:
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://10.93.1.2:{PORT}/whep/front", data=offer, headers=headers) as made,
    ):
        assert made.status == 201
        return await made.text()


def hand_over() -> None:
    """The first link is gone, and the second one comes."""
    inside("addr", "flush", "dev", "link1")
    inside("link", "set", "link1", "down")
    inside("link", "set", "link2", "up")
    inside("route", "add", "default", "via", "10.93.2.1")


def deaf() -> None:
    """Both links are up, and nothing comes in over the first one any more."""
    one_way("INPUT", "-i")


def dumb() -> None:
    """Both links are up, and nothing goes out over the first one any more."""
    one_way("OUTPUT", "-o")


def one_way(chain: str, flag: str) -> None:
    if IPTABLES is None:
        pytest.skip("iptables is not installed")
    inside("link", "set", "link2", "up")
    drop = ("-A", chain, flag, "link1", "-p", "udp", "-j", "DROP")
    ip("netns", "exec", SPACE, IPTABLES, *drop)


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

    async with unit(tmp_path):
        stop = asyncio.Event()
        watching = asyncio.create_task(viewer.watch(exchange, seconds=40, stop=stop), name="viewer")
        await frames(50)
        before, fallen = len(times), time.monotonic()
        hand_over()
        changed = time.monotonic()
        await frames(before + 400)
        stop.set()
        await watching
    after = [fallen, *(at for at in times if at > fallen)]
    longest = max(later - at for at, later in itertools.pairwise(after))
    sys.stderr.write(f"link changed in {changed - fallen:.2f} s, longest gap {longest:.2f} s\n")
    # A busy machine may take its time; aioice alone takes 30 s, and then ends the session.
    assert longest < 6.0


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("change", [hand_over, deaf, dumb])
async def test_in_chromium_it_comes_back_too(
    two_links: None, tmp_path: Path, change: Callable[[], None]
) -> None:
    async with unit(tmp_path), player() as page:
        await page.expose_function("exchange", exchange)
        await page.evaluate("playSignalled({})")
        before = await decoded(page, 30)
        await page.evaluate(COUNT_FRAMES)
        await page.wait_for_function("() => shown.length > 20")
        change()
        after = await decoded(page, before["framesDecoded"] + 150, 35.0)
        gap_s = await page.evaluate(LONGEST_GAP_S)
        sys.stderr.write(f"{change.__name__}: no picture for {gap_s:.2f} s in Chromium\n")
        assert after["state"] == "connected"
        # A fifth of a second here; 3.2 to 3.6 s where the path that Chromium chooses is believed.
        assert gap_s < 3.0
