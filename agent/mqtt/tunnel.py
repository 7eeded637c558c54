"""A TCP connection through an HTTP proxy (RFC 9110, CONNECT): where a firewall lets nothing else
out.  Blocking."""

from __future__ import annotations

import base64
import socket
from urllib.parse import unquote, urlsplit

ANSWER_MAX = 8192


def through_proxy(proxy: str, host: str, port: int, timeout_s: float) -> socket.socket:
    """`proxy`: http://[user:password@]host:port.  OSError says what the proxy answered."""
    parts = urlsplit(proxy)
    try:
        sock = socket.create_connection((parts.hostname, parts.port or 3128), timeout_s)
    except OSError as error:
        raise OSError(f"the proxy {_named(proxy)}: {error.strerror or error}") from error
    try:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = _answer(sock).split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise OSError(f"the proxy {_named(proxy)} answered {status!r}")
    except OSError:
        sock.close()
        raise
    return sock


def _answer(sock: socket.socket) -> bytes:
    """Byte by byte: what follows belongs to the one behind the proxy."""
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte or len(answer) >= ANSWER_MAX:
            break
        answer += byte
    return bytes(answer)


def _named(proxy: str) -> str:
    """Without its password."""
    parts = urlsplit(proxy)
    return f"http://{parts.hostname}:{parts.port or 3128}"
