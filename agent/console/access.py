"""Who may use the console: tokens, cookies, origins, and the headers that a browser should get.

On loopback no token is needed, but the Host header must name loopback: else a foreign page could
come in by a name that it lets point here (DNS rebinding).  Elsewhere everything needs the token:
the page by `/?token=...`, which becomes a cookie, a program by `Authorization: Bearer`.  A token
file may hold one token for everybody, or one for each operator with that person's name.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import hdrs, web

HERE = "console"
"""What stands in `by` before a name, and alone where nobody has given one."""
MIN_TOKEN_CHARACTERS = 16
NAME_MAX = 40
"""Characters of an operator's name."""
_COOKIES = {"token": "outpost_console", "instructor": "outpost_instructor"}
_COOKIE_S = 7 * 24 * 3600
_CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_DELETE, hdrs.METH_PATCH, hdrs.METH_PUT})


class AccessError(ValueError):
    """A token file that cannot serve; its text says why."""


class Token(msgspec.Struct, frozen=True):
    """A secret, and whose it is."""

    secret: str
    operator: str = ""
    """Empty: everybody's."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one console."""

    tokens: tuple[Token, ...] = ()
    """Empty: open, for loopback only."""
    instructor_token: str = ""
    """Empty: nobody is an instructor."""
    map_origin: str = ""
    """`https://host` from which the page fetches its map; empty: none."""

    def is_instructor(self, request: web.Request) -> bool:
        return self._has(request, "instructor", self.instructor_token)

    def operator(self, request: web.Request) -> str:
        """Whom the token of a request names; empty: nobody."""
        held = (one for one in self.tokens if self._has(request, "token", one.secret))
        return next((one.operator for one in held if one.operator), "")

    def by(self, request: web.Request, typed: str) -> str:
        """Who does something here, as units write it down: by the token, or as the page says it.
        ValueError: nobody is called so."""
        name = self.operator(request) or typed.strip()
        if not name:
            return HERE
        if not is_name(name):
            raise ValueError(
                f"'by' is a name of at most {NAME_MAX} printable characters without '/'"
            )
        return f"{HERE}/{name}"

    def check(self, request: web.Request) -> None:
        """HTTPUnauthorized or HTTPForbidden, with a sentence, for who may not come in."""
        if self.tokens:
            if not any(self._has(request, "token", one.secret) for one in self.tokens):
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
            if name == "token" and not self.tokens:
                continue
            secret = next((one for one in self._secrets(name) if _same(value, one)), "")
            if not secret:
                raise web.HTTPForbidden(text=f"This is not the {name} of this console.\n")
            response.set_cookie(
                _COOKIES[name], _cookie(secret, name), max_age=_COOKIE_S, httponly=True,
                samesite="Lax", secure=request.secure, path="/",
            )  # fmt: skip
        return response

    def _secrets(self, name: str) -> list[str]:
        if name == "token":
            return [one.secret for one in self.tokens]
        return [self.instructor_token] if self.instructor_token else []

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
    return _checked(_read(path).strip(), f"the token file {path} must hold")


def read_tokens(path: Path) -> tuple[Token, ...]:
    """One token for everybody, or a line `TOKEN NAME` for each operator (`#` begins a remark).
    AccessError says what is wrong."""
    lines = [line for line in _read(path).splitlines() if line.strip() and line.strip()[0] != "#"]
    found = [line.split(None, 1) for line in lines]
    if len(found) <= 1 and all(len(parts) == 1 for parts in found):
        return (Token(read_token(path)),)
    tokens: list[Token] = []
    for parts in found:
        where = f"the token file {path}, line {len(tokens) + 1}"
        if len(parts) != 2 or not is_name(name := parts[1].strip()):
            raise AccessError(
                f"{where}: expected TOKEN NAME, the name printable, without '/' and of at most "
                f"{NAME_MAX} characters"
            )
        secret = _checked(parts[0], f"{where} must have")
        if any(secret == one.secret or name == one.operator for one in tokens):
            raise AccessError(f"{where}: its token or its name is there already")
        tokens.append(Token(secret, name))
    return tuple(tokens)


def is_name(text: str) -> bool:
    """Fit to stand in `by` as a person's."""
    return 0 < len(text) <= NAME_MAX and text.isprintable() and "/" not in text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AccessError(f"the token file {path} cannot be read: {reason}") from error


def _checked(token: str, must: str) -> str:
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise AccessError(
            f"{must} at least {MIN_TOKEN_CHARACTERS} printable ASCII characters, but holds "
            f"{len(token)} characters"
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
