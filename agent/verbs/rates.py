"""How densely readings become records: `rate`, `profile`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.commands import RefusedError, Verb
from agent.rates import Lease

if TYPE_CHECKING:
    from agent.rates import Rates


class RateArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record of this quantity each `period_s` (0: each reading), for `lease_s`; null: back."""

    quantity: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    period_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None
    lease_s: Annotated[float, msgspec.Meta(ge=5, le=86400)] = 600.0


class ProfileArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named profile of the configuration; empty: the one after a start."""

    name: Annotated[str, msgspec.Meta(max_length=64)]


ARGUMENTS: dict[str, type[msgspec.Struct]] = {"rate": RateArgs, "profile": ProfileArgs}


def verbs(rates: Rates, measured: Callable[[], set[str]]) -> dict[str, Verb]:
    """`measured`: the quantities that have been read."""

    def rate(args: RateArgs, by: str, uplink: Any) -> dict[str, Any]:
        name = uplink.config.name
        if args.quantity not in measured():
            raise RefusedError("not_found", f"nothing measures {args.quantity!r}")
        try:
            if args.period_s is None:
                rates.give_back(name, args.quantity, by)
            else:
                until = time.monotonic() + args.lease_s
                rates.ask(name, args.quantity, Lease(args.period_s, until, by))
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        except ValueError as error:
            raise RefusedError("bad_arguments", f"args: {error}") from error
        return {"period_s": rates.period_s(args.quantity)}

    def profile(args: ProfileArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            return {"profile": rates.choose(args.name, by).name}
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error

    return {"rate": Verb(RateArgs, rate), "profile": Verb(ProfileArgs, profile)}
