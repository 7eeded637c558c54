"""Signatures of commands and bundles: Ed25519 (RFC 8032), keys as base64 or PEM files.

`cryptography` is loaded by who needs it, not at each start: a unit without signers never does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.messages import Command, Offer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

HEAD = "outpost-command-v1"
OFFER_HEAD = "outpost-offer-v1"
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SignatureError(ValueError):
    """Why a signature does not hold; `code` for the ack."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class _Args(msgspec.Struct):
    args: msgspec.Raw = msgspec.Raw(b"{}")


_decode_args = msgspec.json.Decoder(_Args).decode


def signed_bytes(topic: str, command: Command, args: bytes) -> bytes:
    """What is signed: eight lines.  `args`: the bytes of that member as they stand in the payload,
    so that no two programs need to write a number alike.  ValueError: not one line each."""
    _one_line(command.id, command.by)
    expires = "" if command.expires is None else str(command.expires)
    digest = hashlib.sha256(args).hexdigest()
    lines = (
        HEAD, topic, command.id, command.by, str(command.issued), expires, command.mark.value,
        digest,
    )  # fmt: skip
    return "\n".join(lines).encode()


def offer_bytes(topic: str, offer: Offer) -> bytes:
    """The same of an offer: seven lines, the last the SHA-256 of `sdp` in UTF-8."""
    _one_line(offer.by, offer.camera)
    digest = hashlib.sha256(offer.sdp.encode()).hexdigest()
    lines = (
        OFFER_HEAD, topic, offer.by, str(offer.issued), offer.mark.value, offer.camera, digest,
    )  # fmt: skip
    return "\n".join(lines).encode()


def _one_line(*texts: str) -> None:
    if not all(text.isprintable() for text in texts):
        raise ValueError("what is signed holds printable characters alone")


def sign(key: Ed25519PrivateKey, topic: str, command: Command) -> bytes:
    """The payload of `command`, signed; what a center of ours sends."""
    args = msgspec.json.encode(command.args)
    signature = key.sign(signed_bytes(topic, command, args))
    body: dict[str, Any] = msgspec.structs.asdict(command)
    body |= {"args": msgspec.Raw(args), "sig": base64.b64encode(signature).decode()}
    return msgspec.json.encode(body)


def check(signers: Iterable[str], topic: str, command: Command, payload: bytes) -> None:
    """SignatureError unless one of `signers` has signed it.  `payload` is what `command` was."""
    _check(
        signers,
        command.sig,
        lambda: signed_bytes(topic, command, bytes(_decode_args(payload).args)),
    )


def check_offer(signers: Iterable[str], topic: str, offer: Offer) -> None:
    """The same for an offer."""
    _check(signers, offer.sig, lambda: offer_bytes(topic, offer))


def _check(signers: Iterable[str], sig: str, said: Callable[[], bytes]) -> None:
    if not sig:
        raise SignatureError("unsigned", "this uplink takes what is signed alone (signers)")
    try:
        signature, signed = decode(sig, SIGNATURE_BYTES), said()
    except (ValueError, RecursionError) as error:
        raise SignatureError("bad_signature", f"sig: {error}") from error
    unreadable: list[str] = []
    for signer in signers:
        try:
            key = public_key(signer)
        except ValueError as error:
            unreadable.append(str(error))
            continue
        if verify(key, signature, signed):
            return
    detail = "none of this uplink's signers has signed this for this topic"
    raise SignatureError("bad_signature", "; ".join([detail, *unreadable]))


def verify(key: Ed25519PublicKey, signature: bytes, said: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, said)
    except InvalidSignature:
        return False
    return True


def decode(text: str, size: int) -> bytes:
    """base64 of so many bytes.  ValueError says what was read."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"expected {size} bytes as base64, read {text[:60]!r}") from error
    if len(found) != size:
        raise ValueError(f"expected {size} bytes as base64, read {len(found)}")
    return found


def mistake(signer: str) -> str:
    """What is wrong with an entry of `signers` as it is written; empty: nothing."""
    if _is_key(signer) or "/" in signer or signer.endswith(".pem"):
        return ""
    return f"expected a public key of 32 bytes as base64, or a PEM file, read {signer[:60]!r}"


def _is_key(signer: str) -> bool:
    try:
        decode(signer, KEY_BYTES)
    except ValueError:
        return False
    return True


def public_key(signer: str) -> Ed25519PublicKey:
    """From base64 or a PEM file.  ValueError is a sentence."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if _is_key(signer):
        return Ed25519PublicKey.from_public_bytes(decode(signer, KEY_BYTES))
    try:
        key = load_pem_public_key(Path(signer).read_bytes())
    except OSError as error:
        raise ValueError(f"{signer}: cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{signer}: expected an Ed25519 public key as PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{signer}: expected an Ed25519 public key as PEM")
    return key
