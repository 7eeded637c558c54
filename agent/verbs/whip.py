"""Pictures to a media server: `whip.start`, `whip.stop`, of a `[[media.whip]]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.commands import RefusedError, Verb
from agent.media.wire import MediaError

if TYPE_CHECKING:
    from agent.media.host import MediaHost


class WhipArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The media server's name in the configuration; empty: the first one."""

    name: Annotated[str, msgspec.Meta(max_length=63)] = ""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {"whip.start": WhipArgs, "whip.stop": WhipArgs}


def verbs(media: MediaHost) -> dict[str, Verb]:
    """None where no media server is configured."""

    def order(args: WhipArgs, on: bool) -> dict[str, Any]:
        try:
            return {"name": media.publish(args.name, on)}
        except MediaError as error:
            raise RefusedError(error.code, str(error)) from error

    def start(args: WhipArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        return order(args, True)

    def stop(args: WhipArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        return order(args, False)

    if not media.config.whip:
        return {}
    return {"whip.start": Verb(WhipArgs, start), "whip.stop": Verb(WhipArgs, stop)}
