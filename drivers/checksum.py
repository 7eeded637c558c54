"""Checksums of the wires, each by its standard or datasheet.  Pure functions of bytes."""

from __future__ import annotations

import zlib


def xor8(data: bytes) -> int:
    """XOR of all bytes: NMEA 0183 (between `$` and `*`), Gill (between STX and ETX)."""
    value = 0
    for byte in data:
        value ^= byte
    return value


def negated_sum8(data: bytes) -> int:
    """(-sum) mod 256: Winsen over bytes 1 to 7 of its nine."""
    return -sum(data) & 0xFF


def fletcher8(data: bytes) -> bytes:
    """u-blox UBX, 8-bit Fletcher over class to the end of the payload; two bytes, CK_A CK_B."""
    a = b = 0
    for byte in data:
        a = (a + byte) & 0xFF
        b = (b + a) & 0xFF
    return bytes((a, b))


def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


def _crc24q_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 16
        for _ in range(8):
            crc = ((crc << 1) ^ 0x864CFB) & 0xFFFFFF if crc & 0x800000 else crc << 1
        table.append(crc & 0xFFFFFF)
    return tuple(table)


_CRC16 = _crc16_table()
_CRC24Q = _crc24q_table()


def crc16_modbus(data: bytes) -> int:
    """Modbus over serial line, 6.2.2: reflected 0x8005, initial 0xFFFF; sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC16[(crc ^ byte) & 0xFF]
    return crc


def crc24q(data: bytes) -> int:
    """RTCM 10403 frames: CRC-24Q, polynomial 0x864CFB, initial 0; sent high byte first."""
    crc = 0
    for byte in data:
        crc = ((crc << 8) & 0xFFFFFF) ^ _CRC24Q[(crc >> 16) ^ byte]
    return crc


def casic32(data: bytes) -> bytes:
    """CASIC over length, class, id and payload (the frame between BA CE and its checksum); LE 4.

    The sum of the payload's little-endian words, begun with (id << 24) + (class << 16) + length:
    what receivers do; the specification's text has class and id the other way round.
    """
    length, group, ident = int.from_bytes(data[:2], "little"), data[2], data[3]
    total = (ident << 24) + (group << 16) + length
    for start in range(4, len(data), 4):
        total += int.from_bytes(data[start : start + 4], "little")
    return (total & 0xFFFFFFFF).to_bytes(4, "little")


def _crc16_ccitt_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
        table.append(crc)
    return tuple(table)


_CRC16_CCITT = _crc16_ccitt_table()


def crc16_ccitt(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial 0xFFFF, not reflected (NevadaNano MPS)."""
    crc = 0xFFFF
    for byte in data:
        crc = ((crc << 8) & 0xFFFF) ^ _CRC16_CCITT[(crc >> 8) ^ byte]
    return crc


def crc32_novatel(data: bytes) -> int:
    """Unicore and NovAtel `#` messages, between `#` and `*`: reflected 0x04C11DB7, initial 0, and
    without the inversions of zlib's."""
    return zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF
