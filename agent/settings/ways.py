"""What a person may write of the ways out of pictures, checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from agent import topics
from agent.media.ways import config
from agent.media.ways.servers import Address

_NAME = msgspec.Meta(
    pattern=topics.SLUG.pattern, description="1 to 63 of a-z, 0-9 and inner hyphens"
)
_HOURS = msgspec.Meta(gt=0, le=720, description="a number of hours, up to 720")
_GATHER = msgspec.Meta(ge=0.2, le=10, description="0.2 to 10 seconds")
_PORT = msgspec.Meta(ge=0, le=65535, description="0 to 65535")
_SESSIONS = msgspec.Meta(ge=1, le=16, description="1 to 16")
_URLS = msgspec.Meta(min_length=1, max_length=8, description="1 to 8 addresses")


class IceServerTable(config.IceServerTable, frozen=True, kw_only=True):
    """A `[[media.ice.server]]`."""

    urls: Annotated[tuple[str, ...], _URLS]
    credential_hours: Annotated[float, _HOURS] = 12.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        turn = False
        for url in self.urls:
            try:
                turn |= Address.parse(url).scheme != "stun"
            except ValueError as error:
                yield "urls", str(error)
        given = [key for key in ("credential_file", "secret_file") if getattr(self, key)]
        if len(given) == 2:
            yield "secret_file", "given beside credential_file; a server has one of the two"
        if turn and not given:
            yield "urls", "a TURN server needs credential_file (with username) or secret_file"
        if self.credential_file and not self.username:
            yield "credential_file", "given without username"


class IceConfig(config.IceConfig, frozen=True, kw_only=True):
    """`[media.ice]`."""

    server: tuple[IceServerTable, ...] = ()
    gather_s: Annotated[float, _GATHER] = 1.5

    def mistakes(self) -> Iterator[tuple[str, str]]:
        urls = [url for table in self.server for url in table.urls]
        if self.relay_only and not any(url.startswith("turn") for url in urls):
            yield "relay_only", "true, but no [[media.ice.server]] is a TURN server"


class WhipConfig(config.WhipConfig, frozen=True, kw_only=True):
    """A `[[media.whip]]`."""

    name: Annotated[str, _NAME]
    url: Annotated[
        str, msgspec.Meta(pattern=r"\Ahttps?://[^\s/]+", description="an http or https address")
    ]

    def mistakes(self) -> Iterator[tuple[str, str]]:
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            yield "url", "no user or password belongs into an address; use token_file"
        if self.token_file and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield "url", "over http the token could be read by anybody; use https"
        if self.token_hosts and not self.token_file:
            yield "token_hosts", "given without token_file"
        if self.ca_file and parts.scheme == "http":
            yield "ca_file", "given for an address without TLS"


class WhepConfig(config.WhepConfig, frozen=True, kw_only=True):
    """`[media.whep]`."""

    port: Annotated[int, _PORT] = 0
    host: Annotated[str, msgspec.Meta(min_length=1, description="an address to listen on")] = (
        "127.0.0.1"
    )
    max_sessions: Annotated[int, _SESSIONS] = 8

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.port and not is_loopback(self.host) and not self.token_file:
            yield "host", f"who reaches {self.host!r} could watch; token_file is needed"
        if self.key_file and not self.cert_file:
            yield "key_file", "given without cert_file"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
