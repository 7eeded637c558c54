"""What each open page is told, over its WebSocket.

A page that does not keep up loses what waits for it and gets the newest state instead, so neither
its slowness nor its backlog can grow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

MAX_PAGES = 64
MAX_WAITING = 500
"""Messages that wait for one page."""
MAX_WAITING_BYTES = 2 * 1024 * 1024
HEARTBEAT_S = 15.0
MAX_INCOMING_BYTES = 4096
"""A page has nothing to say here."""

Update = dict[str, Any]
Newest = Callable[[bool], Iterable[Update]]
"""(instructor) -> the messages that give a page the newest state."""


class _Page:
    """One WebSocket, and what waits for it."""

    def __init__(self, socket: web.WebSocketResponse, *, instructor: bool) -> None:
        self.socket = socket
        self.instructor = instructor
        self.behind = True
        """What it gets next is the newest state."""
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._wake.set()

    def put(self, text: str) -> None:
        if self.behind:
            return
        self._waiting.append(text)
        self._bytes += len(text)
        if len(self._waiting) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            self._waiting.clear()
            self._bytes = 0
            self.behind = True
        self._wake.set()

    async def write(self, newest: Newest) -> None:
        """Until the page is gone."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self.behind:
                # Taken at one moment; what comes while it is being sent goes behind it.
                texts = [encode(update) for update in newest(self.instructor)]
                self.behind = False
                for text in texts:
                    await self.socket.send_str(text)
            while self._waiting and not self.behind:
                text = self._waiting.popleft()
                self._bytes -= len(text)
                await self.socket.send_str(text)
            if self.behind:
                self._wake.set()


class Live:
    """All open pages."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._pages: set[_Page] = set()

    def __len__(self) -> int:
        return len(self._pages)

    def tell(self, update: Update) -> None:
        """Tell every page."""
        if self._pages:
            text = encode(update)
            for page in self._pages:
                page.put(text)

    def tell_apart(self, instructors: Update, others: Update) -> None:
        """Tell instructors more than the others."""
        for page in self._pages:
            page.put(encode(instructors if page.instructor else others))

    async def serve(self, request: web.Request, *, instructor: bool) -> web.WebSocketResponse:
        """Handle a page's WebSocket until it is closed."""
        if len(self._pages) >= MAX_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MAX_PAGES} pages are open already\n")
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=MAX_INCOMING_BYTES, compress=False
        )
        await socket.prepare(request)
        page = _Page(socket, instructor=instructor)
        self._pages.add(page)
        writer = asyncio.create_task(page.write(self._newest), name="console.page")
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self._pages.discard(page)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer
        return socket

    async def close(self) -> None:
        """Say goodbye to every page: the console ends."""
        for page in list(self._pages):
            await page.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the console ends")


def encode(update: Update) -> str:
    return msgspec.json.encode(update).decode()
