"""The headless viewer, as a program, against a small WHEP server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from agent.media.wire import MediaError
from tests.media.conftest import Watched, media_config


class Whep:
    """Just enough HTTP: POST answers 201 with a Location, DELETE ends the session."""

    def __init__(self, media: Watched) -> None:
        self._media = media
        self.url = ""
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head.splitlines()[0])
        length = next(
            (int(line.split(":")[1]) for line in head.lower().splitlines() if "length:" in line), 0
        )
        sdp = (await reader.readexactly(length)).decode()
        status, extra, body = "200 OK", "", ""
        if head.startswith("DELETE"):
            self._media.host.close("s1")
        else:
            try:
                body = (await self._media.host.offer("s1", "front", sdp)).sdp
                status, extra = "201 Created", "Location: /whep/session/s1\r\n"
            except MediaError as error:
                status, body = "503 Unavailable", json.dumps({"detail": str(error)})
        data = body.encode()
        writer.write(
            f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(data)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def whep(media: Watched) -> AsyncIterator[Whep]:
    server_side = Whep(media)
    server = await asyncio.start_server(server_side.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        server_side.url = f"http://127.0.0.1:{port}/whep/ex-cv-01/front"
        yield server_side


async def run_viewer(*arguments: str) -> tuple[int | None, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent.media.viewer",
        *arguments,
        "--json",
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, json.loads(out)


async def test_it_plays_counts_and_says_goodbye(media: Watched) -> None:
    async with whep(media) as server:
        status, stats = await run_viewer("--whep", server.url, "--seconds", "4")
    assert status == 0, stats
    assert stats["frames_decoded"] > 50
    assert stats["first_frame_s"] < 3
    assert stats["codes_read"] > 5
    assert stats["codes_missed"] == 0
    assert stats["error"] == ""
    assert [line.split()[0] for line in server.requests] == ["POST", "DELETE"]
    assert server.requests[1].split()[1] == "/whep/session/s1"
    await media.until(lambda: media.host.stats.viewers == 0)


async def test_a_refusal_is_passed_on() -> None:
    """Of a host whose process was never started: that it is up would be news within a second."""
    async with whep(Watched(media_config())) as server:
        status, stats = await run_viewer("--whep", server.url, "--seconds", "2")
    assert status == 1
    assert stats["frames_decoded"] == 0
    assert stats["error"] == (
        f"POST {server.url}: expected 201, but got 503: "
        '{"detail": "the media process is starting; try again in a moment"}'
    )


async def test_no_server_and_no_url_are_named(free_port: int) -> None:
    status, stats = await run_viewer("--whep", f"http://127.0.0.1:{free_port}/", "--seconds", "1")
    assert status == 1
    assert "Connection refused" in stats["error"]
    status, stats = await run_viewer("--whep", "ftp://nowhere", "--seconds", "1")
    assert (status, stats["error"]) == (1, "expected an http(s) URL, but read 'ftp://nowhere'")
