"""The check before use: `selftest`, `selftest.bump`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.commands import RefusedError, Verb

if TYPE_CHECKING:
    from agent.selftest.part import Selftest

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class SelftestArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Check the unit; the result comes as event `selftest` and in the status."""

    clean_air: bool = False
    """A person at the unit states that the air there is clean: zeros are held against it."""


class SelftestBumpArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody is about to give test gas to this sensor."""

    source: Name
    quantity: Name
    concentration: Annotated[float, msgspec.Meta(ge=0)]
    """Of the test gas, in the sensor's unit."""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "selftest": SelftestArgs,
    "selftest.bump": SelftestBumpArgs,
}


def verbs(part: Selftest) -> dict[str, Verb]:
    def check(args: SelftestArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            status = part.run(by, clean_air=args.clean_air)
        except ValueError as error:
            raise RefusedError("busy", str(error)) from error
        return {"state": status.state}

    def bump(args: SelftestBumpArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            part.bump(args.source, args.quantity, args.concentration, by)
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        except ValueError as error:
            raise RefusedError("bad_arguments", str(error)) from error
        return {}

    return {"selftest": Verb(SelftestArgs, check), "selftest.bump": Verb(SelftestBumpArgs, bump)}
