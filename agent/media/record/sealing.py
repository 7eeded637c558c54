"""Encryption of a file that grows and may be cut short at any byte.

Magic, 16 bytes of salt, then chunks: a 4-byte big-endian length of what follows, AES-256-GCM
ciphertext and its tag.  Each file has a key of its own (HKDF-SHA-256 of the key and the salt), the
nonce is the chunk's number, so no chunk can be left out, moved or brought in from another file;
the end is missed only by the digest in the side file.
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"OUTPOST-SEALED-1"
SALT_BYTES = 16
KEY_BYTES = 32
TAG_BYTES = 16
CHUNK_MAX = 1 << 20
LENGTH = struct.Struct(">I")


class SealError(ValueError):
    """No sealed file, another key, or changed bytes."""


def read_key(path: Path) -> bytes:
    """OSError; ValueError: no key of 32 bytes."""
    text = path.read_text(encoding="ascii", errors="replace").strip()
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    raise ValueError(f"{path} holds no key: expected {KEY_BYTES} bytes in hexadecimal or base64")


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=MAGIC)
    return AESGCM(hkdf.derive(key))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


class Sealer:
    """For one file."""

    def __init__(self, key: bytes) -> None:
        salt = os.urandom(SALT_BYTES)
        self.head = MAGIC + salt
        """Comes first."""
        self._cipher = _cipher(key, salt)
        self._number = 0

    def seal(self, data: bytes) -> bytes:
        """What is written for `data`, which is readable as soon as this is on the disk."""
        made = bytearray()
        for start in range(0, len(data), CHUNK_MAX):
            sealed = self._cipher.encrypt(
                _nonce(self._number), data[start : start + CHUNK_MAX], None
            )
            self._number += 1
            made += LENGTH.pack(len(sealed)) + sealed
        return bytes(made)


def unsealed(file: BinaryIO, key: bytes) -> Iterator[bytes]:
    """The clear bytes, chunk by chunk; a last chunk that was cut short is left out.  SealError."""
    head = file.read(len(MAGIC) + SALT_BYTES)
    if len(head) < len(MAGIC) + SALT_BYTES or not head.startswith(MAGIC):
        raise SealError(f"expected a file that begins {MAGIC.decode()}, read {head[:16]!r}")
    cipher = _cipher(key, head[len(MAGIC) :])
    number = 0
    while len(length := file.read(LENGTH.size)) == LENGTH.size:
        (size,) = LENGTH.unpack(length)
        if not TAG_BYTES < size <= CHUNK_MAX + TAG_BYTES:
            raise SealError(f"chunk {number} claims {size} bytes")
        sealed = file.read(size)
        if len(sealed) < size:
            return
        try:
            yield cipher.decrypt(_nonce(number), sealed, None)
        except InvalidTag:
            raise SealError(
                f"chunk {number} cannot be opened: another key, or its bytes were changed"
            ) from None
        number += 1
