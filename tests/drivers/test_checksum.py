"""Each checksum against frames that datasheets print, or against its catalogue's check value."""

from __future__ import annotations

from drivers.checksum import (
    casic32,
    crc16_ccitt,
    crc16_modbus,
    crc24q,
    fletcher8,
    negated_sum8,
    xor8,
)


def test_xor8_nmea() -> None:
    assert xor8(b"GNTXT,01,01,02,ANTSTATUS=OK") == 0x25
    assert xor8(b"") == 0


def test_negated_sum8_winsen() -> None:
    assert negated_sum8(bytes.fromhex("018600000000 00".replace(" ", ""))) == 0x79


def test_fletcher8_ubx_mon_ver_poll_and_cfg_rate() -> None:
    assert fletcher8(bytes.fromhex("0A040000")) == bytes.fromhex("0E34")
    assert fletcher8(bytes.fromhex("06080600E80301000100")) == bytes.fromhex("0139")


def test_crc16_modbus_check_value() -> None:
    assert crc16_modbus(b"123456789") == 0x4B37
    assert crc16_modbus(bytes.fromhex("010300000001")) == 0x0A84  # sent as 84 0A


def test_crc24q_check_value() -> None:
    # CRC-24/LTE-A has the same polynomial and initial value; RTCM 1005 example of RTCM 10403.
    assert crc24q(b"123456789") == 0xCDE703
    message = bytes.fromhex("D300133ED7D30202980EDEEF34B4BD62AC0941986F33")
    assert crc24q(message) == 0x360B98


def test_casic32_rate_command() -> None:
    # CFG-RATE 1000 ms: seed (04 << 24) + (06 << 16) + 4, plus the one word 000003E8.
    assert casic32(bytes.fromhex("04000604E8030000")) == bytes.fromhex("EC030604")
    assert casic32(bytes.fromhex("00000A04")) == bytes.fromhex("00000A04")
    # The sum wraps at 32 bits.
    assert casic32(bytes.fromhex("080001FF FFFFFFFF 02000000".replace(" ", ""))) == (
        (0xFF010008 + 0xFFFFFFFF + 2) & 0xFFFFFFFF
    ).to_bytes(4, "little")


def test_crc16_ccitt_check_value_and_a_question_of_the_mps() -> None:
    assert crc16_ccitt(b"123456789") == 0x29B1
    assert crc16_ccitt(bytes.fromhex("010000000000 0000".replace(" ", ""))) == 0x76ED  # sent ED 76
