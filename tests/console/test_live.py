"""A page that does not keep up: it loses its backlog, not the newest state, and costs nobody."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.console import live as live_module
from agent.console.live import Live
from tests.waiting import until


class Feed:
    """A state that counts up, told by `Live`."""

    def __init__(self) -> None:
        self.number = 0
        self.asked = 0
        self.live = Live(self.newest)

    def newest(self, instructor: bool) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"type": "snapshot", "number": self.number, "instructor": instructor}]

    def step(self, **over: Any) -> None:
        self.number += 1
        self.live.tell({"type": "step", "number": self.number} | over)

    def server(self) -> TestServer:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self.live.serve(request, instructor="lead" in request.query)

        application = web.Application()
        application.router.add_get("/", serve)
        return TestServer(application)


async def test_updates_follow_the_state_without_a_hole() -> None:
    feed = Feed()
    async with feed.server() as server, aiohttp.ClientSession() as http:
        async with http.ws_connect(server.make_url("/")) as page:
            first = await page.receive_json()
            assert first == {"type": "snapshot", "number": 0, "instructor": False}
            for _ in range(100):
                feed.step()
            numbers = [(await page.receive_json())["number"] for _ in range(100)]
            assert numbers == list(range(1, 101))
        await until(lambda: len(feed.live) == 0, "the page that left is forgotten")


async def test_a_page_that_does_not_read_gets_the_newest_state_later() -> None:
    feed = Feed()
    async with feed.server() as server, aiohttp.ClientSession() as http:
        async with (
            http.ws_connect(server.make_url("/")) as quick,
            http.ws_connect(server.make_url("/"), max_msg_size=0) as slow,
        ):
            transport = slow._response.connection.transport  # type: ignore[union-attr]
            assert transport is not None
            await slow.receive_json()
            await quick.receive_json()
            transport.pause_reading()
            asked = feed.asked
            for _ in range(4 * live_module.MAX_WAITING):
                feed.step(padding="x" * 20_000)
                # The quick page reads all along.
                assert (await quick.receive_json())["number"] == feed.number
            assert feed.asked == asked, "the slow page waits; nothing is made for it"
            transport.resume_reading()
            kinds: list[str] = []
            numbers: list[int] = []
            while not numbers or numbers[-1] < feed.number:
                update = await slow.receive_json()
                kinds.append(update["type"])
                numbers.append(update["number"])
            assert kinds.count("snapshot") == 1
            assert len(kinds) < 4 * live_module.MAX_WAITING, "its backlog was let go"
            after = numbers[kinds.index("snapshot") :]
            assert after == list(range(after[0], feed.number + 1))


async def test_instructors_are_told_more() -> None:
    feed = Feed()
    async with feed.server() as server, aiohttp.ClientSession() as http:
        async with (
            http.ws_connect(server.make_url("/?lead")) as leader,
            http.ws_connect(server.make_url("/")) as trainee,
        ):
            assert (await leader.receive_json())["instructor"] is True
            await trainee.receive_json()
            feed.live.tell_apart({"type": "drill", "full": 1}, {"type": "drill"})
            assert await leader.receive_json() == {"type": "drill", "full": 1}
            assert await trainee.receive_json() == {"type": "drill"}


async def test_pages_are_bounded_and_told_when_the_console_ends(monkeypatch: Any) -> None:
    monkeypatch.setattr(live_module, "MAX_PAGES", 1)
    feed = Feed()
    async with feed.server() as server, aiohttp.ClientSession() as http:
        async with http.ws_connect(server.make_url("/")) as page:
            await page.receive_json()
            async with http.get(server.make_url("/")) as answer:
                assert answer.status == 503
                assert await answer.text() == "1 pages are open already\n"
            closing = asyncio.create_task(feed.live.close())
            message = await page.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            await closing


async def test_a_page_has_nothing_to_say() -> None:
    feed = Feed()
    async with feed.server() as server, aiohttp.ClientSession() as http:
        async with http.ws_connect(server.make_url("/")) as page:
            await page.receive_json()
            await page.send_str("x" * (live_module.MAX_INCOMING_BYTES + 1))
            message = await page.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_a_page_that_vanishes_in_the_middle_is_forgotten() -> None:
    feed = Feed()
    async with feed.server() as server, aiohttp.ClientSession() as http:
        page = await http.ws_connect(server.make_url("/"))
        await page.receive_json()
        raw = page.get_extra_info("socket")
        raw.shutdown(socket.SHUT_RDWR)
        await page.receive()
        feed.step()
        await until(lambda: len(feed.live) == 0, "the page is forgotten")
        await page.close()
