"""A report's signature by the unit's own Ed25519 key, for whoever reads the incident log elsewhere.

Without a key the log's chain alone holds it: nobody changes the line unseen while a head of the log
is known elsewhere, but whoever writes the whole log anew could.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent import signing
from agent.broker import must_be_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HEAD = "outpost-selftest-v1"


def load(path: str) -> Ed25519PrivateKey:
    """ValueError is a sentence."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        must_be_private(path)
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path}: expected an Ed25519 private key as PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: expected an Ed25519 private key as PEM")
    return key


def signed_bytes(unit: str, report: Any) -> bytes:
    """Three lines: head, unit, SHA-256 of the report as JSON whose members are sorted.  `report`:
    as it stands in the event, or the struct."""
    plain = msgspec.to_builtins(report)
    digest = hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()
    return f"{HEAD}\n{unit}\n{digest}".encode()


def sign(key: Ed25519PrivateKey, unit: str, report: Any) -> dict[str, str]:
    """`sig` and the public `key`, base64."""
    return {
        "sig": base64.b64encode(key.sign(signed_bytes(unit, report))).decode(),
        "key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
    }


def holds(signer: str, unit: str, data: dict[str, Any]) -> bool:
    """Whether `signer` (a public key as base64, or a PEM file) signed the event's `data`.
    ValueError: the signer or the signature cannot be read."""
    signature = signing.decode(str(data.get("sig", "")), signing.SIGNATURE_BYTES)
    return signing.verify(
        signing.public_key(signer), signature, signed_bytes(unit, data.get("report"))
    )
