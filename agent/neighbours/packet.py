"""One datagram between neighbours: what stands at a unit, sealed with the group's key.  Pure.

A datagram is `MAGIC`, a MessagePack map, and an HMAC-SHA-256 (RFC 2104, RFC 6234) over both.  It
always tells the whole state, so that a lost one costs nothing but time, and is not encrypted: who
listens learns where an alarm stands, who has no key can neither make nor change one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

import msgspec

from agent.messages import Clock, Mark

MAGIC = b"OPN1"
TAG_BYTES = 32
DATAGRAM_MAX = 1200
"""Fits any link without fragments (IPv6's least MTU is 1280)."""
SHARED_MAX = 12
ECHO_MAX = 64
SEEN_MAX = 12
NONCE_BYTES = 8
KEY_MIN_BYTES = 16

Word = Annotated[str, msgspec.Meta(max_length=64)]
Name = Annotated[str, msgspec.Meta(max_length=48)]


class PacketError(ValueError):
    """Why a datagram is not believed; `code` is what is counted: `foreign`, `forged`, `malformed`,
    `other_mark`, `other_org`."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Shared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """An alarm that neighbours are to hear of."""

    alarm: Word
    code: Word
    quantity: Word
    rank: Annotated[int, msgspec.Meta(ge=1, le=9)]
    since: int
    """UTC ms by the sender's clock; with `alarm` it names one raising of it."""
    value: float | None = None
    unit: Word = ""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A person at the sender has seen this raising of an alarm of `unit`."""

    unit: Word
    alarm: Word
    since: int


class Packet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a unit says of itself at one moment."""

    org: Word
    unit: Word
    mark: Mark
    epoch: Word
    """As on the wire to a center: greater at each start."""
    number: Annotated[int, msgspec.Meta(ge=1)]
    """Of the datagrams of this epoch."""
    t: int
    """UTC ms."""
    clock: Clock
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    """Random at each start: who echoes it has heard this very run."""
    name: dict[Annotated[str, msgspec.Meta(max_length=8)], Name] = {}
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    place_age_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    alarms: Annotated[tuple[Shared, ...], msgspec.Meta(max_length=SHARED_MAX)] = ()
    """The most urgent first."""
    more: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Alarms that found no room."""
    seen: Annotated[tuple[Seen, ...], msgspec.Meta(max_length=SEEN_MAX)] = ()
    echo: Annotated[dict[Word, bytes], msgspec.Meta(max_length=ECHO_MAX)] = {}
    """The nonces of units that the sender hears."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Packet)


def group_key(secret: bytes, org: str, mark: Mark) -> bytes:
    """The key of one group.  An exercise never shares one with the real day, even where the same
    secret was given to both.  ValueError: too short to be a secret."""
    secret = secret.strip()
    if len(secret) < KEY_MIN_BYTES:
        raise ValueError(f"expected at least {KEY_MIN_BYTES} bytes of secret, read {len(secret)}")
    about = f"outpost-neighbours-v1\n{org}\n{mark.value}".encode()
    return hmac.digest(secret, about, "sha256")


def seal(packet: Packet, key: bytes) -> bytes:
    """The datagram.  ValueError: larger than `DATAGRAM_MAX`."""
    body = MAGIC + _encoder.encode(packet)
    if len(body) + TAG_BYTES > DATAGRAM_MAX:
        raise ValueError(f"{len(body) + TAG_BYTES} bytes, expected at most {DATAGRAM_MAX}")
    return body + hmac.digest(key, body, "sha256")


def unseal(data: bytes, key: bytes, org: str, mark: Mark) -> Packet:
    """What a datagram says.  PacketError: it is not believed."""
    if not data.startswith(MAGIC):
        raise PacketError("foreign", f"expected {MAGIC!r} at its beginning, read {data[:4]!r}")
    body, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    if not hmac.compare_digest(hmac.digest(key, body, "sha256"), tag):
        raise PacketError("forged", "it is not sealed with this group's key")
    try:
        packet = _decoder.decode(body[len(MAGIC) :])
    except (msgspec.DecodeError, RecursionError) as error:
        raise PacketError("malformed", f"no packet: {error}") from error
    if packet.mark is not mark:
        raise PacketError("other_mark", f"expected the mark {mark.value}, read {packet.mark.value}")
    if packet.org != org:
        raise PacketError("other_org", f"expected the organisation {org!r}, read {packet.org!r}")
    return packet


def fingerprint(key: bytes) -> str:
    """By which two people see that their units are of one group."""
    return hashlib.sha256(key).hexdigest()[:8]
