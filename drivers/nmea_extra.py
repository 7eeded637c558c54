"""What receivers send beside the standard's sentences: accuracy, two-antenna heading, alarms.

PUBX,00 and UBX NAV-STATUS and MON-HW (u-blox 8 protocol description), HDT and THS (NMEA 0183),
PTNL,AVR (Trimble), UNIHEADINGA (Unicore; NovAtel's HEADING2 has the same fields).  From memory but
for PUBX,00: other receivers may order the fields otherwise, so that each is checked for its range.
Pure; never raises on what it reads.
"""

from __future__ import annotations

import re

from .epoch import Report

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d(?:\.\d*)?)")
_THS_VALID = frozenset("AE")
"""Autonomous and estimated; M is manual, S a simulator, V invalid."""
_AVR_FIXED = frozenset("3")
"""PTNL,AVR's quality: 3 is RTK fixed, without which the angle of a short baseline is noise."""
_SOLUTION = ("SOL_COMPUTED", frozenset(("NARROW_INT", "L1_INT", "WIDE_INT")))
_ACCURACY_MAX_M = 9999.0

_NAV_STATUS, _NAV_STATUS_LENGTH = b"\x01\x03", 16
_MON_HW, _MON_HW_LENGTH = b"\x0a\x09", 60


def sentence(data: bytes, at: float) -> Report | None:
    """The report of one whole, checked sentence; None: it is none of ours."""
    fields = data[1:].partition(b"*")[0].decode("ascii", "replace").split(",")
    address = fields[0]
    if address == "PUBX" and fields[1:2] == ["00"]:
        return _pubx(fields, at)
    if address == "PTNL" and fields[1:2] == ["AVR"]:
        return _avr(fields, at)
    if len(address) == 5 and address[0] != "P" and address[2:] in ("HDT", "THS"):
        return _heading(fields, at)
    if address == "UNIHEADINGA":
        return _uniheading(data, at)
    return None


def _pubx(fields: list[str], at: float) -> Report | None:
    """00, time, lat, N, lon, E, altitude, status, horizontal accuracy ..."""
    no_fix = _at(fields, 8) == "NF"
    return Report(
        kind="UBX",
        talker="P",
        at=at,
        second=_second(_at(fields, 2)),
        accuracy=None if no_fix else _number(_at(fields, 9), 0, _ACCURACY_MAX_M),
    )


def _heading(fields: list[str], at: float) -> Report | None:
    """HDT: degrees, T.  THS: degrees, mode."""
    heading = _degrees(_at(fields, 1))
    if fields[0].endswith("THS") and _at(fields, 2) not in _THS_VALID:
        heading = None
    if fields[0].endswith("HDT") and _at(fields, 2) != "T":
        heading = None
    return Report(kind=fields[0][2:], talker=fields[0][:2], at=at, heading=heading)


def _avr(fields: list[str], at: float) -> Report:
    """AVR, time, yaw, "Yaw", tilt, "Tilt", roll, "Roll", range, quality, PDOP, satellites."""
    good = _at(fields, 4) == "Yaw" and _at(fields, 10) in _AVR_FIXED
    heading = _degrees(_at(fields, 3)) if good else None
    return Report(kind="AVR", talker="P", at=at, second=_second(_at(fields, 2)), heading=heading)


def _uniheading(data: bytes, at: float) -> Report | None:
    """Header; status, type, baseline m, heading, pitch ..."""
    body = data.partition(b";")[2].decode("ascii", "replace").split(",")
    good = _at(body, 0) == _SOLUTION[0] and _at(body, 1) in _SOLUTION[1]
    heading = _degrees(_at(body, 3)) if good else None
    return Report(kind="UNI", talker="P", at=at, heading=heading)


def suspicion(data: bytes) -> tuple[str, str] | None:
    """(what it speaks of, its flag or nothing) of one whole, checked UBX frame; None: another."""
    kind, payload = data[2:4], data[6:-2]
    if kind == _NAV_STATUS and len(payload) == _NAV_STATUS_LENGTH:
        # flags2, bits 3 and 4: 0 unknown, 1 no spoofing, 2 indicated, 3 several indications.
        return "spoof", "spoof_suspect" if payload[7] >> 3 & 3 >= 2 else ""
    if kind == _MON_HW and len(payload) == _MON_HW_LENGTH:
        # flags, bits 2 and 3: 0 unknown, 1 no jamming, 2 warning (a fix is there), 3 critical.
        return "jam", "jam_suspect" if payload[22] >> 2 & 3 >= 2 else ""
    return None


def _at(fields: list[str], index: int) -> str:
    return fields[index] if index < len(fields) else ""


def _number(text: str, low: float, high: float) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if low <= value <= high else None


def _degrees(text: str) -> float | None:
    """0 to 360; some receivers count from -180."""
    value = _number(text, -180, 360)
    return None if value is None else value % 360


def _second(text: str) -> float | None:
    match = _TIME.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or float(match[3]) >= 61:
        return None
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
