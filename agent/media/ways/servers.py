"""STUN and TURN servers: addresses, `Link` headers, and credentials with an end.

Pure: the console and the core use it too.  RFC 7064 and 7065 (URIs), RFC 9725, 4.6 (Link), and
the TURN REST API (draft-uberti-behave-turn-rest), which coturn calls `use-auth-secret`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator

import msgspec

URI = re.compile(
    r"(?P<scheme>stun|turns?):(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:?/@\[\]]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)
EXPECTED = "expected stun:HOST[:PORT], turn:HOST[:PORT][?transport=udp|tcp] or turns:HOST[:PORT]"
MAX_LINKS = 16
"""So many servers are taken from one answer."""


class IceServer(msgspec.Struct, frozen=True, kw_only=True):
    """As `RTCIceServer` of the W3C, so that a page can use it as it is."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class Address(msgspec.Struct, frozen=True):
    """One URI, taken apart."""

    scheme: str
    """`stun`, `turn` or `turns`."""
    host: str
    port: int
    transport: str
    """`udp` or `tcp`."""

    @classmethod
    def parse(cls, uri: str) -> Address:
        """ValueError: what is wrong with it."""
        match = URI.fullmatch(uri)
        if match is None:
            raise ValueError(f"{EXPECTED}, read {uri!r}")
        scheme, given = match["scheme"], match["transport"]
        if scheme == "stun" and given:
            raise ValueError(f"a stun: address has no transport (RFC 7064), read {uri!r}")
        if scheme == "turns" and given == "udp":
            raise ValueError(f"turns: goes over TCP here (TLS; DTLS is not spoken), read {uri!r}")
        port = int(match["port"] or (5349 if scheme == "turns" else 3478))
        if not 0 < port < 65536:
            raise ValueError(f"a port is 1 to 65535, read {uri!r}")
        transport = "tcp" if scheme == "turns" else given or "udp"
        return cls(scheme, match["host"].strip("[]"), port, transport)


def credentials(secret: str, name: str, now_s: float, life_s: float) -> tuple[str, str]:
    """User name and password that a TURN server with this shared secret takes until `now_s +
    life_s` (UTC seconds)."""
    username = f"{int(now_s + life_s)}:{name}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def links(servers: Iterable[IceServer]) -> list[str]:
    """The values of `Link` headers, one for each URI."""
    found = []
    for server in servers:
        for url in server.urls:
            value = f'<{url}>; rel="ice-server"'
            if url.startswith("turn") and server.username:
                value += (
                    f"; username={_quoted(server.username)}"
                    f"; credential={_quoted(server.credential)}"
                    '; credential-type="password"'
                )
            found.append(value)
    return found


_TARGET = re.compile(r"\s*,?\s*<([^>]*)>")
_PARAMETER = re.compile(
    r'\s*;\s*([!#$%&\'*+.^_`|~\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,]*)))?'
)


def _link_values(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each link of a header (RFC 8288): several may be folded into one by commas, and a quoted
    string may hold commas and semicolons."""
    at = 0
    while target := _TARGET.match(header, at):
        at = target.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            name, quoted, plain = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain or ""
            parameters.setdefault(name.lower(), value)
        yield target[1], parameters


def parse_links(headers: Iterable[str]) -> tuple[IceServer, ...]:
    """The ICE servers in `Link` headers.  What is none, or cannot be used, is left out: an answer
    is not refused for a server that we do not understand."""
    found: list[IceServer] = []
    for header in headers:
        for target, parameters in _link_values(header):
            if "ice-server" not in parameters.get("rel", "").lower().split():
                continue
            if parameters.get("credential-type", "password") != "password":
                continue
            try:
                Address.parse(target)
            except ValueError:
                continue
            found.append(
                IceServer(
                    urls=(target,),
                    username=parameters.get("username", ""),
                    credential=parameters.get("credential", ""),
                )
            )
    return tuple(found[:MAX_LINKS])
