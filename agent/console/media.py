"""Recordings and snapshots of units: listed, and fetched over MQTT as a browser plays them.

`GET /api/units/{unit}/media` asks the unit by `media.list`; `.../media/{id}` by `media.get`, a
megabyte at a time, no faster than the unit sends.  Range works, so that a download goes on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections import OrderedDict
from typing import Any

import msgspec
from aiohttp import hdrs, web

from agent import topics
from agent.byte_range import parsed
from agent.console.center import NotReachedError
from agent.console.commands import Commands
from agent.console.problem import problem
from agent.console.units import Units
from agent.messages import Outcome
from agent.messages.media import Chunk

WINDOW_BYTES = 1024 * 1024
ACK_S = 15.0
STALL_S = 20.0
"""Without a piece for so long it is asked for again; alarms and readings may have had the link."""
TRIES = 3
KNOWN_MAX = 512
FETCHES_MAX = 8
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
STATUS = {"not_found": 404, "not_authorised": 403, "bad_arguments": 416}


class RefusedError(Exception):
    """The unit's answer why not."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail or code)
        self.code = code


class About(msgspec.Struct, frozen=True):
    """What stays the same of one of them."""

    size: int
    digest: str
    media_type: str


class _Pieces:
    """What comes for one fetch, in order."""

    def __init__(self) -> None:
        self.next = 0
        self.data = bytearray()
        self.news = asyncio.Event()

    def take(self, offset: int, data: bytes) -> None:
        skip = self.next - offset
        if 0 <= skip < len(data) and len(self.data) < 2 * WINDOW_BYTES:
            self.data += data[skip:]
            self.next = offset + len(data)
            self.news.set()


class Media:
    """`feed` gets each message on `media/{id}`, `take_ack` each ack."""

    def __init__(self, commands: Commands, units: Units) -> None:
        self._commands = commands
        self._units = units
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._acks: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """An ack may come before the command's id is known here."""
        self._pieces: dict[tuple[str, str], set[_Pieces]] = {}
        self._known: OrderedDict[tuple[str, str], About] = OrderedDict()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/units/{unit}/media", self.list)
        router.add_get("/api/units/{unit}/media/{id}", self.get)

    def feed(self, topic: topics.Topic, payload: bytes) -> None:
        """ValueError: no piece."""
        if wanting := self._pieces.get((topic.unit, topic.path[1])):
            try:
                chunk = msgspec.json.decode(payload, type=Chunk)
                data = base64.b64decode(chunk.data, validate=True)
            except (msgspec.DecodeError, binascii.Error) as error:
                raise ValueError(f"no piece of a recording: {error}") from error
            for pieces in wanting:
                pieces.take(chunk.offset, data)

    def take_ack(self, ack: dict[str, Any]) -> None:
        """A record of class `ack`, as pages get it."""
        name = str(ack.get("id", ""))
        self._acks[name] = ack
        while len(self._acks) > KNOWN_MAX:
            self._acks.popitem(last=False)
        answer = self._answers.get(name)
        if answer is not None and not answer.done():
            answer.set_result(ack)

    # -- HTTP --------------------------------------------------------------------------------

    async def list(self, request: web.Request) -> web.Response:
        unit = request.match_info["unit"]
        if unit not in self._units:
            return problem(404, "not_found", f"no unit {unit!r} has been heard of here")
        try:
            result = await self._ask(unit, "media.list", {"most": 50})
        except (RefusedError, NotReachedError) as error:
            return _refusal(error)
        for item in result.get("items", ()):
            if item.get("digest"):
                self._know(
                    unit, item["id"], About(item["size"], item["digest"], item["media_type"])
                )
        body = msgspec.json.encode(result.get("items", []))
        return web.Response(body=body, content_type="application/json")

    async def get(self, request: web.Request) -> web.StreamResponse:
        unit, name = request.match_info["unit"], request.match_info["id"]
        if unit not in self._units or not ID.match(name):
            return problem(404, "not_found", f"no recording {name!r} of {unit!r} is known here")
        if sum(map(len, self._pieces.values())) >= FETCHES_MAX:
            return problem(503, "unavailable", "too many fetches at a time", retry_after_s=5)
        try:
            about = await self._about(unit, name)
        except (RefusedError, NotReachedError) as error:
            return _refusal(error)
        headers = {
            hdrs.ACCEPT_RANGES: "bytes", hdrs.ETAG: f'"{about.digest}"',
            hdrs.CONTENT_TYPE: about.media_type,
        }  # fmt: skip
        first, last, status = 0, about.size - 1, 200
        same = request.headers.get(hdrs.IF_RANGE, headers[hdrs.ETAG]) == headers[hdrs.ETAG]
        try:
            part = parsed(request.headers.get(hdrs.RANGE, ""), about.size) if same else None
        except ValueError as error:
            return problem(416, "bad_arguments", str(error))
        if part is not None:
            (first, last), status = part, 206
            headers[hdrs.CONTENT_RANGE] = f"bytes {first}-{last}/{about.size}"
        headers[hdrs.CONTENT_LENGTH] = str(last - first + 1)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            await self._stream(unit, name, first, last + 1, response)
        return response

    # -- from the unit -----------------------------------------------------------------------

    async def _ask(self, unit: str, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        """RefusedError; NotReachedError: also where no answer comes."""
        sent = await self._commands.send(unit, verb, args, by="console")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[sent] = answer
        try:
            if (early := self._acks.get(sent)) is not None:
                answer.set_result(early)
            async with asyncio.timeout(ACK_S):
                ack = await answer
        except TimeoutError as error:
            raise NotReachedError(f"{unit} gave no answer within {ACK_S:g} s") from error
        finally:
            del self._answers[sent]
        if ack.get("outcome") != Outcome.DONE.value:
            raise RefusedError(str(ack.get("code", "refused")), str(ack.get("detail", "")))
        result: dict[str, Any] = ack.get("result") or {}
        return result

    async def _about(self, unit: str, name: str) -> About:
        if (known := self._known.get((unit, name))) is not None:
            return known
        told = await self._ask(unit, "media.get", {"id": name, "length": 1})
        about = About(told["size"], told["digest"], told["media_type"])
        if about.digest:
            # One that goes on growing is asked for anew.
            self._know(unit, name, about)
        return about

    def _know(self, unit: str, name: str, about: About) -> None:
        self._known[unit, name] = about
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _stream(
        self, unit: str, name: str, first: int, end: int, response: web.StreamResponse
    ) -> None:
        """Where the unit is lost in between the connection is cut: who asked may go on."""
        pieces = _Pieces()
        pieces.next = first
        self._pieces.setdefault((unit, name), set()).add(pieces)
        try:
            tries = 0
            while pieces.next < end and tries < TRIES:
                begun = pieces.next
                length = min(WINDOW_BYTES, end - begun)
                await self._ask(unit, "media.get", {"id": name, "offset": begun, "length": length})
                await self._hand_on(pieces, begun + length, response)
                tries = 0 if pieces.next > begun else tries + 1
        except (RefusedError, NotReachedError):
            response.force_close()
        finally:
            self._pieces[unit, name].discard(pieces)
            if not self._pieces[unit, name]:
                del self._pieces[unit, name]

    async def _hand_on(self, pieces: _Pieces, until: int, response: web.StreamResponse) -> None:
        """Until all is there, or nothing has come for a while."""
        while True:
            data, pieces.data = bytes(pieces.data), bytearray()
            if data:
                await response.write(data)
            elif pieces.next >= until:
                return
            pieces.news.clear()
            if pieces.data or pieces.next >= until:
                continue
            try:
                async with asyncio.timeout(STALL_S):
                    await pieces.news.wait()
            except TimeoutError:
                return


def _refusal(error: RefusedError | NotReachedError) -> web.Response:
    if isinstance(error, RefusedError):
        return problem(STATUS.get(error.code, 409), error.code, str(error))
    return problem(503, "not_connected", str(error), retry_after_s=5)
