"""Whoever carries the unit: `sos.raise`, `sos.cancel`, `check_in`, and `zone`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.commands import RefusedError, Verb
from agent.verbs import zone

if TYPE_CHECKING:
    from agent.person.responder import Responder


class SosRaiseArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Call for help from a page at the unit."""

    silent: bool = False
    """Without sound and lamp there."""


class SosCancelArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The caller takes the call for help back."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class CheckInArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wearer is well."""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "sos.raise": SosRaiseArgs,
    "sos.cancel": SosCancelArgs,
    "check_in": CheckInArgs,
    **zone.ARGUMENTS,
}


def verbs(responder: Responder) -> dict[str, Verb]:
    def raise_sos(args: SosRaiseArgs, by: str, _uplink: Any) -> dict[str, Any]:
        responder.call(by, silent=args.silent)
        return {}

    def cancel_sos(args: SosCancelArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            responder.cancel(args.reason, by)
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        return {}

    def check_in(_args: CheckInArgs, by: str, _uplink: Any) -> dict[str, Any]:
        responder.check_in(by)
        return {}

    return {
        "sos.raise": Verb(SosRaiseArgs, raise_sos),
        "sos.cancel": Verb(SosCancelArgs, cancel_sos),
        "check_in": Verb(CheckInArgs, check_in),
        **zone.verbs(responder),
    }
