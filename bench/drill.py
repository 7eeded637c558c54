"""`outpost drill`: from its start to the first reading on the page, and to the first picture."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import statistics
import time
from typing import Any

import aiohttp

from agent.media import loopback
from agent.media.viewer import WhepError, watch
from bench.figure import Figure, figure
from bench.rig import OUTPOST, BenchError, running
from tests.mosquitto import find_free_port

DRILLS = 3
SCENARIO = "chlorine"
TIMEOUT_S = 40.0
RETRY_S = 0.02
READING_LIMIT_S = 5.0
FRAME_LIMIT_S = 8.0


def has_reading(message: dict[str, Any]) -> bool:
    """Whether a message to the page shows at least one value."""
    if message["type"] == "snapshot":
        return any(unit["latest"] for unit in message["units"].values())
    return message["type"] == "records" and bool(message["records"])


def cameras(units: dict[str, Any]) -> list[tuple[str, str]]:
    """(unit, camera) of all units that said what cameras they have."""
    return [
        (unit, camera["name"])
        for unit, state in units.items()
        for camera in (state.get("status") or {}).get("cameras", ())
    ]


async def first_reading(session: aiohttp.ClientSession, url: str) -> float:
    """When the page's socket brought the first value; retries until the page is there."""
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.ws_connect(f"{url}/api/live") as live:
                async for message in live:
                    if has_reading(json.loads(message.data)):
                        return time.perf_counter()
        await asyncio.sleep(RETRY_S)


async def first_camera(session: aiohttp.ClientSession, url: str) -> tuple[str, str]:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{url}/api/state") as response:
                if found := cameras((await response.json())["units"]):
                    return found[0]
        await asyncio.sleep(RETRY_S)


async def first_frame(session: aiohttp.ClientSession, url: str) -> float:
    """When a WebRTC viewer, as the page has one, decoded its first picture."""
    unit, camera = await first_camera(session, url)
    decoded: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def exchange(offer: str) -> str:
        headers = {"Content-Type": "application/sdp"}
        address = f"{url}/whep/{unit}/{camera}"
        async with session.post(address, data=offer, headers=headers) as response:
            body = await response.text()
            if response.status != 201:
                raise WhepError(f"expected 201, but got {response.status}: {body[:200]}")
            return body

    def on_frame(_frame: object) -> None:
        if not decoded.done():
            decoded.set_result(time.perf_counter())

    async def view() -> None:
        while not decoded.done():
            with contextlib.suppress(WhepError):
                await watch(exchange, seconds=TIMEOUT_S, on_frame=on_frame)
            await asyncio.sleep(RETRY_S)

    viewer = asyncio.create_task(view(), name="bench.viewer")
    try:
        return await decoded
    finally:
        viewer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await viewer


async def one_drill() -> tuple[float, float]:
    """Seconds to the first reading and to the first frame."""
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*OUTPOST, "drill", SCENARIO, "--seed", "1", "--port", str(port)]
    async with aiohttp.ClientSession() as session:
        start = time.perf_counter()
        with running(command, signal.SIGINT):
            try:
                async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
                    reading = group.create_task(first_reading(session, url))
                    frame = group.create_task(first_frame(session, url))
            except TimeoutError as error:
                raise BenchError(f"no reading or no picture within {TIMEOUT_S:g} s") from error
    return reading.result() - start, frame.result() - start


async def measure() -> list[Figure]:
    loopback.install()
    results = [await one_drill() for _ in range(DRILLS)]
    readings, frames = zip(*results, strict=True)
    note = f"median of {DRILLS} drills of {SCENARIO}; other: the limit"
    return [
        figure("drill to first reading", statistics.median(readings), READING_LIMIT_S, "s", note),
        figure("drill to first video frame", statistics.median(frames), FRAME_LIMIT_S, "s", note),
    ]
