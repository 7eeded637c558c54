"""Sentences of a receiver, written for tests, and what the decoder makes of them."""

from __future__ import annotations

from drivers import Fix
from drivers.checksum import xor8
from drivers.nmea import Config, Decoder


def s(*bodies: str) -> bytes:
    """Sentences from their bodies."""
    return b"".join(b"$%s*%02X\r\n" % (b.encode(), xor8(b.encode())) for b in bodies)


def rmc(
    time: str, *, status: str = "A", mode: str = "A", date: str = "241126", lat: str = "3035.58400"
) -> str:
    return f"GNRMC,{time},{status},{lat},N,11418.35100,E,1.94,90.0,{date},,,{mode},V"


def gga(time: str, *, quality: str = "1", alt: str = "23.4", hdop: str = "0.72") -> str:
    return f"GNGGA,{time},3035.58400,N,11418.35100,E,{quality},18,{hdop},{alt},M,-12.1,M,,"


def decode(data: bytes, config: Config | None = None, at: float = 1.0) -> list[Fix]:
    decoder = Decoder(config)
    return decoder.feed(data, at) + decoder.flush(at)


def one(data: bytes, config: Config | None = None) -> Fix:
    (fix,) = decode(data, config)
    return fix
