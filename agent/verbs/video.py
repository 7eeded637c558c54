"""Pictures: `video.start`, `video.stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.commands import RefusedError, Verb
from agent.media.wire import MediaError

if TYPE_CHECKING:
    from agent.media.host import MediaHost


class VideoStartArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: str = ""
    mode: str = "stills"
    period_s: float = 2.0
    lease_s: float = 30.0


class VideoStopArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: str = ""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "video.start": VideoStartArgs,
    "video.stop": VideoStopArgs,
}


def verbs(media: MediaHost) -> dict[str, Verb]:
    def start_video(args: VideoStartArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        if args.mode != "stills":
            raise RefusedError(
                "bad_arguments",
                f"expected the mode 'stills' (pictures that move are offered by rtc), "
                f"read {args.mode!r}",
            )
        try:
            media.stills(args.camera, args.period_s, args.lease_s)
        except MediaError as error:
            raise RefusedError(error.code, str(error)) from error
        return {}

    def stop_video(args: VideoStopArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        try:
            media.stop_stills(args.camera)
        except MediaError as error:
            raise RefusedError(error.code, str(error)) from error
        return {}

    return {
        "video.start": Verb(VideoStartArgs, start_video),
        "video.stop": Verb(VideoStopArgs, stop_video),
    }
