"""Where a broker is, how to come in, and how to come back."""

from __future__ import annotations

import random
import ssl
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS 1.2 or newer.  Paths of PEM files; the key's password is not supported."""

    ca_file: str = ""
    """Certificates to trust; empty: the system's."""
    cert_file: str = ""
    key_file: str = ""

    def context(self) -> ssl.SSLContext:
        """OSError or ssl.SSLError where a file cannot be read or is no certificate."""
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file or None)
        return context


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """Where a broker is and how to come in."""

    host: str
    port: int
    tls: Tls | None = None
    username: str = ""
    password: str = ""
    keepalive_s: int = 15

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`mqtt://[user[:password]@]host[:1883]`, or `mqtts://...[:8883]` with the system's
        certificates.  ValueError says what was expected."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(
                f"a broker's address is mqtt://[user@]host[:port] or mqtts://..., but read {url!r}"
            )
        try:
            port = parts.port
        except ValueError as error:
            raise ValueError(f"a broker's port is 1 to 65535, but read {url!r}") from error
        secure = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=port or (8883 if secure else 1883),
            tls=Tls() if secure else None,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


class Backoff:
    """Waiting times that double up to a ceiling, each with a random part (no storm of units)."""

    def __init__(self, first_s: float, ceiling_s: float) -> None:
        self._first_s = first_s
        self._ceiling_s = ceiling_s
        self._next_s = first_s

    def reset(self) -> None:
        self._next_s = self._first_s

    def next_s(self) -> float:
        """Between half of the present step and all of it; the step doubles."""
        step = self._next_s
        self._next_s = min(self._ceiling_s, step * 2)
        return random.uniform(step / 2, step)
