"""What the ways out are told: the tables `[media.ice]`, `[[media.whip]]` and `[media.whep]`.

Pure; agent/settings/ways.py checks what a person wrote, config/media.toml is the manual.
"""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path

import msgspec

from agent.media.ways.servers import IceServer, credentials


class IceServerTable(msgspec.Struct, frozen=True, kw_only=True):
    """A `[[media.ice.server]]`."""

    urls: tuple[str, ...]
    username: str = ""
    credential_file: str = ""
    secret_file: str = ""
    """A secret shared with the TURN server, from which credentials with an end are made."""
    credential_hours: float = 12.0
    ca_file: str = ""
    """Trusted for `turns:`; the system's where empty."""
    viewers: bool = True
    """Whether viewers are told of it too."""

    def server(self, name: str, now_s: float) -> IceServer:
        """With its credentials of now.  OSError: a file cannot be read."""
        username, credential = self.username, ""
        if self.secret_file:
            secret = _secret(self.secret_file)
            life_s = self.credential_hours * 3600
            username, credential = credentials(secret, self.username or name, now_s, life_s)
        elif self.credential_file:
            credential = _secret(self.credential_file)
        return IceServer(urls=self.urls, username=username, credential=credential)


class IceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`[media.ice]`.  No server unless configured: one that cannot be reached would cost time."""

    server: tuple[IceServerTable, ...] = ()
    relay_only: bool = False
    gather_s: float = 1.5
    """So long servers are waited for; host addresses are there at once."""

    def servers(self, name: str, now_s: float | None = None) -> tuple[IceServer, ...]:
        """All, with credentials.  OSError."""
        now_s = time.time() if now_s is None else now_s
        return tuple(table.server(name, now_s) for table in self.server)

    def for_viewers(self, name: str, now_s: float | None = None) -> tuple[IceServer, ...]:
        """Those that a viewer is told of.  OSError."""
        now_s = time.time() if now_s is None else now_s
        return tuple(table.server(name, now_s) for table in self.server if table.viewers)


class Start(StrEnum):
    ALWAYS = "always"
    ASKED = "asked"


class WhipConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A `[[media.whip]]`: one camera to one media server."""

    name: str
    url: str
    camera: str = ""
    """The first one where empty."""
    voice: bool = False
    """The microphone's sound beside it, by the rules of `[media.voice]`."""
    start: Start = Start.ALWAYS
    token_file: str = ""
    token_hosts: tuple[str, ...] = ()
    """Hosts beside the URL's own that a redirect may carry the token to."""
    ca_file: str = ""


class WhepConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`[media.whep]`: this unit's own WHEP server."""

    port: int = 0
    """0: none."""
    host: str = "127.0.0.1"
    token_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    origins: tuple[str, ...] = ("*",)
    max_sessions: int = 8


def _secret(path: str) -> str:
    """OSError: the file cannot be read, or is no text."""
    try:
        return Path(path).read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise OSError(f"{path}: it is not UTF-8 text") from error


def read_token(path: str) -> str:
    """A bearer token.  OSError: the file cannot be read or holds no token."""
    token = _secret(path)
    if not token or not token.isascii() or any(c.isspace() or not c.isprintable() for c in token):
        raise OSError(f"{path}: expected one token of printable ASCII characters without spaces")
    return token
