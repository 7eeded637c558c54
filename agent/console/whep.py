"""WHEP (draft-ietf-wish-whep) for browsers, signalled over MQTT to the unit.

POST takes an offer, sends it as `rtc/{session}/offer`, and waits for the unit's answer; the
pictures then flow between browser and unit.  Neither trickle nor restarts: an offer carries all
its candidates.  DELETE ends a session on both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web

from agent import topics
from agent.console.center import Center, NotReachedError
from agent.console.problem import problem
from agent.console.units import Units
from agent.media.ways.servers import links
from agent.messages import Answer, Mark, Offer

ANSWER_S = 10.0
MAX_WAITING = 16
MAX_SESSIONS = 256
MAX_SDP_BYTES = 64 * 1024
SDP = "application/sdp"
NOTE = "Outpost-Note"

_STATUS_OF = {
    "not_found": HTTPStatus.NOT_FOUND,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "expired": HTTPStatus.GATEWAY_TIMEOUT,
    "malformed": HTTPStatus.BAD_REQUEST,
    "not_authorised": HTTPStatus.FORBIDDEN,
    "refused": HTTPStatus.CONFLICT,
    "wrong_mark": HTTPStatus.CONFLICT,
}
"""An answer's code -> what the browser gets; any other code is the unit's failure."""


class Whep:
    """The sessions that this console has opened."""

    def __init__(
        self, center: Center, units: Units, mark: Mark, by: Callable[[web.Request, str], str]
    ) -> None:
        """`by`: who it is, with the name that the page gives (`?by=`)."""
        self._by = by
        self._center = center
        self._units = units
        self._mark = mark
        self._waiting: dict[str, tuple[str, asyncio.Future[Answer]]] = {}
        self._sessions: dict[str, str] = {}
        """Session -> unit, oldest first."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/whep/{unit}/{camera}", self.post)
        router.add_options("/whep/{unit}/{camera}", self.options)
        router.add_get("/whep/session/{session}", self.get)
        router.add_delete("/whep/session/{session}", self.delete)
        router.add_patch("/whep/session/{session}", self.patch)

    def feed(self, topic: topics.Topic, payload: bytes) -> None:
        """`rtc/{session}/answer` and `.../close` of a unit.  ValueError: no answer."""
        match topic.path:
            case ("rtc", session, "answer") if session in self._waiting:
                unit, future = self._waiting[session]
                if unit == topic.unit and not future.done():
                    future.set_result(_read_answer(payload, topic))
            case ("rtc", session, "close") if self._sessions.get(session) == topic.unit:
                del self._sessions[session]

    async def options(self, _request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP})

    async def post(self, request: web.Request) -> web.Response:
        unit, camera = request.match_info["unit"], request.match_info["camera"]
        if request.content_type != SDP:
            return problem(415, "wrong_type", f"expected {SDP}, but read {request.content_type}")
        offer = await request.text()
        if not offer.startswith("v=0"):
            return problem(400, "malformed", f"expected an SDP offer, but read {offer[:40]!r}")
        try:
            by = self._by(request, request.query.get("by", ""))
        except ValueError as error:
            return problem(400, "malformed", str(error))
        if unit not in self._units:
            return problem(404, "not_found", f"no unit {unit!r} has been heard of here")
        if len(self._waiting) >= MAX_WAITING:
            detail = f"{MAX_WAITING} offers wait for an answer already"
            return problem(503, "busy", detail, retry_after_s=2)
        session = secrets.token_urlsafe(16)
        try:
            answer = await self._exchange(unit, camera, session, offer, by)
        except NotReachedError as error:
            return problem(503, "not_connected", str(error), retry_after_s=5)
        except TimeoutError:
            # An answer that comes too late would leave a session that nobody watches.
            with contextlib.suppress(NotReachedError):
                await self._close(unit, session)
            detail = f"{unit} did not answer within {ANSWER_S:g} s"
            return problem(504, "no_answer", detail, retry_after_s=5)
        if answer.code != "ok":
            status = _STATUS_OF.get(answer.code, HTTPStatus.BAD_GATEWAY)
            retry_after_s = 5 if status == HTTPStatus.SERVICE_UNAVAILABLE else 0
            detail = answer.detail or f"{unit} says {answer.code}"
            return problem(status, answer.code, detail, retry_after_s=retry_after_s)
        self._remember(session, unit)
        response = web.Response(
            status=201,
            text=answer.sdp,
            content_type=SDP,
            headers={
                hdrs.LOCATION: f"/whep/session/{session}",
                hdrs.ETAG: f'"{session}"',
                # What the answer lacks (no voice, and why), for a header percent-encoded.
                NOTE: quote(answer.detail),
            },
        )
        for link in links(answer.ice_servers):
            response.headers.add("Link", link)
        return response

    async def get(self, request: web.Request) -> web.Response:
        """Whether it goes on: a page whose picture stands still asks."""
        if request.match_info["session"] not in self._sessions:
            return problem(404, "not_found", "no such session, or it has ended already")
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        unit = self._sessions.pop(session, None)
        if unit is None:
            return problem(404, "not_found", "no such session, or it has ended already")
        try:
            await self._close(unit, session)
        except NotReachedError:
            # The unit sees by consent (RFC 7675) that the browser has gone.
            return web.Response(status=202)
        return web.Response(status=200)

    async def patch(self, _request: web.Request) -> web.Response:
        detail = "neither trickle ICE nor restarts: an offer carries all its candidates"
        return problem(422, "not_supported", detail)

    async def _exchange(self, unit: str, camera: str, session: str, sdp: str, by: str) -> Answer:
        offer = Offer(
            by=by, issued=time.time_ns() // 1_000_000, mark=self._mark, camera=camera, sdp=sdp
        )
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[session] = (unit, future)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._center.publish(
                    self._center.topic(unit, f"rtc/{session}/offer"),
                    msgspec.json.encode(offer),
                    expiry_s=int(ANSWER_S),
                )
                return await future
        finally:
            del self._waiting[session]

    async def _close(self, unit: str, session: str) -> None:
        topic = self._center.topic(unit, f"rtc/{session}/close")
        await self._center.publish(topic, b"{}", expiry_s=30)

    def _remember(self, session: str, unit: str) -> None:
        self._sessions[session] = unit
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))


def _read_answer(payload: bytes, topic: topics.Topic) -> Answer:
    try:
        answer = msgspec.json.decode(payload, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{topic.unit}: expected an Answer, but {error}") from error
    if answer.code == "ok" and not answer.sdp:
        raise ValueError(f"{topic.unit}: an answer that is ok must carry an SDP, but read none")
    return answer
