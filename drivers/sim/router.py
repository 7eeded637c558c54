"""Twins of 4G routers: an SNMP agent with the objects of MikroTik's MIB, and a page of JSON.

Written from RFC 3416 and X.690 (BER), and from HTTP/1.1 (RFC 9112).  Neither lets itself be set:
what is no GET is refused and kept in `requests`.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import deque
from typing import Any

from drivers.sim.line import Line

_KEPT = 64
_COLUMNS = {"rssi": 2, "rsrq": 3, "rsrp": 4, "sinr": 7}
_TABLE = (1, 3, 6, 1, 4, 1, 14988, 1, 1, 16, 1, 1)
_NO_SUCH_INSTANCE = b"\x81\x00"
_QUESTION = re.compile(rb"GET (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n")


class _Router:
    """The radio: `set` takes rssi and rsrp in dBm, rsrq and sinr in dB; None: no network."""

    def __init__(self, line: Line) -> None:
        self.requests: deque[str] = deque(maxlen=_KEPT)
        self._line = line
        self._values: dict[str, float | None] = {
            "rssi": -67.0, "rsrp": -95.0, "rsrq": -11.0, "sinr": 13.0,
        }  # fmt: skip

    def set(self, **values: float | None) -> None:
        """What holds from now on.  ValueError: no such quantity, or no finite number."""
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(f"{name!r} is not one of {', '.join(self._values)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)


class SnmpTwin(_Router):
    """`line` is a `udpline.UdpLine`.  A value of None: there is no such instance.

    `error`: an error-status that every answer bears (5: genErr).
    """

    def __init__(self, line: Line, *, community: str = "public", index: int = 1) -> None:
        super().__init__(line)
        self.error = 0
        self._community = community.encode()
        self._index = index

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            answer = self.answer(await self._line.read())
            if answer is not None:
                await self._line.write(answer)

    def answer(self, question: bytes) -> bytes | None:
        """None: an agent is silent to who has another version, another community, or no sense."""
        try:
            version, community, (kind, pdu) = _elements(_elements(question)[0][1])
            request, _, _, (_, bindings) = _elements(pdu)
            names = [_elements(binding)[0][1] for _, binding in _elements(bindings)]
        except (ValueError, IndexError):
            self.requests.append("malformed")
            return None
        self.requests.append({0xA0: "get", 0xA1: "getnext", 0xA3: "set"}.get(kind, hex(kind)))
        if kind != 0xA0 or version != (2, b"\x01") or community != (4, self._community):
            return None
        found = b"".join(
            _element(0x30, _element(0x06, name) + self._object(name)) for name in names
        )
        fields = _element(2, request[1]) + _element(2, bytes((self.error,))) + _element(2, b"\0")
        reply = _element(0xA2, fields + _element(0x30, found))
        head = _element(2, b"\x01") + _element(4, self._community)
        return _element(0x30, head + reply)

    def _object(self, name: bytes) -> bytes:
        for quantity, column in _COLUMNS.items():
            value = self._values[quantity]
            if name == _name((*_TABLE, column, self._index)) and value is not None:
                return _element(2, round(value).to_bytes(4, "big", signed=True))
        return _NO_SUCH_INSTANCE


class HttpTwin(_Router):
    """`line` is a `netline.NetLine`.  A value of None is an empty text, as many routers have it.

    `login`: user name and password that are asked for (Basic).  `status`: what it answers if not
    200; `body`: what it sends in place of its page.
    """

    def __init__(self, line: Line, *, path: str = "/api/status", login: str = "") -> None:
        super().__init__(line)
        self.status = 200
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        """Those of the last request, their names in lower case."""
        self._path = path
        self._login = login

    async def run(self) -> None:
        """Answer until cancelled."""
        held = b""
        while True:
            held = (held + await self._line.read())[-16384:]
            if b"\r\n\r\n" in held:
                question, _, held = held.rpartition(b"\r\n\r\n")
                await self._line.write(self.answer(question + b"\r\n\r\n"))

    def answer(self, question: bytes) -> bytes:
        match = _QUESTION.fullmatch(question)
        if match is None:
            self.requests.append(question.partition(b"\r\n")[0].decode("latin-1"))
            return _http(405, b"")
        path = match[1].decode("latin-1")
        self.requests.append(f"GET {path}")
        lines = match[2].decode("latin-1").splitlines()
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        wanted = base64.b64encode(self._login.encode()).decode()
        if self._login and self.headers.get("authorization") != f"Basic {wanted}":
            return _http(401, b"", 'WWW-Authenticate: Basic realm="router"')
        if self.status in (301, 302):
            return _http(self.status, b"", "Location: /login.html")
        if self.status != 200 or path != self._path:
            return _http(self.status if self.status != 200 else 404, b"")
        return _http(200, self.page() if self.body is None else self.body)

    def page(self) -> bytes:
        """What it shows now."""
        radio: dict[str, Any] = {
            name: "" if value is None else f"{value:g}" for name, value in self._values.items()
        }
        radio["technology"] = "LTE" if self._values["rsrp"] is not None else "N/A"
        return json.dumps({"device": {"uptime": 4711}, "mobile": [radio]}).encode()


def _http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}", "Content-Type: application/json",
        f"Content-Length: {len(body)}", "Connection: close", *headers, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


def _element(kind: int, content: bytes) -> bytes:
    if len(content) < 128:
        return bytes((kind, len(content))) + content
    # The long form with two digits, which a reader must take as well as the shortest.
    return bytes((kind, 0x82, len(content) >> 8, len(content) & 0xFF)) + content


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        length, start = data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        if start + length > len(data):
            raise ValueError("cut short")
        found.append((data[0], data[start : start + length]))
        data = data[start + length :]
    return found


def _name(numbers: tuple[int, ...]) -> bytes:
    coded = bytearray((numbers[0] * 40 + numbers[1],))
    for number in numbers[2:]:
        groups = [number >> shift & 0x7F for shift in (28, 21, 14, 7, 0)]
        while len(groups) > 1 and groups[0] == 0:
            del groups[0]
        coded += bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])
    return bytes(coded)
