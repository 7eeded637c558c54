"""Who wears the unit: `wearer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.alarms.exposure import Wearer
from agent.commands import Verb

if TYPE_CHECKING:
    from agent.exposures import Exposures


class WearerArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wears the unit from now on; both empty: nobody who is known."""

    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    new_shift: bool = False
    """Close the dose also where it is the same person."""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {"wearer": WearerArgs}


def verbs(book: Exposures) -> dict[str, Verb]:
    def wearer(args: WearerArgs, by: str, _uplink: Any) -> dict[str, Any]:
        person = Wearer(name=args.name.strip(), id=args.id.strip())
        closed = book.assign(person, by, new_shift=args.new_shift)
        return {} if closed is None else {"closed": msgspec.to_builtins(closed)}

    return {"wearer": Verb(WearerArgs, wearer)}
