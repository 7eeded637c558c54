"""What a center asks of a unit, and what becomes of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from agent.messages.base import Mark, Wire


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """On `cmd/{verb}`."""

    id: str
    by: str
    issued: int
    """UTC ms."""
    mark: Mark = Mark.ACTUAL
    expires: int | None = None
    """UTC ms; without it the command is refused 60 s after `issued`."""
    args: dict[str, Any] = {}
    sig: str = ""
    """Ed25519 over the lines of agent/README.md, base64; needed where the uplink has `signers`."""


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Ack(Wire, frozen=True, kw_only=True):
    """Body of a record of class `ack`: the outcome of one command."""

    id: str
    verb: str
    outcome: Outcome
    code: str = "ok"
    """`ok`, `malformed`, `unsigned`, `bad_signature`, `unknown_verb`, `not_authorised`, `expired`,
    `wrong_mark`, `bad_arguments`, `not_found`, `unavailable`, `would_loosen` ..."""
    detail: str = ""
    by: str = ""
    result: dict[str, Any] = msgspec.field(default_factory=dict)
