"""One picture to several viewers: what the sender costs, how old a picture is when it is decoded,
and how soon a new viewer sees something.  Ours and plain aiortc, in one run.

The first viewer decodes every picture, the others do all of WebRTC but the decoding, so that the
machine is not eaten by receivers; both senders get the same receivers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiortc import rtcrtpreceiver
from av import VideoFrame

from agent.media import blockcode, codecs, loopback, receive, viewer
from agent.media.host import MediaHost
from agent.media.wire import CameraConfig, MediaConfig
from agent.messages import Mark
from bench.figure import Figure, figure, percentile
from bench.rig import BenchError, first_of

WIDTH, HEIGHT, FPS = 1280, 720, 30
VIEWERS = (1, 2, 4, 8)
WARM_UP_S = 5.0
MEASURED_S = 8.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FIRST_FRAMES = 8

Exchange = Callable[[str, str], Awaitable[str]]
"""Session and offer; the answer."""


class Sender(msgspec.Struct):
    """A sender in a process of its own."""

    exchange: Exchange
    close: Callable[[str], None]
    pid: Callable[[], int]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class NoDecoder:
    """Swallows."""

    def decode(self, _frame: object) -> list[VideoFrame]:
        return []


@contextlib.contextmanager
def one_decoder() -> Any:
    """The first receiver decodes, all later ones do not."""
    receiver: Any = rtcrtpreceiver
    real, made = receiver.get_decoder, []

    def get_decoder(codec: Any) -> Any:
        made.append(codec)
        return real(codec) if len(made) == 1 else NoDecoder()

    receiver.get_decoder = get_decoder
    try:
        yield
    finally:
        receiver.get_decoder = real


@contextlib.asynccontextmanager
async def ours() -> AsyncIterator[Sender]:
    """The media process, as the agent starts it."""
    camera = CameraConfig(name="front", source="scene", width=WIDTH, height=HEIGHT, fps=FPS)
    up = asyncio.Event()
    host = MediaHost(
        MediaConfig(unit="bench", mark=Mark.ACTUAL, cameras=(camera,)),
        lambda *_: None,
        lambda event: up.set() if event.event == "media_up" else None,
        lambda _: None,
    )
    task = asyncio.create_task(host.run())

    async def exchange(session: str, sdp: str) -> str:
        answer = await host.offer(session, "", sdp)
        return answer if isinstance(answer, str) else answer.sdp

    try:
        await first_of(up, "the media process", 20)
        yield Sender(exchange, host.close, lambda: host.pid or 0)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def plain() -> AsyncIterator[Sender]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.plain_aiortc", str(WIDTH), str(HEIGHT), str(FPS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    to, back = process.stdin, process.stdout
    assert to is not None
    assert back is not None
    one = asyncio.Lock()

    async def exchange(session: str, sdp: str) -> str:
        async with one:
            to.write(json.dumps({"session": session, "sdp": sdp}).encode() + b"\n")
            return str(json.loads(await back.readline())["sdp"])

    try:
        yield Sender(exchange, lambda _: None, lambda: process.pid)
    finally:
        process.kill()
        await process.wait()


class Ages:
    """How old pictures are when they are decoded, read from the code drawn in them."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self.counts = False
        self.seen = 0

    def take(self, frame: VideoFrame) -> None:
        if not self.counts:
            return
        self.seen += 1
        code = blockcode.read(frame.to_ndarray(format="gray").astype(np.uint8, copy=False))
        if code is not None:
            self.ms.append(blockcode.age_ms(code))


async def watched(sender: Sender, count: int, least: float = 0.5) -> tuple[float, Ages]:
    """Share of a core, in per cent, and the ages that the first viewer saw.  BenchError: it saw
    less than this of the pictures."""
    ages, stop = Ages(), asyncio.Event()

    async def play(n: int) -> viewer.ViewerStats:
        return await viewer.watch(
            lambda sdp: sender.exchange(f"v{count}-{n}", sdp),
            seconds=60,
            on_frame=ages.take if n == 0 else None,
            stop=stop,
        )

    with one_decoder():
        tasks = [asyncio.create_task(play(0))]
        await asyncio.sleep(1.0)
        tasks += [asyncio.create_task(play(n)) for n in range(1, count)]
        await asyncio.sleep(WARM_UP_S)
        ages.counts, before = True, sender.cpu_s()
        start = asyncio.get_running_loop().time()
        await asyncio.sleep(MEASURED_S)
        took_s = asyncio.get_running_loop().time() - start
        spent, ages.counts = sender.cpu_s() - before, False
        stop.set()
        await asyncio.gather(*tasks)
    for n in range(count):
        sender.close(f"v{count}-{n}")
    if ages.seen < MEASURED_S * FPS * least:
        raise BenchError(f"{count} viewers: {ages.seen} pictures in {MEASURED_S:g} s")
    return 100 * spent / took_s, ages


async def first_frames(sender: Sender) -> list[float]:
    """Offer to first decoded picture, ms, of viewers who join one that watches."""
    stop = asyncio.Event()
    there = asyncio.create_task(
        viewer.watch(lambda sdp: sender.exchange("there", sdp), seconds=60, stop=stop)
    )
    await asyncio.sleep(2.0)
    times = []
    for n in range(FIRST_FRAMES):
        seen = asyncio.Event()
        stats = await viewer.watch(
            lambda sdp, n=n: sender.exchange(f"new{n}", sdp),  # type: ignore[misc]
            seconds=10,
            on_frame=lambda _, seen=seen: seen.set(),  # type: ignore[misc]
            stop=seen,
        )
        if stats.first_frame_s is None:
            raise BenchError(f"a new viewer saw nothing: {stats.error}")
        times.append(stats.first_frame_s * 1000)
        sender.close(f"new{n}")
    stop.set()
    await there
    sender.close("there")
    return times


async def measure() -> list[Figure]:
    loopback.install()
    receive.install()
    other: dict[int, tuple[float, Ages]] = {}
    for count in VIEWERS:
        async with plain() as sender:
            # Eight of its encoders want more than two cores have.
            other[count] = await watched(sender, count, least=0.0)
    # Only now: plain aiortc is not offered what it has never heard of.
    codecs.install()
    mine = {}
    for count in VIEWERS:
        async with ours() as sender:
            mine[count] = await watched(sender, count)
    async with ours() as sender:
        first = await first_frames(sender)
    return [*_costs(mine, other), *_delays(mine, other, first)]


def picture_ms(measured: tuple[float, Ages]) -> float:
    """Processor time for each picture that the first viewer saw; nan where it saw none."""
    share, ages = measured
    return share / 100 * 1000 * MEASURED_S / ages.seen if ages.seen else float("nan")


def _costs(
    mine: dict[int, tuple[float, Ages]], other: dict[int, tuple[float, Ages]]
) -> list[Figure]:
    figures = [
        figure(
            f"video sender, viewers: {count}",
            mine[count][0],
            other[count][0],
            "% CPU",
            f"{WIDTH}x{HEIGHT}, {mine[count][1].seen / MEASURED_S:.0f} pictures/s; other: aiortc"
            f" with its relay, H.264, {other[count][1].seen / MEASURED_S:.0f} pictures/s",
        )
        for count in VIEWERS
    ]
    figures += [
        figure(
            f"video sender, a picture to {count}",
            picture_ms(mine[count]),
            picture_ms(other[count]),
            "ms CPU",
            "other: aiortc; aim: a tenth with 4.  A busy machine leaves pictures out",
        )
        for count in VIEWERS
    ]
    figures.append(
        figure("video sender, 8 viewers against 1", mine[8][0], mine[1][0], "% CPU", "aim: 1.3")
    )
    return figures


def _delays(
    mine: dict[int, tuple[float, Ages]], other: dict[int, tuple[float, Ages]], first: list[float]
) -> list[Figure]:
    figures = [
        figure(
            f"picture in to decoded p{percent}, viewers: {count}",
            percentile(mine[count][1].ms, percent),
            percentile(other[count][1].ms, percent),
            "ms",
            "a time code in the picture; loopback, no camera, no display",
        )
        for count in (1, 4)
        for percent in (50, 99)
    ]
    note = f"offer to decoded, the slowest of {len(first)}; other: the aim"
    figures.append(figure("first picture of a new viewer", max(first), 300, "ms", note))
    return figures
