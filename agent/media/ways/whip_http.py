"""The HTTP side of WHIP (RFC 9725), as a client: strict in what is sent, lenient in what is taken.

A status is read by its class only, as RFC 9725, 4.1 wants it; what a server says beside (RFC 9457)
goes into the sentence.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import ssl
import time
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from agent.media.ways import sdpfrag
from agent.media.ways.servers import IceServer, parse_links
from drivers.address import without_secrets

SDP = "application/sdp"
TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=5.0, sock_connect=5.0)
DELETE_S = 2.0
"""A goodbye to a server that may be gone."""
MAX_REDIRECTS = 5
MAX_BODY_BYTES = 256 * 1024
MAX_RETRY_AFTER_S = 3600.0
MAX_DETAIL_CHARS = 200
METHOD_KEPT = (307, 308)
METHOD_LOST = (301, 302, 303)


class WhipError(Exception):
    """Why nothing is published, in a sentence."""

    def __init__(self, sentence: str, *, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(without_secrets(sentence))
        self.status = status
        """0: no server answered."""
        self.retry_after_s = retry_after_s
        """Not before (RFC 9110, 10.2.3)."""

    @property
    def refused(self) -> bool:
        """4xx: the same again will not do, at least not soon."""
        return 400 <= self.status < 500


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What a POST gave."""

    answer: str
    session: str
    """Empty: the server named none, so that it cannot be told of the end."""
    etag: str
    ice_servers: tuple[IceServer, ...]


class Restarted(msgspec.Struct, frozen=True, kw_only=True):
    fragment: sdpfrag.Fragment
    etag: str


class _Reply(msgspec.Struct, frozen=True):
    status: int
    headers: CIMultiDictProxy[str]
    text: str
    url: str
    """Where the answer came from, after redirects."""


class Exchange:
    """Requests of one publisher.  WhipError: why one failed."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        token_hosts: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._token_places = {_place(url), *(host.lower() for host in token_hosts)}
        connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True, force_close=True)
        self._http = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def post(self, offer: str) -> Created:
        reply = await self._request("POST", self._url, SDP, offer, {"Accept": SDP})
        if not 200 <= reply.status < 300:
            error = _refusal("POST", reply)
            if reply.status in (401, 403) and self._token and not self._may_have_token(reply.url):
                place = _place(reply.url)
                raise WhipError(
                    f"{error}. The token was not sent there: where it may be, name {place!r} in "
                    "token_hosts",
                    status=reply.status,
                )
            raise error
        if not reply.text.lstrip().startswith("v=0"):
            raise WhipError(
                f"{reply.url} answered {reply.status} without an SDP answer; "
                f"its text begins {reply.text[:40]!r}"
            )
        location = reply.headers.get("Location", "")
        session = urljoin(reply.url, location) if location else ""
        if session and not (urlsplit(self._url).scheme == "https" != urlsplit(session).scheme):
            # Who had the token on POST says where its sessions are (RFC 9725, 4.7.1).
            self._token_places.add(_place(session))
        return Created(
            answer=reply.text,
            session=session,
            etag=reply.headers.get("ETag", ""),
            ice_servers=parse_links(reply.headers.getall("Link", [])),
        )

    async def options(self) -> str:
        """Whether the endpoint is there, without publishing anything: its `Accept-Post`."""
        reply = await self._request("OPTIONS", self._url, "", None, {})
        if not 200 <= reply.status < 300:
            raise _refusal("OPTIONS", reply)
        return reply.headers.get("Accept-Post", "")

    async def trickle(self, session: str, fragment: sdpfrag.Fragment, etag: str) -> None:
        """All candidates that the offer lacked, in one request."""
        headers = {"If-Match": etag} if etag else {}
        reply = await self._request("PATCH", session, sdpfrag.TYPE, fragment.text(), headers)
        if not 200 <= reply.status < 300:
            raise _refusal("PATCH", reply)

    async def restart(self, session: str, fragment: sdpfrag.Fragment) -> Restarted:
        headers = {"If-Match": "*", "Accept": sdpfrag.TYPE}
        reply = await self._request("PATCH", session, sdpfrag.TYPE, fragment.text(), headers)
        if not 200 <= reply.status < 300:
            raise _refusal("PATCH", reply)
        try:
            found = sdpfrag.Fragment.parse(reply.text)
        except sdpfrag.FragmentError as error:
            raise WhipError(
                f"{reply.url} answered {reply.status} to an ICE restart, but {error}"
            ) from error
        return Restarted(fragment=found, etag=reply.headers.get("ETag", ""))

    async def delete(self, session: str) -> None:
        """No entity-tag (RFC 9725, 4.3.1)."""
        async with asyncio.timeout(DELETE_S):
            reply = await self._request("DELETE", session, "", None, {})
        if not 200 <= reply.status < 300:
            raise _refusal("DELETE", reply)

    async def _request(
        self, method: str, url: str, kind: str, body: str | None, headers: dict[str, str]
    ) -> _Reply:
        """Follows what keeps the method, and takes the token no further than it may go."""
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._once(method, url, kind, body, headers)
            if reply.status in METHOD_LOST:
                raise WhipError(
                    f"{url} redirects with {reply.status}, which would turn {method} into GET "
                    "(RFC 9725, 4.5: 307 or 308 is expected); it is not followed",
                    status=reply.status,
                )
            if reply.status not in METHOD_KEPT:
                return reply
            url = self._redirected(url, reply)
        raise WhipError(f"{self._url} redirects more than {MAX_REDIRECTS} times")

    def _redirected(self, url: str, reply: _Reply) -> str:
        location = reply.headers.get("Location", "")
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
        if not location or scheme not in ("http", "https"):
            raise WhipError(f"{url} redirects to {location!r}, expected an http or https address")
        if urlsplit(url).scheme == "https" and scheme == "http":
            raise WhipError(f"{url} redirects to {target}, which has no TLS; it is not followed")
        return target

    def _may_have_token(self, url: str) -> bool:
        """The configured server, and hosts that were named (with any port where none is named)."""
        host = (urlsplit(url).hostname or "").lower()
        return bool({_place(url), host} & self._token_places)

    async def _once(
        self, method: str, url: str, kind: str, body: str | None, headers: dict[str, str]
    ) -> _Reply:
        headers = dict(headers)
        if kind:
            headers["Content-Type"] = kind
        if self._token and self._may_have_token(url):
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            async with self._http.request(
                method,
                URL(url, encoded=True),
                data=body.encode() if body is not None else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                data = bytearray()
                async for chunk in response.content.iter_chunked(16 * 1024):
                    data += chunk
                    if len(data) > MAX_BODY_BYTES:
                        raise WhipError(f"{url} answers with more than {MAX_BODY_BYTES} bytes")
                text = data.decode("utf-8", "replace")
                return _Reply(response.status, response.headers, text, url)
        except TimeoutError as error:
            raise WhipError(f"{url} did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WhipError(f"{url} cannot be reached: {error}") from error


def _place(url: str) -> str:
    """Host and port: another port may be another owner's server."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{(parts.hostname or '').lower()}:{port}"


def retry_after_s(value: str, now_s: float) -> float:
    """Seconds, or the date of a `Retry-After`; 0 where it says nothing that can be read."""
    value = value.strip()
    if value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_S)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return 0.0
    return min(max(0.0, then.timestamp() - now_s), MAX_RETRY_AFTER_S)


def _refusal(method: str, reply: _Reply) -> WhipError:
    reason = {
        4: "refuses",
        5: "cannot take",
    }.get(reply.status // 100, "answers unexpectedly to")
    detail = _detail(reply)
    sentence = f"{reply.url} {reason} the {method} ({reply.status})"
    wait_s = retry_after_s(reply.headers.get("Retry-After", ""), time.time())
    if wait_s:
        sentence += f", and asks to wait {wait_s:.0f} s"
    return WhipError(
        sentence + (f": {detail}" if detail else ""), status=reply.status, retry_after_s=wait_s
    )


def _detail(reply: _Reply) -> str:
    """What a problem statement (RFC 9457) or a plain text says."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    text = reply.text
    if kind in ("application/problem+json", "application/json"):
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict):
            parts = (said.get("title"), said.get("detail"), said.get("error"))
            text = "; ".join(part for part in parts if isinstance(part, str))
    elif kind == "text/html":
        return ""
    text = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return text[:MAX_DETAIL_CHARS]
