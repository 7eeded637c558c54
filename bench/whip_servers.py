"""What media servers that are no part of this project make of a unit's WHIP, and of its WHEP:
`python -m bench.whip_servers [TITLE...]` prints the table of docs/media-servers.md.

A server that is not there is left out, and named.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import av
import msgspec
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from agent.media import codecs, loopback
from agent.media.codecs import h264_preferences
from agent.media.overlay import Painter
from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.voice.config import VoiceConfig
from agent.media.voice.hub import VoiceHub
from agent.media.ways import closed, dtls, whip
from agent.media.ways.config import IceConfig, WhepConfig, WhipConfig
from agent.media.ways.supply import Supply
from agent.media.ways.whep import Whep
from agent.media.ways.whip_http import Exchange
from agent.media.wire import WhipStats
from bench.whip_kinds import KINDS, Kind, Plan, Running, running
from tests.media.conftest import SMALL, media_config
from tests.media.voice import sound
from tests.mosquitto import find_free_port
from tests.waiting import until

TONE_HZ = 700
READ_S = 4.0
LIVE_S = 20.0
BACK_S = 60.0


class Read(msgspec.Struct):
    """What came out at a server's other side."""

    frames: int = 0
    sound: list[np.ndarray] = []

    def told(self) -> str:
        heard = np.concatenate(self.sound) if self.sound else np.zeros(0, np.int16)
        share = sound.share(heard, TONE_HZ)
        return f"{self.frames} pictures" + (
            ", the tone" if share > 0.8 else f", {len(self.sound)} pieces of sound"
        )


class Watched(Exchange):
    """Remembers what was asked and answered."""

    asked: list[tuple[str, int]]

    async def _once(self, method: str, *rest: Any) -> Any:
        reply = await super()._once(method, *rest)
        Watched.asked.append((method, reply.status))
        return reply


class Session(whip._Session):
    """The last one, so that its path can be said to be dead."""

    last: Session

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        Session.last = self

    def lose(self) -> None:
        self._path_lost()


class Unit:
    """Publishes to one server."""

    def __init__(self, url: str, token_file: str) -> None:
        loop = asyncio.get_running_loop()
        self.pipeline = Pipeline(SMALL, Painter(media_config()), loop, lambda *_: None)
        self.hub = VoiceHub(VoiceConfig(microphone=f"tone:{TONE_HZ}"), loop)
        config = WhipConfig(name="trial", url=url, voice=True, token_file=token_file)
        supply = Supply(IceConfig(), "ex-cv-01")
        self.publisher = whip.Publisher(config, self.pipeline, supply, self._say, self.hub)
        self.said: list[WhipStats] = []

    def _say(self, stats: WhipStats) -> None:
        self.said.append(stats)

    @property
    def stats(self) -> WhipStats:
        return self.publisher.stats()

    async def live(self, sessions: int = 1, timeout_s: float = LIVE_S) -> float:
        began = time.monotonic()
        await until(
            lambda: self.stats.state == "live" and self.stats.sessions >= sessions,
            "the server shows it", timeout_s,
        )  # fmt: skip
        return time.monotonic() - began


@asynccontextmanager
async def publishing(plan: Plan, folder: Path, token: str | None = None) -> AsyncIterator[Unit]:
    file = folder / "token"
    file.write_text(plan.token if token is None else token)
    unit = Unit(plan.whip, str(file) if file.read_text() else "")
    task = asyncio.create_task(unit.publisher.run(), name="publisher")
    try:
        yield unit
    finally:
        task.cancel()
        await asyncio.wait({task})
        unit.hub.close()
        unit.pipeline.close()


@contextmanager
def watched() -> Iterator[None]:
    before = whip.Exchange, whip._Session  # type: ignore[attr-defined]
    whip.Exchange, whip._Session = Watched, Session  # type: ignore[attr-defined,misc,assignment]
    Watched.asked = []
    try:
        yield
    finally:
        whip.Exchange, whip._Session = before  # type: ignore[attr-defined,misc]


# -- reading back ---------------------------------------------------------------------------------


async def read(address: str) -> Read:
    if address.startswith("http"):
        return await _by_whep(address)
    until_s = time.monotonic() + LIVE_S
    while True:
        try:
            return await asyncio.to_thread(_by_ffmpeg, address)
        except av.FFmpegError:
            # A server may look at a stream for a while before it hands it on.
            if time.monotonic() > until_s:
                raise
            await asyncio.sleep(0.2)


def _by_ffmpeg(address: str) -> Read:
    """RTSP over TCP, or RTP that a file of SDP describes."""
    options = (
        {"rtsp_transport": "tcp"} if "://" in address else {"protocol_whitelist": "file,udp,rtp"}
    )
    found = Read(sound=[])
    with av.open(address, options=options, timeout=LIVE_S) as container:
        until_s = time.monotonic() + READ_S
        for packet in container.demux():
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    found.frames += 1
                elif isinstance(frame, av.AudioFrame):
                    found.sound.append(_one_channel(frame))
            if time.monotonic() > until_s:
                return found
    return found


def _one_channel(frame: av.AudioFrame) -> np.ndarray:
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        samples = samples[0]
    else:
        samples = samples.reshape(-1)[:: len(frame.layout.channels)]
    if samples.dtype.kind == "f":
        samples = samples * 32767
    return samples.astype(np.int16)


async def _by_whep(address: str) -> Read:
    found = Read(sound=[])
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tasks: list[asyncio.Task[None]] = []

    async def count(track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    found.frames += 1
                else:
                    found.sound.append(_one_channel(frame))
        except MediaStreamError:
            return

    peer.on("track", lambda track: tasks.append(asyncio.create_task(count(track))))
    video = peer.addTransceiver("video", direction="recvonly")
    video.setCodecPreferences(h264_preferences())
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with aiohttp.ClientSession() as http:
        kind = {"Content-Type": "application/sdp"}
        async with http.post(address, data=peer.localDescription.sdp, headers=kind) as reply:
            answer = await reply.text()
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.sleep(READ_S)
    for task in tasks:
        task.cancel()
    await peer.close()
    return found


# -- trials ---------------------------------------------------------------------------------------


async def published(server: Running, folder: Path) -> str:
    plan = server.plan
    async with publishing(plan, folder) as unit:
        await unit.live()
        unit.hub.source.allow(True)
        found = await read(plan.read)
        return found.told() if unit.stats.listens else f"{found.told()}; it takes no sound"


async def silent(server: Running, folder: Path) -> str:
    """The microphone is shut, as it is unless configured otherwise."""
    async with publishing(server.plan, folder) as unit:
        await unit.live()
        return (await read(server.plan.read)).told()


async def token(server: Running, folder: Path) -> str:
    if not server.plan.token:
        return "it asks for none"
    async with publishing(server.plan, folder, token="wrong-horse") as unit:
        await until(lambda: unit.stats.state == "waiting", "it is refused", LIVE_S)
        wrong = unit.stats.detail
    async with publishing(server.plan, folder) as unit:
        await unit.live()
    status = re.search(r"refuses the POST \((\d+)\)", wrong)
    return f"taken; a wrong one {f'refused ({status[1]})' if status else f'gives: {wrong}'}"


def _answered(method: str) -> str:
    found = [str(status) for asked, status in Watched.asked if asked == method]
    return found[0] if found else "not answered"


async def trickle(server: Running, folder: Path) -> str:
    with watched():
        async with publishing(server.plan, folder) as unit:
            await unit.live()
            await read(server.plan.read)
            patched = _answered("PATCH")
        return f"PATCH {patched}, DELETE {_answered('DELETE')}"


async def restart(server: Running, folder: Path) -> str:
    """The path is said to be dead: a restart by PATCH, or a session anew."""
    with watched():
        async with publishing(server.plan, folder) as unit:
            await unit.live()
            Watched.asked.clear()
            began = time.monotonic()
            Session.last.lose()
            await until(
                lambda: unit.stats.restarts > 0 or unit.stats.sessions > 1, "it goes on", BACK_S
            )
            await unit.live(timeout_s=BACK_S)
            took = time.monotonic() - began
            found = await read(server.plan.read)
            how = "restarted" if unit.stats.restarts else "opened anew"
            return f"PATCH {_answered('PATCH')}: {how} in {took:.1f} s, {found.frames} pictures"


async def killed(server: Running, folder: Path) -> str:
    async with publishing(server.plan, folder) as unit:
        await unit.live()
        server.kill()
        await until(lambda: unit.stats.state != "live", "the end is noticed", BACK_S)
        await asyncio.to_thread(server.start)
        took = await unit.live(2, BACK_S)
        found = await read(server.plan.read)
        return f"{took:.1f} s after it is back, {found.frames} pictures"


async def pulled(server: Running, folder: Path) -> str:
    return (await read(server.plan.pulled)).told() if server.plan.pulled else "it pulls none"


Trial = Callable[[Running, Path], Awaitable[str]]
TRIALS: dict[str, Trial] = {
    "read back, microphone open": published,
    "read back, microphone shut": silent,
    "bearer token": token,
    "candidates, end": trickle,
    "path lost": restart,
    "killed and started again": killed,
    "pulls from a unit's WHEP": pulled,
}


async def column(kind: Kind, path: str, whep: str) -> list[str]:
    cells = [kind.version(path)]
    for title, trial in TRIALS.items():
        # A server of its own for each: what one trial leaves must not help or harm the next.
        with tempfile.TemporaryDirectory() as folder, running(kind, path, Path(folder), whep) as on:
            try:
                cell = await trial(on, Path(folder))
            except (TimeoutError, AssertionError, OSError, av.FFmpegError) as error:
                cell = f"**no** ({type(error).__name__}: {str(error)[:90]})"
        sys.stderr.write(f"{kind.title}: {title}: {cell}\n")
        cells.append(cell)
    return cells


WHEPSRC = (
    "whepsrc whep-endpoint={url} audio-caps=application/x-rtp,media=audio,encoding-name=OPUS,"
    "payload=97,clock-rate=48000,encoding-params=(string)2 video-caps=application/x-rtp,"
    "media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1 "
    "name=whep whep. ! queue ! rtph264depay ! h264parse ! avdec_h264 ! "
    "identity eos-after={count} ! fakesink sync=false"
)
COUNT = 50


async def by_gstreamer(url: str) -> str:
    """GStreamer's own WHEP player (gst-plugins-rs); GST_PLUGIN_PATH says where it was built."""
    if shutil.which("gst-launch-1.0") is None:
        return "it is not here"
    process = await asyncio.create_subprocess_exec(
        "gst-launch-1.0", "-q", *WHEPSRC.format(url=url, count=COUNT).split(),
        env=os.environ | {"GST_DEBUG_NO_COLOR": "1"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIVE_S):
            _, words = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return "**no** (not in time)"
    if process.returncode == 0:
        return f"{COUNT} pictures decoded"
    return f"**no** ({words.decode().strip()[-300:]})"


@asynccontextmanager
async def own_whep() -> AsyncIterator[str]:
    """A unit's own WHEP server."""
    loop = asyncio.get_running_loop()
    pipeline = Pipeline(SMALL, Painter(media_config()), loop, lambda *_: None)
    peers, supply = Peers(lambda *_: None), Supply(IceConfig(), "ex-cv-01")
    pipelines = {SMALL.name: pipeline}
    config = WhepConfig(port=find_free_port())
    server = Whep(config, pipelines, peers, supply, lambda *_: None)
    task = asyncio.create_task(server.run(lambda *_: None), name="own whep")
    try:
        await until(lambda: server.port > 0, "it listens", 5.0)
        yield f"http://127.0.0.1:{server.port}/whep/{SMALL.name}"
    finally:
        task.cancel()
        await asyncio.wait({task})
        await peers.close_all()
        pipeline.close()


async def main(titles: list[str]) -> None:
    # As in the media process.
    for part in (loopback, closed, dtls, codecs):
        part.install()
    columns: dict[str, list[str]] = {}
    async with own_whep() as whep:
        for kind in KINDS:
            if titles and not any(title.lower() in kind.title.lower() for title in titles):
                continue
            if (path := kind.path) is None:
                sys.stderr.write(f"{kind.title} is not here ({kind.variable}): left out\n")
                continue
            columns[kind.title] = await column(kind, path, whep)
        sys.stderr.write(f"GStreamer's whepsrc plays a unit's WHEP: {await by_gstreamer(whep)}\n")
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for index, row in enumerate(("version", *TRIALS)):
        lines.append(f"| {row} | {' | '.join(cells[index] for cells in columns.values())} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
