"""Accuracy, heading and alarms that receivers send beside the standard's sentences."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Fix
from drivers.checksum import crc32_novatel, fletcher8, xor8
from drivers.nmea import Config, Decoder
from drivers.nmea_extra import sentence, suspicion

RMC = "GNRMC,{t},A,3035.58400,N,11418.35100,E,0.05,,241126,,,A,V"
GGA = "GNGGA,{t},3035.58400,N,11418.35100,E,1,18,0.72,23.4,M,-12.1,M,,"
GST = "GNGST,{t},1.2,2.1,1.4,45.0,1.8,1.6,3.2"
PUBX = (
    "PUBX,00,{t},3035.58400,N,11418.35100,E,11.3,{status},{h},3.2,0.1,0.0,0.0,,0.72,1.1,0.9,18,0,0"
)
UNI = (
    "UNIHEADINGA,97,GPS,FINE,2438,182640000,0,0,18,12;{solution},1.0213,{heading},-0.5678,0.0000,"
    '0.2345,0.3456,"999",29,25,25,17,3,01,3,f3'
)


def nmea(text: str, t: str = "023042.00", **more: str) -> bytes:
    body = text.format(t=t, **more).encode()
    return b"$%s*%02X\r\n" % (body, xor8(body))


def unicore(solution: str = "SOL_COMPUTED,NARROW_INT", heading: str = "183.3456") -> bytes:
    body = UNI.format(solution=solution, heading=heading).encode()
    return b"#%s*%08x\r\n" % (body, crc32_novatel(body))


def ubx(kind: bytes, payload: bytes) -> bytes:
    body = kind + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + fletcher8(body)


def decode(data: bytes, size: int = 4096) -> list[Fix]:
    decoder = Decoder(Config(not_before=dt.date(2026, 1, 1)))
    fixes = []
    for start in range(0, len(data), size):
        fixes += decoder.feed(data[start : start + size], 1.0)
    return fixes + decoder.flush(1.0)


def only(data: bytes) -> Fix:
    (fix,) = decode(data)
    assert [decode(data, size) for size in (1, 7)] == [[fix], [fix]]
    return fix


def accuracy(*rest: bytes) -> tuple[float | None, str | None]:
    fix = only(nmea(RMC) + nmea(GGA) + b"".join(rest))
    return fix.eph, fix.eph_basis


def test_accuracy_is_gst_then_the_receivers_own_then_hdop() -> None:
    own = nmea(PUBX, h="2.6", status="G3")
    assert accuracy() == (5.76, "hdop")
    assert accuracy(own) == (5.2, "hacc")
    assert accuracy(own, nmea(GST)) == (4.817, "gst")
    assert accuracy(nmea(PUBX, h="5303", status="NF")) == (5.76, "hdop")
    assert accuracy(nmea(PUBX, h="", status="G3")) == (5.76, "hdop")
    assert accuracy(nmea("PUBX,04,073731.00,091202,113851.00,1196,15D")) == (5.76, "hdop")


def test_an_accuracy_of_another_epoch_is_not_this_ones() -> None:
    data = b"".join(
        nmea(text, t) for t in ("023042.00", "023043.00") for text in (RMC, GGA)
    ) + nmea(PUBX, "023043.00", h="2.6", status="G3")
    assert [fix.eph_basis for fix in decode(data)] == ["hdop", "hacc"]


HEADINGS = [
    (nmea("GPHDT,123.456,T"), 123.456),
    (nmea("HEHDT,0.0,T"), 0.0),
    (nmea("GNHDT,360.0,T"), 0.0),
    (nmea("GPHDT,,T"), None),
    (nmea("GPHDT,123.4,M"), None),
    (nmea("GPHDT,400.0,T"), None),
    (nmea("GNTHS,179.0284,A"), 179.0284),
    (nmea("GNTHS,179.0284,E"), 179.0284),
    (nmea("GPTHS,179.0284,S"), None),
    (nmea("GPTHS,,V"), None),
    (nmea("PTNL,AVR,{t},+149.4688,Yaw,+0.0134,Tilt,,,60.191,3,2.5,6"), 149.4688),
    (nmea("PTNL,AVR,{t},-30.0,Yaw,-7.8,Tilt,-0.4,Roll,444.232,3,1.2,17"), 330.0),
    (nmea("PTNL,AVR,{t},+149.4688,Yaw,+0.0134,Tilt,,,60.191,2,2.5,6"), None),
    (unicore(), 183.3456),
    (unicore("SOL_COMPUTED,NARROW_FLOAT"), None),
    (unicore("INSUFFICIENT_OBS,NONE", "0.0000"), None),
]


@pytest.mark.parametrize(("data", "heading"), HEADINGS)
def test_headings(data: bytes, heading: float | None) -> None:
    assert only(nmea(RMC) + nmea(GGA) + data).heading == heading


def test_the_last_heading_of_an_epoch_and_none_of_another() -> None:
    first = nmea(RMC) + nmea("GPHDT,10.0,T") + nmea("GPHDT,11.0,T") + nmea(GGA)
    second = nmea(RMC, "023043.00") + nmea(GGA, "023043.00")
    assert [fix.heading for fix in decode(first + second)] == [11.0, None]


def test_headings_ten_times_a_second_hold_no_fix_back() -> None:
    """A fix waits for one heading, not for as many as the last epoch had."""
    decoder = Decoder(Config(not_before=dt.date(2026, 1, 1)))
    turn = nmea("GPHDT,10.0,T")
    for second in range(4):
        t = f"0230{second:02}.00"
        decoder.feed(nmea(RMC, t) + nmea(GGA, t) + turn * 10, float(second))
    t = "023004.00"
    assert decoder.feed(nmea(RMC, t) + nmea(GGA, t), 4.0) == []
    (fix,) = decoder.feed(turn, 4.1)
    assert fix.heading == 10.0


def test_a_compass_alone_is_no_position() -> None:
    assert decode(nmea("HEHDT,10.0,T") * 20) == []


def test_a_flipped_bit_gives_no_heading() -> None:
    whole = unicore()
    for bit in range(8 * (len(whole) - 2)):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        fix = decode(nmea(RMC) + nmea(GGA) + bytes(spoilt))[0]
        assert fix.heading in (None, 183.3456)


def test_a_message_cut_short_hides_nothing_for_long() -> None:
    data = unicore()[:60] + nmea(RMC) + nmea(GGA)
    assert len(decode(data)) == 1
    assert len(decode(b"#" * 3000 + nmea(RMC) + nmea(GGA))) == 1


@pytest.mark.parametrize(("state", "flags"), [(0, ()), (1, ()), (2, ("spoof_suspect",)),
                                              (3, ("spoof_suspect",))])  # fmt: skip
def test_a_receiver_that_suspects_spoofing(state: int, flags: tuple[str, ...]) -> None:
    payload = bytearray(16)
    payload[7] = state << 3
    assert only(ubx(b"\x01\x03", bytes(payload)) + nmea(RMC) + nmea(GGA)).flags == flags


@pytest.mark.parametrize(("state", "flags"), [(1, ()), (2, ("jam_suspect",)),
                                              (3, ("jam_suspect",))])  # fmt: skip
def test_a_receiver_that_suspects_jamming(state: int, flags: tuple[str, ...]) -> None:
    payload = bytearray(60)
    payload[22] = state << 2
    alarm = ubx(b"\x0a\x09", bytes(payload))
    assert only(alarm + nmea(RMC) + nmea(GGA)).flags == flags


def test_what_it_says_later_counts() -> None:
    suspect, calm = bytearray(16), bytes(16)
    suspect[7] = 2 << 3
    data = ubx(b"\x01\x03", bytes(suspect)) + nmea(RMC) + nmea(GGA)
    data += nmea(RMC, "023043.00") + ubx(b"\x01\x03", calm) + nmea(GGA, "023043.00")
    assert [fix.flags for fix in decode(data)] == [("spoof_suspect",), ()]
    assert suspicion(ubx(b"\x01\x07", bytes(92))) is None
    assert suspicion(ubx(b"\x01\x03", bytes(4))) is None


def test_too_strong_and_too_much_alike_in_gsv() -> None:
    gsv = nmea("GPGSV,1,1,04,01,40,083,52,02,17,308,52,03,07,344,51,04,60,050,53")
    assert only(gsv + nmea(RMC) + nmea(GGA)).flags == ("spoof_suspect",)
    gsv = nmea("GPGSV,1,1,04,01,40,083,52,02,17,308,42,03,07,344,51,04,60,050,53")
    assert only(gsv + nmea(RMC) + nmea(GGA)).flags == ()


@given(st.text(max_size=120), st.randoms(use_true_random=False))
def test_no_sentence_raises(text: str, rng: random.Random) -> None:
    for head in ("PUBX,00", "PTNL,AVR", "GPHDT", "GPTHS", "UNIHEADINGA"):
        data = f"${head},{text}*00".encode("utf-8", "replace")
        sentence(data[: rng.randint(1, len(data))], 0.0)
    suspicion(text.encode("utf-8", "replace"))
