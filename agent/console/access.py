"""Who may use the console: tokens, cookies, origins, and the headers that a browser should get.

On loopback no token is needed, but the Host header must name loopback: else a foreign page could
come in by a name that it lets point here (DNS rebinding).  Elsewhere everything needs the token:
the page by `/?token=...`, which becomes a cookie, a program by `Authorization: Bearer`.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import hdrs, web

MIN_TOKEN_CHARACTERS = 16
_COOKIES = {"token": "outpost_console", "instructor": "outpost_instructor"}
_COOKIE_S = 7 * 24 * 3600
_CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_DELETE, hdrs.METH_PATCH, hdrs.METH_PUT})


class AccessError(ValueError):
    """A token file that cannot serve; its text says why."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one console."""

    token: str = ""
    """Empty: open, for loopback only."""
    instructor_token: str = ""
    """Empty: nobody is an instructor."""
    map_origin: str = ""
    """`https://host` from which the page fetches its map; empty: none."""

    def is_instructor(self, request: web.Request) -> bool:
        return self._has(request, "instructor", self.instructor_token)

    def check(self, request: web.Request) -> None:
        """HTTPUnauthorized or HTTPForbidden, with a sentence, for who may not come in."""
        if self.token:
            if not self._has(request, "token", self.token):
                raise web.HTTPUnauthorized(
                    text="This console needs its token: open the address that ends in ?token=...\n"
                )
        elif not is_loopback(_host_name(request)):
            raise web.HTTPForbidden(
                text=f"This console is for this machine only, not for {_host_name(request)!r}.\n"
            )
        self._check_origin(request)

    def enter(self, request: web.Request) -> web.Response | None:
        """For `/?token=...` and `/?instructor=...`: the same page without the secret in its
        address, and a cookie; None where the address has no secret."""
        given = {name: request.query[name] for name in _COOKIES if name in request.query}
        if not given:
            return None
        rest = [(name, value) for name, value in request.query.items() if name not in _COOKIES]
        response = web.Response(status=303)
        response.headers[hdrs.LOCATION] = "/" + (f"?{urlencode(rest)}" if rest else "")
        for name, value in given.items():
            secret = self.token if name == "token" else self.instructor_token
            if not secret and name == "token":
                continue
            if not secret or not _same(value, secret):
                raise web.HTTPForbidden(text=f"This is not the {name} of this console.\n")
            response.set_cookie(
                _COOKIES[name], _cookie(secret, name), max_age=_COOKIE_S, httponly=True,
                samesite="Lax", secure=request.secure, path="/",
            )  # fmt: skip
        return response

    def headers(self) -> dict[str, str]:
        """For every answer."""
        outside = f" {self.map_origin}" if self.map_origin else ""
        policy = (
            "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' data: blob:{outside}; connect-src 'self'{outside}; "
            "media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), usb=(), serial=()",
        }

    def _has(self, request: web.Request, name: str, secret: str) -> bool:
        if not secret:
            return False
        kind, _, bearer = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if kind.lower() == "bearer" and _same(bearer.strip(), secret):
            return True
        return _same(request.cookies.get(_COOKIES[name], ""), _cookie(secret, name))

    def _check_origin(self, request: web.Request) -> None:
        """A browser says where a page that posts or opens a WebSocket comes from; a program
        that is no browser says nothing."""
        upgrading = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not (upgrading or request.method in _CHANGING):
            return
        if urlsplit(origin).netloc.lower() != request.host.lower():
            raise web.HTTPForbidden(text=f"A page of {origin} may not use this console.\n")


def read_token(path: Path) -> str:
    """The token in a file, without the white space around it.  AccessError says what is wrong."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AccessError(f"the token file {path} cannot be read: {reason}") from error
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise AccessError(
            f"the token file {path} must hold at least {MIN_TOKEN_CHARACTERS} printable ASCII "
            f"characters, but holds {len(token)} characters"
        )
    return token


def is_loopback(host: str) -> bool:
    """`localhost`, or an address of this machine's own network."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(request: web.Request) -> str:
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _cookie(secret: str, name: str) -> str:
    """Known to who has the secret; does not give it away."""
    return hmac.new(secret.encode(), f"outpost {name} cookie".encode(), hashlib.sha256).hexdigest()
