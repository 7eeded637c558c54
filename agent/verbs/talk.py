"""Who is heard in the unit's speaker: `talk` asks for the floor, a session carries the voice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.commands import RefusedError, Verb
from agent.media.voice.floor import FloorError

if TYPE_CHECKING:
    from agent.watching import Watching


class TalkArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that is pressed (and again while it is held), or let go."""

    session: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    on: bool = True
    open: bool = False
    """An open line: it gives way to others while nothing is said."""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {"talk": TalkArgs}


def verbs(watching: Watching) -> dict[str, Verb]:
    def talk(args: TalkArgs, by: str, _uplink: Any) -> dict[str, Any]:
        if not args.on:
            return {"had": watching.release(args.session)}
        try:
            talker = watching.talk(args.session, by, open_line=args.open)
        except FloorError as error:
            raise RefusedError(error.code, str(error)) from error
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        return {"for_s": round(talker.until_s - talker.since_s, 1)}

    return {"talk": Verb(TalkArgs, talk)}
