"""SNMP version 2c, as much of it as a GET needs (RFC 1905, RFC 3416; BER of X.690).  Pure.

Asks and never sets.  The community goes over the network in clear, as the protocol has it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MESSAGE_MAX = 8192
OIDS_MAX = 24
"""Of one question: its answer must fit into one datagram."""

OID = re.compile(r"[012](\.\d{1,10}){1,40}")

_INTEGER, _TEXT, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_GET, _RESPONSE = 0xA0, 0xA2
_UNSIGNED = (0x41, 0x42, 0x43, 0x46)
"""Counter32, Gauge32, TimeTicks, Counter64."""
_ABSENT = {0x80: "noSuchObject", 0x81: "noSuchInstance", 0x82: "endOfMibView"}
_VERSION_2C = 1

ERRORS = {
    1: "tooBig", 2: "noSuchName", 3: "badValue", 4: "readOnly", 5: "genErr", 6: "noAccess",
    16: "authorizationError",
}  # fmt: skip

Value = int | str


class Absent(NamedTuple):
    """The agent has no such object, or one of a type that is not read here."""

    why: str


class Response(NamedTuple):
    request_id: int
    error: str
    """Empty: none."""
    values: dict[str, Value | Absent]
    """OID -> value."""


class SnmpError(ValueError):
    """Bytes that are no response of version 2c."""


def get(community: str, request_id: int, oids: list[str]) -> bytes:
    """A GetRequest.  `request_id`: 0 to 2^31 - 1; `oids`: dotted, as OID matches them."""
    bindings = b"".join(_tlv(_SEQUENCE, _tlv(_OID, _oid(oid)) + _tlv(_NULL, b"")) for oid in oids)
    zero = _tlv(_INTEGER, b"\0")
    number = _tlv(_INTEGER, request_id.to_bytes(5, "big").lstrip(b"\0") or b"\0")
    if request_id and number[2] & 0x80:
        number = _tlv(_INTEGER, b"\0" + number[2:])
    pdu = _tlv(_GET, number + zero + zero + _tlv(_SEQUENCE, bindings))
    version = _tlv(_INTEGER, bytes((_VERSION_2C,)))
    return _tlv(_SEQUENCE, version + _tlv(_TEXT, community.encode("utf-8")) + pdu)


def size(data: bytes) -> int | None:
    """How long the message that `data` begins with is; None: more is needed.

    SnmpError: it is none.
    """
    if data[:1] != bytes((_SEQUENCE,)):
        raise SnmpError("expected a sequence")
    try:
        _, start, length = _head(data, 0)
    except IndexError:
        return None
    if length > MESSAGE_MAX:
        raise SnmpError(f"expected at most {MESSAGE_MAX} bytes, read a length of {length}")
    return start + length


def parse(data: bytes) -> Response:
    """A whole message.  SnmpError: it is no response of version 2c."""
    try:
        return _response(data)
    except (IndexError, UnicodeDecodeError) as error:
        raise SnmpError(f"cut short: {error}") from None


def _response(data: bytes) -> Response:
    version, _, (kind, pdu), *_ = [*_parts(_only(data, _SEQUENCE)), (0, b""), (0, b""), (0, b"")]
    if version != (_INTEGER, bytes((_VERSION_2C,))):
        raise SnmpError("expected version 2c")
    if kind != _RESPONSE:
        raise SnmpError(f"expected a response, read a PDU of type {kind:#04x}")
    fields = _parts(pdu)
    if [field[0] for field in fields] != [_INTEGER, _INTEGER, _INTEGER, _SEQUENCE]:
        raise SnmpError("expected request id, error, index and bindings")
    status = _signed(fields[1][1])
    error = ERRORS.get(status, f"error {status}") if status else ""
    values: dict[str, Value | Absent] = {}
    for kind, binding in _parts(fields[3][1]):
        pair = _parts(binding)
        if kind != _SEQUENCE or len(pair) != 2 or pair[0][0] != _OID:
            raise SnmpError("expected bindings of a name and a value")
        values[_dotted(pair[0][1])] = _value(*pair[1])
    return Response(_signed(fields[0][1]), error, values)


def _value(kind: int, content: bytes) -> Value | Absent:
    if kind in _ABSENT:
        return Absent(_ABSENT[kind])
    if kind == _INTEGER:
        return _signed(content)
    if kind in _UNSIGNED:
        return int.from_bytes(content[:9], "big")
    if kind == _TEXT:
        return content.decode("utf-8", "replace")
    return Absent(f"a value of type {kind:#04x}")


def _signed(content: bytes) -> int:
    if not 1 <= len(content) <= 8:
        raise SnmpError(f"expected a number of 1 to 8 bytes, read {len(content)}")
    return int.from_bytes(content, "big", signed=True)


def _tlv(kind: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((kind, length)) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((kind, 0x80 | len(digits))) + digits + content


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Kind, where the content starts, its length.  IndexError: cut short."""
    kind, first = data[at], data[at + 1]
    if first < 0x80:
        return kind, at + 2, first
    count = first & 0x7F
    if not 1 <= count <= 4:
        raise SnmpError(f"expected a length of 1 to 4 bytes, read {count}")
    start = at + 2 + count
    if start > len(data):
        raise IndexError("within a length")
    return kind, start, int.from_bytes(data[at + 2 : start], "big")


def _only(data: bytes, kind: int) -> bytes:
    """The content of the one element that `data` is."""
    parts = _parts(data)
    if len(parts) != 1 or parts[0][0] != kind:
        raise SnmpError("expected one sequence and nothing behind it")
    return parts[0][1]


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    parts = []
    at = 0
    while at < len(data):
        kind, start, length = _head(data, at)
        at = start + length
        if at > len(data):
            raise IndexError("within an element")
        parts.append((kind, data[start:at]))
    return parts


def _oid(text: str) -> bytes:
    first, second, *rest = (int(part) for part in text.split("."))
    content = b""
    for number in (first * 40 + second, *rest):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        content += bytes(reversed(digits))
    return content


def _dotted(content: bytes) -> str:
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers or number or len(numbers) > 128:
        raise SnmpError("expected an object identifier")
    first = min(numbers[0] // 40, 2)
    return ".".join(str(part) for part in (first, numbers[0] - 40 * first, *numbers[1:]))
