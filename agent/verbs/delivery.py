"""Records again: `resend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.commands import RefusedError, Verb

if TYPE_CHECKING:
    from agent.outbox import Outbox


class ResendArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


ARGUMENTS: dict[str, type[msgspec.Struct]] = {"resend": ResendArgs}


def verbs(outbox: Outbox) -> dict[str, Verb]:
    def resend(args: ResendArgs, _by: str, uplink: Any) -> dict[str, Any]:
        if not 1 <= args.first <= args.last:
            raise RefusedError(
                "bad_arguments", f"expected 1 <= from <= to, read {args.first} and {args.last}"
            )
        number = outbox.epoch_id(args.epoch)
        if number is None:
            uplink.not_held(args.epoch, args.first, args.last)
            raise RefusedError("not_found", f"epoch {args.epoch!r} is not held")
        held = outbox.store.epochs[number]
        count = uplink.resend(number, args.first, args.last)
        return {"count": count, "held_from": held.first, "last": held.last}

    return {"resend": Verb(ResendArgs, resend)}
