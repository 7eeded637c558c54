"""SNMP version 2c: a message printed in a book, lengths and numbers at their edges, garbage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import snmp
from drivers.sim.router import SnmpTwin
from drivers.sim.udpline import UdpLine

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
# GetRequest for sysDescr.0, community "public", request id 1, as any SNMP tool sends it.
QUESTION = bytes.fromhex(
    "30 26 02 01 01 04 06 70 75 62 6C 69 63 A0 19 02 01 01 02 01 00 02 01 00"
    "30 0E 30 0C 06 08 2B 06 01 02 01 01 01 00 05 00"
)


def response(
    *values: tuple[bytes, bytes], request: bytes = b"\x02\x01\x07", status: int = 0
) -> bytes:
    """Values as (coded OID, coded value); every length below 128."""
    bindings = b"".join(element(0x30, element(0x06, oid) + value) for oid, value in values)
    head = request + bytes((2, 1, status, 2, 1, 0))
    pdu = element(0xA2, head + element(0x30, bindings))
    return element(0x30, b"\x02\x01\x01" + b"\x04\x06public" + pdu)


def element(kind: int, content: bytes) -> bytes:
    return bytes((kind, len(content))) + content


ONE = b"\x2b\x06\x01"
"""1.3.6.1"""


def test_a_question_is_coded_as_the_standard_has_it() -> None:
    assert snmp.get("public", 1, [SYS_DESCR]) == QUESTION


@pytest.mark.parametrize(
    ("number", "coded"),
    [(0, "0200"), (127, "7f"), (128, "0080"), (255, "00ff"), (65535, "00ffff"),
     (2**31 - 1, "7fffffff")],
)  # fmt: skip
def test_request_ids(number: int, coded: str) -> None:
    content = bytes.fromhex(coded) if number else b"\0"
    assert element(2, content) in snmp.get("public", number, [SYS_DESCR])


def test_a_long_question_has_long_lengths() -> None:
    data = snmp.get("public", 1, [f"1.3.6.1.4.1.14988.1.1.16.1.1.2.{n}" for n in range(24)])
    assert data[1] == 0x82
    assert snmp.size(data) == len(data)
    assert snmp.size(data[:3]) is None


@pytest.mark.parametrize(
    ("coded", "value"),
    [
        ("02 01 A1", -95),
        ("02 02 FF 7F", -129),
        ("02 04 00 00 00 05", 5),
        ("41 01 FF", 255),
        ("42 05 00 FF FF FF FF", 4294967295),
        ("46 09 00 FF FF FF FF FF FF FF FF", 2**64 - 1),
        ("04 03 2D 39 35", "-95"),
        ("04 00", ""),
        ("80 00", snmp.Absent("noSuchObject")),
        ("81 00", snmp.Absent("noSuchInstance")),
        ("82 00", snmp.Absent("endOfMibView")),
        ("05 00", snmp.Absent("a value of type 0x05")),
        ("44 07 9F 78 04 42 F6 00 00", snmp.Absent("a value of type 0x44")),
    ],
)
def test_values(coded: str, value: object) -> None:
    found = snmp.parse(response((ONE, bytes.fromhex(coded))))
    assert found == snmp.Response(7, "", {"1.3.6.1": value})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("coded", "dotted"),
    [("2b0601", "1.3.6.1"), ("2b060104 01f50c", "1.3.6.1.4.1.14988"), ("8837", "2.999"),
     ("28", "1.0"), ("00", "0.0"), ("2b 8f ff ff ff 7f", "1.3.4294967295")],
)  # fmt: skip
def test_names(coded: str, dotted: str) -> None:
    data = response((bytes.fromhex(coded), b"\x02\x01\x00"))
    assert list(snmp.parse(data).values) == [dotted]
    assert bytes.fromhex(coded) in snmp.get("public", 1, [dotted])


def test_an_error_has_a_name() -> None:
    assert snmp.parse(response(status=5)).error == "genErr"
    assert snmp.parse(response(status=99)).error == "error 99"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"0", b"\x30\x00", QUESTION, response() + b"\0", response()[:-1],
        response((ONE, b"\x02\x00")), response((ONE, b"\x02\x09" + bytes(9))),
        response((b"", b"\x02\x01\x00")), response((b"\x2b\x86", b"\x02\x01\x00")),
        response(request=b"\x04\x01\x07"), response().replace(b"\x02\x01\x01", b"\x02\x01\x00", 1),
        b"\x30\x80\x00\x00", b"\x30\x85\x00\x00\x00\x00\x01\x00",
    ],
)  # fmt: skip
def test_what_is_no_response_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(snmp.SnmpError):
        snmp.parse(data)


@given(st.binary(max_size=200))
def test_garbage_never_fails_otherwise(noise: bytes) -> None:
    for data in (noise, b"\x30" + noise, response((ONE, b"\x02\x01\x05"))[: len(noise)] + noise):
        for judge in (snmp.parse, snmp.size):
            with contextlib.suppress(snmp.SnmpError):
                judge(data)


def test_a_twin_written_a_second_time_agrees() -> None:
    twin = SnmpTwin(UdpLine(), index=3)
    oids = [f"1.3.6.1.4.1.14988.1.1.16.1.1.{column}.3" for column in (2, 3, 4, 7)] * 5
    answer = twin.answer(snmp.get("public", 2**31 - 1, oids))
    assert answer is not None
    found = snmp.parse(answer)
    assert found.request_id == 2**31 - 1
    assert [found.values[oid] for oid in oids[:4]] == [-67, -11, -95, 13]
    assert twin.answer(snmp.get("secret", 1, oids)) is None
    assert list(twin.requests) == ["get", "get"]
