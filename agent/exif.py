"""Position, time and readings inside a JPEG: an Exif segment with a GPS IFD (CIPA DC-008-2016, 4.6;
that is Exif 2.31), and an XMP packet (ISO 16684-1) with the same and the readings.  Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from xml.sax.saxutils import escape, quoteattr

import msgspec

from agent.messages import FixBody, Reading

SOI = b"\xff\xd8"
APP1 = b"\xff\xe1"
EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
NO_FRAMES = (0xC4, 0xC8, 0xCC)
"""Markers that are no frame's head although they lie among those (ITU-T T.81, table B.1)."""
SEGMENT_MAX = 65_533
"""Bytes of a segment's content: its length, of two bytes, counts itself."""
NAMESPACE = "urn:outpost:readings:1"

ASCII, SHORT, LONG, RATIONAL, BYTE, UNDEFINED = 2, 3, 4, 5, 1, 7
_SIZE = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}
Entry = tuple[int, int, bytes]
"""Tag, type, value in big-endian bytes."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture."""

    unit: str
    camera: str
    time_ms: int
    mark: str
    fix: FixBody | None = None
    readings: Sequence[Reading] = ()


def with_metadata(jpeg: bytes, taken: Taken) -> bytes:
    """The picture with both segments after its first marker.  ValueError: it is no JPEG."""
    if not jpeg.startswith(SOI):
        raise ValueError(f"expected a JPEG, which begins ff d8, read {jpeg[:2].hex(' ')}")
    exif, xmp = EXIF + _tiff(taken, *_size(jpeg)), XMP + _xmp(taken)
    segments = [part for part in (exif, xmp) if len(part) <= SEGMENT_MAX]
    made = b"".join(APP1 + struct.pack(">H", len(part) + 2) + part for part in segments)
    return SOI + made + jpeg[len(SOI) :]


def _size(jpeg: bytes) -> tuple[int, int]:
    """Width and height, from the frame's head.  ValueError: there is none."""
    at = len(SOI)
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, length = struct.unpack_from(">BH", jpeg, at + 1)
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAMES:
            height, width = struct.unpack_from(">HH", jpeg, at + 5)
            return width, height
        at += 2 + length
    raise ValueError(f"a JPEG of {len(jpeg)} bytes without the head of a frame")


# -- Exif ------------------------------------------------------------------------------------


def _tiff(taken: Taken, width: int, height: int) -> bytes:
    """Header, IFD 0, Exif IFD and GPS IFD, big-endian."""
    at = datetime.fromtimestamp(taken.time_ms / 1000, UTC)
    stamp = _text(f"{at:%Y:%m:%d %H:%M:%S}")
    gps = _gps(taken.fix, at) if taken.fix is not None else []
    exif: list[Entry] = [
        (0x9000, UNDEFINED, b"0231"),
        (0x9003, ASCII, stamp),
        (0x9011, ASCII, _text("+00:00")),
        (0x9101, UNDEFINED, b"\1\2\3\0"),
        (0xA000, UNDEFINED, b"0100"),
        (0xA001, SHORT, b"\0\1"),
        (0xA002, LONG, struct.pack(">I", width)),
        (0xA003, LONG, struct.pack(">I", height)),
        (0x9291, ASCII, _text(f"{taken.time_ms % 1000:03d}")),
    ]
    words = f"{taken.unit} {taken.camera}"
    base: list[Entry] = [
        (0x010E, ASCII, _text(words if taken.mark == "actual" else f"{words} [{taken.mark}]")),
        (0x010F, ASCII, _text("Outpost")),
        (0x0110, ASCII, _text(taken.camera)),
        (0x011A, RATIONAL, _rationals(72)),
        (0x011B, RATIONAL, _rationals(72)),
        (0x0128, SHORT, b"\0\2"),
        (0x0213, SHORT, b"\0\1"),
        (0x0131, ASCII, _text("outpost")),
        (0x0132, ASCII, stamp),
        (0x8769, LONG, bytes(4)),
        *([(0x8825, LONG, bytes(4))] if gps else []),
    ]
    # Pointers come last in IFD 0 and have a fixed size, so its length is known before them.
    exif_at = 8 + len(_ifd(base, 8))
    gps_at = exif_at + len(_ifd(exif, exif_at))
    where = {0x8769: exif_at, 0x8825: gps_at}
    base = [
        (tag, kind, struct.pack(">I", where[tag]) if tag in where else value)
        for tag, kind, value in base
    ]
    made = b"MM\0*" + struct.pack(">I", 8) + _ifd(base, 8) + _ifd(exif, exif_at)
    return made + _ifd(gps, gps_at) if gps else made


def _ifd(entries: list[Entry], start: int) -> bytes:
    """An image file directory at `start`, its longer values after it."""
    head, tail = struct.pack(">H", len(entries)), b""
    data_at = start + 2 + 12 * len(entries) + 4
    for tag, kind, value in sorted(entries):
        head += struct.pack(">HHI", tag, kind, len(value) // _SIZE[kind])
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack(">I", data_at + len(tail))
            tail += value + b"\0" * (len(value) % 2)
    return head + bytes(4) + tail


def _gps(fix: FixBody, at: datetime) -> list[Entry]:
    entries: list[Entry] = [(0x00, BYTE, b"\2\3\0\0"), (0x12, ASCII, _text("WGS-84"))]
    if fix.time is not None:
        at = datetime.fromisoformat(fix.time).astimezone(UTC)
    entries += [
        (0x07, RATIONAL, _rationals(at.hour, at.minute, at.second)),
        (0x1D, ASCII, _text(f"{at:%Y:%m:%d}")),
    ]
    if fix.lat is None or fix.lon is None:
        return [*entries, (0x09, ASCII, _text("V"))]
    entries += [
        (0x01, ASCII, _text("N" if fix.lat >= 0 else "S")),
        (0x02, RATIONAL, _degrees(fix.lat)),
        (0x03, ASCII, _text("E" if fix.lon >= 0 else "W")),
        (0x04, RATIONAL, _degrees(fix.lon)),
        (0x09, ASCII, _text("A" if fix.mode >= 2 else "V")),
        (0x0A, ASCII, _text("3" if fix.mode >= 3 else "2")),
    ]
    if fix.alt is not None:
        entries += [
            (0x05, BYTE, b"\0" if fix.alt >= 0 else b"\1"),
            (0x06, RATIONAL, _rationals(abs(fix.alt))),
        ]
    if fix.hdop is not None:
        entries.append((0x0B, RATIONAL, _rationals(fix.hdop)))
    if fix.speed is not None:
        entries += [(0x0C, ASCII, _text("K")), (0x0D, RATIONAL, _rationals(fix.speed * 3.6))]
    if fix.track is not None:
        entries += [(0x0E, ASCII, _text("T")), (0x0F, RATIONAL, _rationals(fix.track % 360))]
    if fix.eph is not None:
        entries.append((0x1F, RATIONAL, _rationals(fix.eph)))
    return entries


def _text(text: str) -> bytes:
    return text.encode("utf-8") + b"\0"


def _rationals(*values: float) -> bytes:
    made = b""
    for value in values:
        ratio = Fraction(value).limit_denominator(1_000_000)
        if ratio.numerator > 0xFFFFFFFF:
            ratio = Fraction(0xFFFFFFFF)
        made += struct.pack(">II", ratio.numerator, ratio.denominator)
    return made


def _degrees(value: float) -> bytes:
    """Degrees, minutes, seconds; a seventh decimal of a degree is kept."""
    ten_thousandths = round(abs(value) * 36_000_000)
    minutes, rest = divmod(ten_thousandths, 600_000)
    degrees, minutes = divmod(minutes, 60)
    return struct.pack(">IIIIII", degrees, 1, minutes, 1, rest, 10_000)


# -- XMP -------------------------------------------------------------------------------------


def _xmp(taken: Taken) -> bytes:
    at = datetime.fromtimestamp(taken.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    given = {
        "xmp:CreateDate": at, "xmp:CreatorTool": "outpost", "outpost:Unit": taken.unit,
        "outpost:Camera": taken.camera, "outpost:Mark": taken.mark,
    }  # fmt: skip
    fix = taken.fix
    if fix is not None and fix.lat is not None and fix.lon is not None:
        given["exif:GPSLatitude"] = _minutes(fix.lat, "N", "S")
        given["exif:GPSLongitude"] = _minutes(fix.lon, "E", "W")
        given["exif:GPSMapDatum"] = "WGS-84"
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in given.items())
    items = "".join(f"<rdf:li>{escape(_said(one))}</rdf:li>" for one in taken.readings)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        f' xmlns:outpost="{NAMESPACE}"{attributes}>'
        f"<outpost:Readings><rdf:Seq>{items}</rdf:Seq></outpost:Readings>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _minutes(value: float, north: str, south: str) -> str:
    degrees, minutes = divmod(round(abs(value) * 60, 6), 60)
    return f"{degrees:.0f},{minutes:.6f}{north if value >= 0 else south}"


def _said(reading: Reading) -> str:
    """`gas/cl2 0.4 ppm good`."""
    value = "-" if reading.value is None else f"{reading.value:g}"
    return f"{reading.source}/{reading.quantity} {value} {reading.unit} {reading.quality}"
