"""A WHIP media server, written from RFC 9725's text and strict about each MUST of a client.

It shares no code with the agent: aiohttp, aiortc and aioice alone.  ICE restarts, which aiortc does
not know, are made by putting a new aioice connection under the DTLS transport.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aioice
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

FRAGMENT = "application/trickle-ice-sdpfrag"
HEX_AND_ICE = re.compile(r"[A-Za-z0-9+/]+\Z")


@dataclass
class Rules:
    """How this server behaves."""

    token: str = ""
    location: str = "relative"
    """`relative`, `absolute`, or `none` (which the RFC does not allow)."""
    etag: bool = True
    trickle: bool = True
    restarts: bool = True
    patch: bool = True
    """False: PATCH is not known at all (405)."""
    links: list[str] = field(default_factory=list)
    busy: int = 0
    """So many POSTs are answered 503 first."""
    retry_after: str = "1"
    refuse: int = 0
    """This status to each POST, with a problem statement."""
    redirect: tuple[int, str] | None = None
    """Status and Location of POSTs to the endpoint."""
    body: str | None = None
    """In place of the answer."""
    takes: tuple[str, ...] = ("audio", "video")
    """Sections of another kind are refused (RFC 3264, 6: port 0, out of the bundle)."""


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int = 0


@dataclass
class Session:
    id: str
    connection: RTCPeerConnection
    offer: dict[str, str]
    etag: str
    frames: int = 0
    """Pictures decoded."""
    heard: list[Any] = field(default_factory=list)
    """Sound decoded: `av.AudioFrame`."""
    restarts: int = 0
    trickled: list[str] = field(default_factory=list)
    deleted: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Rejected(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def sections(sdp: str) -> list[list[str]]:
    """Session part first, then each `m=` section."""
    parts: list[list[str]] = [[]]
    for line in sdp.replace("\r\n", "\n").strip().split("\n"):
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def value(lines: list[str], name: str) -> str | None:
    for line in lines:
        if line == f"a={name}":
            return ""
        if line.startswith(f"a={name}:"):
            return line.partition(":")[2]
    return None


def check_offer(sdp: str) -> dict[str, str]:
    """ICE's part of the offerer-tagged section.  Rejected says which MUST is broken."""
    if "\r\n" not in sdp or not sdp.startswith("v=0"):
        raise Rejected(400, "no SDP with CRLF lines")
    head, *media = sections(sdp)
    if not media:
        raise Rejected(400, "no m= section")
    kinds = Counter(part[0][2:].split()[0] for part in media)
    if any(count > 1 for count in kinds.values()) or not set(kinds) <= {"audio", "video"}:
        raise Rejected(422, f"4.4.2: one track of a kind at most, {dict(kinds)}")
    group = next((line for line in head if line.startswith("a=group:BUNDLE ")), "")
    mids = [value(part, "mid") for part in media]
    if group.split()[1:] != mids:
        raise Rejected(400, f"4.4.1: all sections in one bundle, {group!r} and {mids}")
    streams = set()
    for part in media:
        directions = [
            d for d in ("sendonly", "sendrecv", "recvonly", "inactive") if value(part, d) == ""
        ]
        if directions not in (["sendonly"], ["sendrecv"]):
            raise Rejected(422, f"4.2: sendonly or sendrecv, {directions}")
        for name in ("rtcp-mux", "rtcp-mux-only"):
            if value(part, name) is None:
                raise Rejected(422, f"4.4.1: a={name} in each section")
        setup = value(part, "setup") or value(head, "setup")
        if setup not in ("actpass", "active"):
            raise Rejected(422, f"4.4.4: setup:actpass or active, {setup!r}")
        streams.add((value(part, "msid") or "").split(" ")[0])
    if len(streams) != 1 or "" in streams:
        raise Rejected(422, f"4.4.2: one MediaStream, {streams}")
    if value(media[0], "ice-lite") is not None or value(head, "ice-lite") is not None:
        raise Rejected(422, "4.4.5: a client must be full ICE")
    found = {}
    for name in ("ice-ufrag", "ice-pwd"):
        found[name] = value(media[0], name) or value(head, name) or ""
        if not HEX_AND_ICE.match(found[name]):
            raise Rejected(400, f"no {name}")
    found["mid"] = mids[0] or ""
    found["group"] = group
    return found


def check_fragment(text: str, offer: dict[str, str]) -> tuple[str, str, list[str], bool]:
    """ufrag, pwd, candidates and whether they end (RFC 8840, 4.4; RFC 9725, 4.3.2)."""
    head, *media = sections(text)
    if len(media) != 1:
        raise Rejected(400, f"4.3.2: only the offerer-tagged m= line, read {len(media)}")
    if value(media[0], "mid") != offer["mid"]:
        raise Rejected(400, f"not the offerer-tagged mid {offer['mid']}")
    if offer["group"] not in head:
        raise Rejected(400, "RFC 8840, 4.4: the bundle's group line")
    ufrag, pwd = (
        value(media[0], name) or value(head, name) or "" for name in ("ice-ufrag", "ice-pwd")
    )
    if not HEX_AND_ICE.match(ufrag) or len(ufrag) < 4 or len(pwd) < 22:
        raise Rejected(400, "no ICE credentials")
    candidates = [
        line[len("a=candidate:") :] for line in media[0] if line.startswith("a=candidate:")
    ]
    return ufrag, pwd, candidates, value(media[0], "end-of-candidates") is not None


class WhipServer:
    """`url` is the endpoint once `running` has begun."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.requests: list[Seen] = []
        self.sessions: dict[str, Session] = {}
        self.url = ""
        self.news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.app = web.Application()
        self.app.router.add_route("*", "/whip/endpoint", self._endpoint)
        self.app.router.add_route("*", "/whip/other", self._other)
        self.app.router.add_route("*", "/session/{id}", self._session)

    async def _other(self, request: web.Request) -> web.Response:
        """A redirection's end."""
        return await self._seen(request, self._create)

    async def _endpoint(self, request: web.Request) -> web.Response:
        return await self._seen(request, self._at_endpoint)

    async def _seen(self, request: web.Request, serve: Callable[..., Any]) -> web.Response:
        body = await request.text()
        seen = Seen(request.method, request.path, dict(request.headers), body)
        self.requests.append(seen)
        try:
            self._check_token(request)
            response: web.Response = await serve(request, body)
        except Rejected as rejected:
            response = web.json_response(
                {"title": "refused", "detail": str(rejected)}, status=rejected.status,
                content_type="application/problem+json",
            )  # fmt: skip
        seen.status = response.status
        response.headers.setdefault("Access-Control-Allow-Origin", "*")
        self.news.set()
        return response

    def _check_token(self, request: web.Request) -> None:
        if request.method == "OPTIONS":
            return
        given = request.headers.get("Authorization")
        wanted = f"Bearer {self.rules.token}" if self.rules.token else None
        if given != wanted:
            raise Rejected(401, f"Authorization: {'wrong or missing' if wanted else 'not wanted'}")

    async def _at_endpoint(self, request: web.Request, body: str) -> web.Response:
        rules = self.rules
        if request.method == "OPTIONS":
            return web.Response(headers={"Accept-Post": "application/sdp"})
        if request.method == "GET":
            return web.Response(status=204)
        if request.method != "POST":
            raise Rejected(405, "POST is expected")
        if rules.redirect is not None:
            status, location = rules.redirect
            return web.Response(status=status, headers={"Location": location})
        return await self._create(request, body)

    async def _create(self, request: web.Request, body: str) -> web.Response:
        rules = self.rules
        if request.method != "POST":
            raise Rejected(405, "POST is expected")
        if rules.busy > 0:
            rules.busy -= 1
            return web.Response(status=503, headers={"Retry-After": rules.retry_after})
        if rules.refuse:
            raise Rejected(rules.refuse, "this server was told to refuse")
        if request.headers.get("Content-Type") != "application/sdp":
            raise Rejected(415, f"4.2: application/sdp, {request.headers.get('Content-Type')}")
        offer = check_offer(body)
        if rules.body is not None:
            return web.Response(status=201, text=rules.body, content_type="application/sdp")
        session = await self._answer(offer, body)
        headers = {}
        if rules.location != "none":
            path = f"/session/{session.id}"
            headers["Location"] = (
                str(request.url.origin().with_path(path))
                if rules.location == "absolute"
                else f"../..{path}"
            )
        if rules.etag:
            headers["ETag"] = session.etag
        response = web.Response(
            status=201, text=self._taken(session.connection.localDescription.sdp),
            headers=headers, content_type="application/sdp",
        )  # fmt: skip
        for link in rules.links:
            response.headers.add("Link", link)
        return response

    async def _answer(self, offer: dict[str, str], sdp: str) -> Session:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        session = Session(secrets.token_hex(8), connection, offer, self._new_etag())
        self.sessions[session.id] = session
        connection.on("track", lambda track: self._spawn(self._count(session, track)))
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return session

    def _taken(self, answer: str) -> str:
        """With the sections that are refused as RFC 3264, 6 and RFC 9143, 7.3.3 have them."""
        head, *media = sections(answer)
        refused = [part for part in media if part[0][2:].split()[0] not in self.rules.takes]
        mids = [value(part, "mid") or "" for part in media if part not in refused]
        lines = [
            f"a=group:BUNDLE {' '.join(mids)}" if line.startswith("a=group:BUNDLE") else line
            for line in head
        ]
        for part in media:
            kind, _, *rest = part[0].split()
            gone = [" ".join((kind, "0", *rest)), "c=IN IP4 0.0.0.0", "a=inactive"]
            lines += gone if part in refused else part
        return "\r\n".join([*lines, ""])

    @staticmethod
    def _new_etag() -> str:
        return f'"{secrets.token_hex(4)}"'

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _count(self, session: Session, track: Any) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    session.frames += 1
                else:
                    session.heard.append(frame)
                self.news.set()

    async def _session(self, request: web.Request) -> web.Response:
        return await self._seen(request, self._at_session)

    async def _at_session(self, request: web.Request, body: str) -> web.Response:
        session = self.sessions.get(request.match_info["id"])
        if session is None or session.deleted:
            raise Rejected(404, "no such session")
        if request.method == "GET":
            return web.Response(status=204)
        if request.method == "DELETE":
            if "If-Match" in request.headers:
                raise Rejected(400, "4.3.1: no entity-tag is wanted in DELETE")
            session.deleted = True
            await session.connection.close()
            return web.Response()
        if request.method != "PATCH" or not self.rules.patch:
            raise Rejected(
                405, "PATCH is not known here" if not self.rules.patch else "PATCH or DELETE"
            )
        return await self._patch(session, request, body)

    async def _patch(self, session: Session, request: web.Request, body: str) -> web.Response:
        rules = self.rules
        if request.headers.get("Content-Type") != FRAGMENT:
            raise Rejected(415, f"4.3.1: {FRAGMENT}, {request.headers.get('Content-Type')}")
        ufrag, pwd, candidates, ended = check_fragment(body, session.offer)
        restarting = (ufrag, pwd) != (session.offer["ice-ufrag"], session.offer["ice-pwd"])
        match = request.headers.get("If-Match")
        if rules.restarts and match is None:
            raise Rejected(428, "an entity-tag is required")
        if restarting and match != "*":
            raise Rejected(412, "4.3.3: If-Match: * to restart")
        if not restarting and rules.restarts and match != session.etag:
            raise Rejected(412, f"{match} is not {session.etag}")
        if (restarting and not rules.restarts) or (not restarting and not rules.trickle):
            raise Rejected(422, "not both of trickle and restart are supported here")
        if not restarting:
            transport = session.connection.getTransceivers()[0].receiver.transport.transport
            session.trickled += candidates
            for candidate in candidates:
                await transport._connection.add_remote_candidate(
                    aioice.Candidate.from_sdp(candidate)
                )
            if ended:
                await transport.addRemoteCandidate(None)
            return web.Response(status=204)
        return await self._restart(session, ufrag, pwd, candidates)

    async def _restart(
        self, session: Session, ufrag: str, pwd: str, candidates: list[str]
    ) -> web.Response:
        new = aioice.Connection(ice_controlling=False)
        await new.gather_candidates()
        new.remote_username, new.remote_password = ufrag, pwd
        for candidate in candidates:
            await new.add_remote_candidate(aioice.Candidate.from_sdp(candidate))
        await new.add_remote_candidate(None)
        session.offer |= {"ice-ufrag": ufrag, "ice-pwd": pwd}
        session.etag = self._new_etag()
        self._spawn(self._swap(session, new))
        mid = session.offer["mid"]
        lines = [
            session.offer["group"], "m=video 9 UDP/TLS/RTP/SAVPF 96", f"a=mid:{mid}",
            f"a=ice-ufrag:{new.local_username}", f"a=ice-pwd:{new.local_password}",
            *(f"a=candidate:{candidate.to_sdp()}" for candidate in new.local_candidates),
            "a=end-of-candidates", "",
        ]  # fmt: skip
        response = web.Response(text="\r\n".join(lines), headers={"ETag": session.etag})
        response.headers["Content-Type"] = FRAGMENT
        return response

    async def _swap(self, session: Session, new: aioice.Connection) -> None:
        await new.connect()
        transport = session.connection.getTransceivers()[0].receiver.transport.transport
        old = transport._connection
        new._queue, old._queue = old._queue, new._queue
        new._event_waiter, old._event_waiter = old._event_waiter, None
        transport._connection = new
        transport._recv, transport._send = new.recv, new.send
        await old.close()
        session.restarts += 1
        self.news.set()

    def only(self) -> Session:
        (session,) = [s for s in self.sessions.values() if not s.deleted]
        return session

    def methods(self) -> list[str]:
        return [f"{seen.method} {seen.status}" for seen in self.requests]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self.news.wait()

    async def close(self) -> None:
        for session in self.sessions.values():
            await session.connection.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def running(rules: Rules | None = None, tls: Any = None) -> AsyncIterator[WhipServer]:
    server = WhipServer(rules)
    runner = web.AppRunner(server.app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/whip/endpoint"
    try:
        yield server
    finally:
        await server.close()
        await runner.cleanup()
