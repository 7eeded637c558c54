"""Pictures and recordings that the unit keeps: `snapshot`, `media.list`, `media.get`, `record`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec

from agent.commands import RefusedError, Verb
from agent.media.wire import MediaError
from agent.messages import Outcome
from agent.recordings.pieces import PIECE_MAX, Order

if TYPE_CHECKING:
    from agent.gallery import Gallery
    from agent.recordings.pieces import Pieces
    from agent.snapshots import Snapshots

PIECES_MAX = 32
"""In answer to one command: a megabyte."""
T_MAX = 2**53


class SnapshotArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A still of a camera (empty: the first) with position and readings, as a record of `media`."""

    camera: Annotated[str, msgspec.Meta(max_length=63)] = ""


class MediaListArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest of what began between two times, UTC ms."""

    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    until: Annotated[int, msgspec.Meta(ge=0)] = T_MAX
    kind: Literal["", "snapshot", "recording"] = ""
    most: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class MediaGetArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes of one of them, in pieces on `media/{id}`: of at most a megabyte a command.  They come
    when alarms and readings leave room; who misses some asks again from their offset."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=PIECE_MAX * PIECES_MAX)] = PIECE_MAX * PIECES_MAX


class RecordArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record a camera (empty: all), stop, or keep a recording from being deleted."""

    action: Literal["start", "stop", "lock", "unlock"]
    camera: Annotated[str, msgspec.Meta(max_length=63)] = ""
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Of the recording to lock; empty: the one that goes on."""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "snapshot": SnapshotArgs,
    "media.list": MediaListArgs,
    "media.get": MediaGetArgs,
    "record": RecordArgs,
}


class Recorder(Protocol):
    """What `record` asks for; MediaError says why it cannot be done."""

    def command(self, args: RecordArgs, by: str) -> dict[str, Any]: ...


def verbs(
    gallery: Gallery,
    pieces: Pieces,
    snapshots: Snapshots | None,
    recorder: Recorder | None = None,
) -> dict[str, Verb]:
    """Those that the unit can carry out: a unit without a camera takes no pictures."""

    def snapshot(args: SnapshotArgs, by: str, _uplink: Any) -> dict[str, Any]:
        assert snapshots is not None
        try:
            return {"snapshot": snapshots.take(args.camera, by)}
        except MediaError as error:
            raise RefusedError(error.code, str(error)) from error
        except ValueError as error:
            raise RefusedError("unavailable", str(error)) from error

    def media_list(args: MediaListArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        found = gallery.items(args.since, args.until, args.kind, args.most)
        return {"items": [msgspec.to_builtins(item) for item in found]}

    def media_get(args: MediaGetArgs, _by: str, uplink: Any) -> dict[str, Any]:
        try:
            item, path = gallery.find(args.id)
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        if args.offset >= item.size:
            raise RefusedError(
                "bad_arguments", f"args: expected an offset below {item.size}, read {args.offset}"
            )
        try:
            with path.open("rb"):
                end = min(item.size, args.offset + args.length)
            pieces.send(uplink, Order(item, path, args.offset, end))
        except OSError as error:
            raise RefusedError(
                "unavailable", f"it cannot be read: {error.strerror}", Outcome.FAILED
            ) from error
        except ValueError as error:
            raise RefusedError("unavailable", str(error)) from error
        return {"size": item.size, "digest": item.digest, "sent": end - args.offset,
                "media_type": item.media_type}  # fmt: skip

    def record(args: RecordArgs, by: str, _uplink: Any) -> dict[str, Any]:
        assert recorder is not None
        try:
            return recorder.command(args, by)
        except MediaError as error:
            raise RefusedError(error.code, str(error)) from error

    found: dict[str, Verb] = {}
    if snapshots is not None:
        found["snapshot"] = Verb(SnapshotArgs, snapshot)
    if gallery.providers:
        found["media.list"] = Verb(MediaListArgs, media_list)
        found["media.get"] = Verb(MediaGetArgs, media_get)
    if recorder is not None:
        found["record"] = Verb(RecordArgs, record)
    return found
