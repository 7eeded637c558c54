"""Where a broker is, how to come in and come back, and what goes to and fro."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

import msgspec

from drivers.address import without_secrets


class MqttError(OSError):
    """A connection that could not be made or was refused; its text says which broker and why."""

    code = 0
    """MQTT 5's reason code, where the broker gave one."""


def why_refused(code: int) -> str:
    """What a PUBACK's reason code of MQTT 5 means."""
    words = {0x87: "its access list forbids it", 0x97: "its quota is used up"}
    return words.get(code, f"0x{code:02x}")


class RefusedTopicError(MqttError):
    """The connection stands, but the broker does not allow a topic."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS 1.2 or newer.  Paths of PEM files; the key's password is not supported."""

    ca_file: str = ""
    """Certificates to trust; empty: the system's."""
    cert_file: str = ""
    key_file: str = ""
    pins: tuple[str, ...] = ()
    """SHA-256 in hex, with or without colons: one certificate of the server's chain must have one
    of them; empty: whatever is trusted."""

    def context(self) -> ssl.SSLContext:
        """ValueError names the file that cannot be used, and why."""
        for path in (self.ca_file, self.cert_file, self.key_file):
            _must_be_readable(path)
        must_be_private(self.key_file)
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except ssl.SSLError as error:
            raise ValueError(f"{self.ca_file} holds no PEM certificate") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _socket_class(self.pins)
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file or None, _no_password)
            except ssl.SSLError as error:
                raise ValueError(
                    f"{self.cert_file} and {self.key_file or 'the key in it'} are no PEM "
                    f"certificate and its key without a password ({error.reason or error})"
                ) from error
        return context


class TlsSocket(ssl.SSLSocket):
    """paho leaves a socket open whose handshake has failed, and does not say why one has ended: in
    TLS 1.3 a server looks at our certificate after the handshake."""

    alert: ClassVar[str] = ""
    """OpenSSL's name of why the server has ended it."""

    def recv(self, *args: Any) -> bytes:
        try:
            return super().recv(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            type(self).alert = error.reason or ""
            raise

    def send(self, *args: Any) -> int:
        try:
            return super().send(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            # What it said before it closed may still be there to be read.
            with contextlib.suppress(OSError):
                self.recv(1)
            raise

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _socket_class(pins: tuple[str, ...]) -> type[TlsSocket]:
    """A class of its own for each connection, so that each has its own alert."""
    wanted = frozenset(pin.replace(":", "").lower() for pin in pins)

    class Plain(TlsSocket):
        pass

    class Pinned(TlsSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            if not wanted.intersection(_chain(self)):
                self.close()
                error = ssl.SSLCertVerificationError("not pinned")
                error.verify_message = "no certificate of its chain has a pinned fingerprint"
                raise error

    return Pinned if wanted else Plain


def _chain(sock: ssl.SSLSocket) -> Iterator[str]:
    """The fingerprints of the certificates by which the peer was found trusted."""
    # Public since Python 3.13; before that it is only there inside.
    inner = getattr(sock, "_sslobj", None)
    for certificate in inner.get_verified_chain() if inner is not None else ():
        yield hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.public_bytes())).hexdigest()


def _must_be_readable(path: str) -> None:
    # ssl's own error does not name the file.
    if path:
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def must_be_private(path: str) -> None:
    """ValueError where everybody on the machine may read or write a secret.  The group may: that is
    how systemd hands credentials over."""
    if path and (mode := stat.S_IMODE(Path(path).stat().st_mode)) & 0o007:
        raise ValueError(
            f"{path} is a secret that everybody may read (mode {mode:04o}): chmod 0600 it"
        )


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal."""
    return ""


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """Where a broker is and how to come in."""

    host: str
    port: int
    tls: Tls | None = None
    username: str = ""
    password: str = ""
    keepalive_s: int = 15
    websocket_path: str = ""
    """Over WebSocket, at this path; empty: straight over TCP."""
    proxy: str = ""
    """http://[user:password@]host:port, asked to CONNECT; empty: none."""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`mqtt://[user[:password]@]host[:1883]`, or `mqtts://...[:8883]` with the system's
        certificates.  ValueError says what was expected."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(
                f"a broker's address is mqtt://[user@]host[:port] or mqtts://..., but read "
                f"{without_secrets(url)!r}"
            )
        try:
            port = parts.port
        except ValueError as error:
            raise ValueError(
                f"a broker's port is 1 to 65535, but read {without_secrets(url)!r}"
            ) from error
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
        if self.websocket_path:
            return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}{self.websocket_path}"
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def why_ended(alert: str) -> str:
    """What a server has against this unit's certificate, by OpenSSL's name of its alert (RFC 8446,
    6.2); empty: it is about something else."""
    words = {
        "CERTIFICATE_REQUIRED": "it wants a certificate of this unit (cert_file, key_file)",
        "HANDSHAKE_FAILURE": "it wants a certificate of this unit (cert_file, key_file), or the "
        "two have no cipher in common",
        "UNKNOWN_CA": "it does not know who issued this unit's certificate (cert_file)",
        "CERTIFICATE_EXPIRED": "this unit's certificate (cert_file) has expired, or is not valid "
        "yet by the server's clock",
        "CERTIFICATE_REVOKED": "this unit's certificate (cert_file) has been revoked",
        "BAD_CERTIFICATE": "it does not take this unit's certificate (cert_file)",
        "UNSUPPORTED_CERTIFICATE": "it does not take this unit's kind of certificate (cert_file)",
        "CERTIFICATE_UNKNOWN": "it does not take this unit's certificate (cert_file)",
        "ACCESS_DENIED": "it does not let this unit's certificate in (cert_file)",
    }
    _, _, name = alert.partition("ALERT_")
    return words.get(name, "")


def connect_error(broker: Broker, error: OSError | ValueError, timeout_s: float) -> MqttError:
    """The sentence for what went wrong before MQTT began."""
    match error:
        case MqttError():
            return error
        case ConnectionRefusedError():
            text = f"{broker} refused the connection: nothing listens there"
        case socket.gaierror() | UnicodeError():
            text = f"{broker}: the name {broker.host!r} is not known"
        case TimeoutError():
            text = f"{broker} did not answer within {timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            text = f"{broker}: its certificate is not trusted: {error.verify_message}"
            if "expired" in error.verify_message or "not yet valid" in error.verify_message:
                # A board without a battery for its clock wakes up in the past.
                text += f" (this unit's clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC)"
        case ssl.SSLError(reason=str(alert)) if why_ended(alert):
            text = f"{broker}: {why_ended(alert)}"
        case ssl.SSLError():
            text = f"{broker}: TLS 1.2 or newer could not be agreed on: {error.reason or error}"
        case OSError():
            text = f"{broker} cannot be reached: {error.strerror or error}"
        case _:
            text = f"{broker} cannot be reached: {error}"
    return MqttError(text)


def nothing() -> None:
    """It is acknowledged already."""


class Message(msgspec.Struct, frozen=True):
    """What came in."""

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str = ""
    correlation: bytes = b""
    content_type: str = ""
    done: Callable[[], None] = nothing
    """Acknowledge it, where the connection leaves that to its hearer."""


class Will(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says for us when the path is lost."""

    topic: str
    payload: bytes
    retain: bool = True
    expiry_s: int | None = None


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
