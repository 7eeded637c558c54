"""This unit's own WHEP server (draft-ietf-wish-whep), for viewers on the vehicle's network.

Loopback unless configured, and elsewhere with a bearer token only.  `POST /whep/CAMERA` takes an
offer; `PATCH` on the session adds candidates or restarts ICE; `DELETE` ends it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import hdrs, web
from aioice.candidate import Candidate

from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.video_part import VideoPart
from agent.media.voice.part import NoVoice
from agent.media.ways import sdpfrag
from agent.media.ways.config import WhepConfig, read_token
from agent.media.ways.paths import Restart, transport_of
from agent.media.ways.sdpfrag import Fragment, FragmentError
from agent.media.ways.servers import links
from agent.media.ways.supply import Supply
from agent.media.wire import MAX_SDP_CHARS, MediaError

log = logging.getLogger(__name__)

SDP = "application/sdp"
EXPOSED = "Accept-Patch, Accept-Post, ETag, Link, Location, Retry-After, WWW-Authenticate"
METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST"
BUSY_RETRY_S = 5
RATE_PER_S = 5.0
BURST = 20.0
"""POSTs and PATCHes: each costs sockets and a handshake."""
SHUTDOWN_S = 1.0

_STATUS_OF = {
    "not_found": HTTPStatus.NOT_FOUND,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "malformed": HTTPStatus.BAD_REQUEST,
    "refused": HTTPStatus.NOT_ACCEPTABLE,
}
"""A MediaError's code -> what a player gets."""


class Refusal(Exception):
    """An answer of 4xx or 5xx, with its sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _Session(msgspec.Struct, kw_only=True):
    camera: str
    offer: Fragment
    """The player's ICE of now."""
    ours: Fragment
    etag: str
    restarts: set[asyncio.Task[None]] = msgspec.field(default_factory=set)


class Whep:
    """`on_watch(session, camera, code, detail)` is told of each viewer that came or was refused."""

    def __init__(
        self,
        config: WhepConfig,
        pipelines: dict[str, Pipeline],
        peers: Peers,
        supply: Supply,
        on_watch: Callable[[str, str, str, str], None],
    ) -> None:
        self._config = config
        self._pipelines = pipelines
        self._peers = peers
        self._supply = supply
        self._on_watch = on_watch
        self._token = ""
        self._sessions: dict[str, _Session] = {}
        self._tokens_left, self._filled_at = BURST, 0.0
        self.port = 0
        """Where it listens, once it does."""
        self.app = web.Application(client_max_size=MAX_SDP_CHARS)
        self.add_route("/whep", self._endpoint)
        self.add_route("/whep/{camera}", self._endpoint)
        self.add_route("/session/{session}", self._at_session)

    def add_route(
        self, path: str, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> None:
        """Something else under the same address and token."""
        self.app.router.add_route("*", path, self._guarded(handler))

    async def run(self, on_state: Callable[[str, str], None]) -> None:
        """Serve until cancelled; `on_state("up" | "down", sentence)`.  Where it cannot listen it
        says so and tries again: the address may come with an interface."""
        while True:
            try:
                await self._serve(on_state)
            except (OSError, ValueError) as error:
                on_state("down", f"WHEP on {self._config.host}:{self._config.port}: {error}")
                await asyncio.sleep(BUSY_RETRY_S)

    async def _serve(self, on_state: Callable[[str, str], None]) -> None:
        config = self._config
        self._token = read_token(config.token_file) if config.token_file else ""
        tls = None
        if config.cert_file:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(config.cert_file, config.key_file or None)
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, config.host, config.port, ssl_context=tls).start()
            self.port = runner.addresses[0][1]
            on_state("up", f"WHEP on {config.host}:{self.port}")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    @property
    def viewers(self) -> int:
        return len(self._sessions)

    def ended(self, session: str) -> str | None:
        """A peer is gone: the camera that it watched; None where it was none of these."""
        held = self._sessions.pop(session, None)
        return held.camera if held is not None else None

    # Who may ask, and how answers look.

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            try:
                if request.method != hdrs.METH_OPTIONS:
                    self._check_token(request)
                response = await handler(request)
            except Refusal as refusal:
                response = _problem(refusal)
            except MediaError as error:
                status = _STATUS_OF.get(error.code, HTTPStatus.BAD_GATEWAY)
                headers = {"Retry_After": str(BUSY_RETRY_S)} if status == 503 else {}
                response = _problem(Refusal(status, str(error), **headers))
            self._allow_origin(request, response)
            return response

        return guarded

    def _check_token(self, request: web.Request) -> None:
        if not self._token:
            return
        kind, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        wanted = self._token.encode()
        if kind.lower() != "bearer" or not hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), wanted
        ):
            raise Refusal(
                401, "a bearer token is needed, and this is not it", WWW_Authenticate="Bearer"
            )

    def _allow_origin(self, request: web.Request, response: web.Response) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        allowed = self._config.origins
        if origin is None or not ("*" in allowed or origin in allowed):
            return
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in allowed else origin
        response.headers[hdrs.VARY] = "Origin"
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
        if request.method == hdrs.METH_OPTIONS:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = (
                "Authorization, Content-Type, If-Match, Link"
            )
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"

    def _count(self) -> None:
        """429 for who asks too often."""
        now = asyncio.get_running_loop().time()
        self._tokens_left = min(BURST, self._tokens_left + (now - self._filled_at) * RATE_PER_S)
        self._filled_at = now
        if self._tokens_left < 1:
            raise Refusal(429, "too many requests at a time", Retry_After="1")
        self._tokens_left -= 1

    # The endpoint.

    async def _endpoint(self, request: web.Request) -> web.Response:
        match request.method:
            case hdrs.METH_POST:
                self._count()
                return await self._post(request)
            case hdrs.METH_OPTIONS:
                return self._options(request)
            case hdrs.METH_GET:
                return web.Response(status=204)
            case hdrs.METH_HEAD:
                self._pipeline(request)
                return web.Response(content_type=SDP)
        raise Refusal(
            405, f"{request.method} is not for an endpoint", Allow="GET, HEAD, OPTIONS, POST"
        )

    def _options(self, request: web.Request) -> web.Response:
        """ICE servers too (RFC 9725, 4.6), but never in a preflight, and not without the token."""
        response = web.Response(headers={"Accept-Post": SDP})
        if hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            self._check_token(request)
            self._add_links(response)
        return response

    def _add_links(self, response: web.Response) -> None:
        for link in links(self._supply.for_viewers()):
            response.headers.add("Link", link)

    def _pipeline(self, request: web.Request) -> Pipeline:
        name = request.match_info.get("camera", "")
        if not self._pipelines:
            raise Refusal(404, "this unit has no camera")
        if not name:
            return next(iter(self._pipelines.values()))
        if name not in self._pipelines:
            raise Refusal(404, f"no camera {name!r}; this unit has: {', '.join(self._pipelines)}")
        return self._pipelines[name]

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_type != SDP:
            raise Refusal(415, f"expected {SDP}, read {request.content_type}", Accept_Post=SDP)
        pipeline = self._pipeline(request)
        text = await _text(request)
        limit = self._config.max_sessions
        if len(self._sessions) >= limit:
            raise Refusal(
                503,
                f"{limit} viewers watch here, which is the limit",
                Retry_After=str(BUSY_RETRY_S),
            )
        session = secrets.token_urlsafe(16)
        camera = pipeline.config.name
        try:
            offer = Fragment.of_sdp(text)
            answer = await self._peers.answer(
                session, [VideoPart(session, pipeline), NoVoice()], text
            )
            held = _Session(
                camera=camera, offer=offer, ours=Fragment.of_sdp(answer), etag=_new_etag()
            )
        except FragmentError as error:
            self._on_watch(session, camera, "malformed", str(error))
            raise Refusal(400, str(error)) from error
        except MediaError as error:
            self._on_watch(session, camera, error.code, str(error))
            raise
        self._sessions[session] = held
        self._on_watch(session, camera, "ok", request.remote or "")
        response = web.Response(
            status=201, text=answer, content_type=SDP,
            headers={
                hdrs.LOCATION: f"/session/{session}", hdrs.ETAG: held.etag,
                "Accept-Patch": sdpfrag.TYPE,
            },
        )  # fmt: skip
        self._add_links(response)
        return response

    # A session.

    async def _at_session(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(headers={"Accept-Patch": sdpfrag.TYPE})
        held = self._sessions.get(session)
        if held is None or self._peers.get(session) is None:
            raise Refusal(404, "no such session, or it has ended already")
        match request.method:
            case hdrs.METH_DELETE:
                self._sessions.pop(session, None)
                self._peers.close(session)
                self._on_watch(session, held.camera, "ended", "by the viewer")
                return web.Response()
            case hdrs.METH_PATCH:
                self._count()
                return await self._patch(session, held, request)
            case hdrs.METH_GET | hdrs.METH_HEAD:
                return web.Response(status=204)
        raise Refusal(
            405, f"{request.method} is not for a session", Allow="DELETE, GET, OPTIONS, PATCH"
        )

    async def _patch(self, session: str, held: _Session, request: web.Request) -> web.Response:
        if request.content_type != sdpfrag.TYPE:
            raise Refusal(
                415, f"expected {sdpfrag.TYPE}, read {request.content_type}",
                Accept_Patch=sdpfrag.TYPE,
            )  # fmt: skip
        try:
            theirs = Fragment.parse(await _text(request))
        except FragmentError as error:
            raise Refusal(400, str(error)) from error
        match = request.headers.get(hdrs.IF_MATCH)
        if match is None:
            raise Refusal(428, "If-Match is needed: the session's ETag, or * for an ICE restart")
        if (theirs.ufrag, theirs.pwd) != (held.offer.ufrag, held.offer.pwd):
            if match.strip() != "*":
                raise Refusal(412, "an ICE restart needs If-Match: *")
            return await self._restart(session, held, theirs)
        if match.strip() not in ("*", held.etag):
            raise Refusal(412, f"the session's ETag is not {match}")
        await self._trickle(session, theirs)
        return web.Response(status=204)

    async def _trickle(self, session: str, theirs: Fragment) -> None:
        """A candidate that cannot be used is left out silently (RFC 9725, 4.3.2)."""
        peer = self._peers.get(session)
        transport = transport_of(peer.connection) if peer is not None else None
        if transport is None:
            raise Refusal(404, "no such session, or it has ended already")
        ice = transport._connection
        for line in theirs.candidates:
            try:
                await ice.add_remote_candidate(Candidate.from_sdp(line))
            except (ValueError, IndexError, OSError) as error:
                log.debug("candidate %r is left out: %s", line, error)
        if theirs.complete and not ice._remote_candidates_end:
            await ice.add_remote_candidate(None)

    async def _restart(self, session: str, held: _Session, theirs: Fragment) -> web.Response:
        peer = self._peers.get(session)
        transport = transport_of(peer.connection) if peer is not None else None
        if transport is None:
            raise Refusal(404, "no such session, or it has ended already")
        restart = Restart(transport, self._supply.servers())
        ours = await restart.gather(held.ours)
        for before in list(held.restarts):
            before.cancel()  # only the last one counts
        task = asyncio.create_task(self._finish(restart, theirs, session), name=f"ice {session}")
        held.restarts.add(task)
        task.add_done_callback(held.restarts.discard)
        held.offer, held.ours, held.etag = theirs, ours, _new_etag()
        response = web.Response(text=ours.text(), headers={hdrs.ETAG: held.etag})
        response.headers[hdrs.CONTENT_TYPE] = sdpfrag.TYPE
        return response

    async def _finish(self, restart: Restart, theirs: Fragment, session: str) -> None:
        try:
            await restart.connect(theirs)
        except ConnectionError as error:
            log.info("session %s goes on as it was: %s", session, error)
        else:
            if (peer := self._peers.get(session)) is not None:
                peer.renew()
        finally:
            await restart.abandon()


def _new_etag() -> str:
    """Strong, and its own for each ICE session."""
    return f'"{secrets.token_hex(8)}"'


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "expected UTF-8 text") from error


def _problem(refusal: Refusal) -> web.Response:
    """RFC 9457."""
    body = {"status": int(refusal.status), "detail": str(refusal)}
    response = web.Response(
        status=refusal.status, body=msgspec.json.encode(body), headers=refusal.headers
    )
    response.content_type = "application/problem+json"
    return response
