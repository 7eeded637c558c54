"""The center at the far end of a shaped link: a broker, a subscriber that notes when things arrive,
and a Chromium that watches.  Started by bench/shaped.py: `python -m bench.shaped_center FD`.

The near end writes one JSON object a line: `{"shape": {...}}`, `{"end": true}`; at the end all that
was noted goes back as one.  Times are `time.time()`, which both ends share.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
from playwright.async_api import Error, Page, async_playwright

from agent.messages import Offer
from agent.mqtt import Broker, Connection, Message, connect
from bench.rig import ORG, UNIT, BenchError
from bench.tun_link import FAR, Shape, far_device, shape_here
from tests.media.test_browser import FLAGS
from tests.mosquitto import Mosquitto, find_mosquitto

PORT = 18883
ROOT = f"outpost/v1/{ORG}/{UNIT}"
SAMPLE_S = 0.25
PAGE = Path(__file__).with_name("shaped.html")


class Notes(msgspec.Struct):
    """All that arrived."""

    readings: list[tuple[float, str, float]] = []
    """When, from which source, and which value."""
    alarms: list[tuple[float, float]] = []
    """When each came, and when the unit made it."""
    frames: list[float] = []
    stats: list[dict[str, Any]] = []


class Center:
    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.connection: Connection | None = None
        self._answers: dict[str, asyncio.Future[str]] = {}

    def take(self, message: Message) -> None:
        now = time.time()
        path = message.topic.removeprefix(ROOT + "/").split("/")
        body = json.loads(message.payload)
        match path:
            case ["readings"]:
                for record in body["records"]:
                    if (value := record.get("value")) is not None:
                        self.notes.readings.append((now, record["source"], float(value)))
            case ["alarms"]:
                for record in body["records"]:
                    self.notes.alarms.append((now, record["t"] / 1000))
            case ["rtc", session, "answer"] if session in self._answers:
                self._answers.pop(session).set_result(body.get("sdp") or "")

    async def exchange(self, sdp: str) -> str:
        """Over the link, as a console does it."""
        assert self.connection is not None
        session = uuid.uuid4().hex
        answer = self._answers[session] = asyncio.get_running_loop().create_future()
        offer = Offer(by="bench", issued=int(time.time() * 1000), sdp=sdp)
        payload = msgspec.json.encode(offer)
        await self.connection.publish(f"{ROOT}/rtc/{session}/offer", payload, qos=1)
        async with asyncio.timeout(12):
            return str(await answer)


async def _watch(page: Page, center: Center) -> None:
    """Play, note each picture and the statistics, for ever; a session that breaks is begun
    again, as the console's page does."""
    while True:
        try:
            await page.evaluate("play()")
        except Error as error:
            print(f"the page could not play yet: {error.message[:120]}", file=sys.stderr)  # noqa: T201
            await asyncio.sleep(0.5)
            continue
        while (report := await page.evaluate("report()"))["state"] not in ("failed", "closed"):
            center.notes.stats.append({"t": time.time()} | report)
            await asyncio.sleep(SAMPLE_S)


async def _serve(fd: int) -> None:
    channel = far_device(fd)
    channel.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=channel, limit=1 << 24)
    program, chromium = find_mosquitto(), shutil.which("chromium")
    if program is None or chromium is None:
        raise BenchError("the bench needs mosquitto and chromium")
    notes = Notes()
    center = Center(notes)
    with tempfile.TemporaryDirectory(prefix="outpost-bench-") as folder:
        mosquitto = Mosquitto.in_folder(program, Path(folder), host=FAR, port=PORT)
        mosquitto.start()
        try:
            broker = Broker(host=FAR, port=PORT)
            async with (
                connect(broker, client_id="center", on_message=center.take) as connection,
                async_playwright() as playwright,
            ):
                center.connection = connection
                await connection.subscribe([f"{ROOT}/#"], qos=1)
                writer.write(b'{"ready": true}\n')
                browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                page = await browser.new_page()
                await page.expose_function("exchange", center.exchange)
                await page.goto(PAGE.as_uri())
                await _follow(reader, page, center)
                notes.frames = await page.evaluate("frames")
                await browser.close()
        finally:
            mosquitto.stop()
    writer.write(msgspec.json.encode(notes) + b"\n")
    await writer.drain()
    writer.close()


async def _follow(reader: asyncio.StreamReader, page: Page, center: Center) -> None:
    watching: asyncio.Task[None] | None = None
    while line := await reader.readline():
        order = json.loads(line)
        if "shape" in order:
            shape_here(Shape(**order["shape"]))
        elif "watch" in order:
            watching = asyncio.create_task(_watch(page, center))
        else:
            break
    if watching is not None:
        if watching.done():
            watching.result()
        watching.cancel()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
