"""Recordings over HTTP, beside WHEP and under its token: a list, and bytes in any part.

`GET /recordings` lists the newest; `GET /recordings/ID` gives one, with Range (RFC 9110, 14) and
its digest as ETag, so that a fetch that was cut off goes on where it was, of the same bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
from aiohttp import hdrs, web

from agent.byte_range import parsed
from agent.media.record import sidefile
from agent.media.record.sidefile import Side
from agent.media.ways.whep import Refusal, Whep

LISTED_MAX = 500
PIECE_BYTES = 256 * 1024
AUDIT_S = 60.0
"""A player asks for many parts of one recording: it is told once in this time."""
METHODS = "GET, HEAD, OPTIONS"


Handler = Callable[[web.Request], Awaitable[web.Response]]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the list."""

    id: str
    camera: str
    start: int
    end: int
    size: int
    digest: str
    media_type: str
    locked: bool
    open: bool
    url: str


class Shelf:
    """`on_fetch(id, camera, who)` is told of each fetch."""

    def __init__(self, folder: Path, on_fetch: Callable[[str, str, str], None]) -> None:
        self._folder = folder
        self._on_fetch = on_fetch
        self._told: dict[tuple[str, str], float] = {}

    def add_to(self, whep: Whep) -> None:
        whep.add_route("/recordings", _reads(self._list))
        whep.add_route("/recordings/{id}", _reads(self._get))

    async def _list(self, _request: web.Request) -> web.Response:
        listed = await asyncio.to_thread(self._newest)
        return web.Response(body=msgspec.json.encode(listed), content_type="application/json")

    def _newest(self) -> list[Listed]:
        found: list[Listed] = []
        paths = sorted(self._folder.glob(f"rec-*{sidefile.SUFFIX}"), reverse=True)
        for path in paths[:LISTED_MAX]:
            side = _read(path)
            if side is not None:
                found.append(
                    Listed(
                        id=side.id, camera=side.camera, start=side.start, end=side.end,
                        size=side.size, digest=side.digest, media_type=side.media_type,
                        locked=side.locked, open=side.is_open, url=f"/recordings/{side.id}",
                    )
                )  # fmt: skip
        return found

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        side = None
        if sidefile.ID.match(name):
            side = await asyncio.to_thread(_read, self._folder / f"{name}{sidefile.SUFFIX}")
        if side is None:
            raise Refusal(404, f"no recording {name!r} is held")
        try:
            file = await asyncio.to_thread((self._folder / side.file).open, "rb")
        except OSError as error:
            raise Refusal(404, f"the recording {name!r} cannot be read: {error}") from error
        size = file.seek(0, 2)
        try:
            return self._answer(request, side, file, size)
        except Refusal:
            file.close()
            raise

    def _answer(self, request: web.Request, side: Side, file: BinaryIO, size: int) -> web.Response:
        headers = {
            hdrs.ACCEPT_RANGES: "bytes", hdrs.CONTENT_TYPE: side.media_type,
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{side.file}"',
        }  # fmt: skip
        # What goes on growing has no digest yet.
        etag = f'"{side.digest}"' if side.digest else ""
        if etag:
            headers[hdrs.ETAG] = etag
            if etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
                file.close()
                return web.Response(status=304, headers=headers)
        first, last, status = 0, size - 1, 200
        same = request.headers.get(hdrs.IF_RANGE, etag) == etag
        wanted = request.headers.get(hdrs.RANGE, "")
        if wanted and same and (part := _part(wanted, size)) is not None:
            (first, last), status = part, 206
            headers[hdrs.CONTENT_RANGE] = f"bytes {first}-{last}/{size}"
        headers[hdrs.CONTENT_LENGTH] = str(last - first + 1)
        if request.method == hdrs.METH_HEAD:
            file.close()
            return web.Response(status=status, headers=headers)
        self._audit(side, request.remote or "")
        return web.Response(status=status, headers=headers, body=_read_on(file, first, last))

    def _audit(self, side: Side, who: str) -> None:
        now = time.monotonic()
        self._told = {key: at for key, at in self._told.items() if now - at < AUDIT_S}
        if (side.id, who) not in self._told:
            self._told[side.id, who] = now
            self._on_fetch(side.id, side.camera, who)


def _part(header: str, size: int) -> tuple[int, int] | None:
    """Refusal 416: it lies outside."""
    try:
        return parsed(header, size)
    except ValueError as error:
        raise Refusal(416, str(error), Content_Range=f"bytes */{size}") from error


def _reads(handler: Handler) -> Handler:
    """For GET and HEAD alone: OPTIONS, which needs no token, tells nothing."""

    async def reads(request: web.Request) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={hdrs.ALLOW: METHODS})
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            raise Refusal(405, f"{request.method} is not for recordings", Allow=METHODS)
        return await handler(request)

    return reads


def _read(path: Path) -> Side | None:
    """None: there is none, or none any more."""
    try:
        return sidefile.read(path)
    except (OSError, ValueError):
        return None


async def _read_on(file: BinaryIO, first: int, last: int) -> AsyncIterator[bytes]:
    with file:
        await asyncio.to_thread(file.seek, first)
        left = last - first + 1
        while left > 0:
            data = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
            if not data:
                return
            left -= len(data)
            yield data
