"""A unit's files in one signed file: what `outpost provision` makes and sets up.

A JSON object: `format`, `manifest` (JSON as text, so that its very bytes are signed), `sig`.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import msgspec

from agent import signing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

FORMAT = "outpost-bundle-v1"
CONFIG = "agent.toml"
SECRETS = "credentials"
BYTES_MAX = 1_000_000
FILES_MAX = 100
_NAME = re.compile(rf"\A(agent\.toml|({SECRETS}|limits)/[A-Za-z0-9][A-Za-z0-9._-]{{0,63}})\Z")


class BundleError(ValueError):
    """A bundle that is not used; its text is a sentence."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    made: str
    """ISO 8601, UTC."""
    by: str
    files: dict[str, str]
    """Name below the folder of the unit's files -> text."""


class _Bundle(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    manifest: str
    sig: str


def pack(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """BundleError where it could not be set up."""
    _check(manifest)
    text = msgspec.json.encode(manifest).decode()
    sig = base64.b64encode(key.sign(_said(text))).decode()
    packed = msgspec.json.encode(_Bundle(format=FORMAT, manifest=text, sig=sig))
    if len(packed) > BYTES_MAX:
        raise BundleError(f"expected at most {BYTES_MAX} bytes, made {len(packed)}")
    return packed


def unpack(data: bytes, trusted: Ed25519PublicKey) -> Manifest:
    """BundleError unless it is whole, and signed by `trusted`: until then nothing of it is read."""
    if len(data) > BYTES_MAX:
        raise BundleError(f"expected at most {BYTES_MAX} bytes, read {len(data)}")
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"expected a bundle of outpost provision --make: {error}") from error
    if bundle.format != FORMAT:
        raise BundleError(f"expected a bundle of the format {FORMAT}, read {bundle.format[:40]!r}")
    try:
        signature = signing.decode(bundle.sig, signing.SIGNATURE_BYTES)
    except ValueError as error:
        raise BundleError(f"sig: {error}") from error
    if not signing.verify(trusted, signature, _said(bundle.manifest)):
        raise BundleError(
            "the trusted key has not signed it: it was changed, or it is signed by another"
        )
    try:
        manifest = msgspec.json.decode(bundle.manifest, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"manifest: {error}") from error
    _check(manifest)
    return manifest


def _said(manifest: str) -> bytes:
    return f"{FORMAT}\n{manifest}".encode()


def _check(manifest: Manifest) -> None:
    if CONFIG not in manifest.files:
        raise BundleError(f"it has no {CONFIG}")
    if len(manifest.files) > FILES_MAX:
        raise BundleError(f"expected at most {FILES_MAX} files, read {len(manifest.files)}")
    for name in manifest.files:
        if not _NAME.match(name):
            raise BundleError(
                f"expected {CONFIG}, {SECRETS}/NAME or limits/NAME (letters, digits, . _ -), "
                f"read {name[:80]!r}"
            )
