"""The verb table: what a center may ask of a unit, and what is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from agent.alarms.engine import Engine
from agent.clock import UnitClock
from agent.commands import RefusedError, Verb
from agent.media.host import MediaHost
from agent.media.wire import MediaError
from agent.messages import Alarm
from agent.outbox import Outbox


class ResendArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


class AlarmArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: str


class CleanAirArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person says that the air is clean where this over-range alarm stands."""

    alarm: str


class SosArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: str = ""


class VideoStartArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: str = ""
    mode: str = "stills"
    period_s: float = 2.0
    lease_s: float = 30.0


class VideoStopArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: str = ""


class WearerArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wears the unit from now on; both empty: nobody who is known."""

    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    new_shift: bool = False
    """Close the dose also where it is the same person."""


class ConfigGetArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the configuration; empty: all of it."""

    table: str = ""


class ConfigSetArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Path (`uplink.center.host`, `alarms.override.cl2.high`) -> value; null takes a former change
    back.  It is in force until it is confirmed, or rolled back."""

    changes: Annotated[dict[str, Any], msgspec.Meta(min_length=1, max_length=100)]
    confirm_within_s: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 120.0


class ConfigConfirmArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `change` of the ack of `config.set`."""

    change: str


class RestartArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "resend": ResendArgs,
    "alarm.ack": AlarmArgs,
    "air.clean": CleanAirArgs,
    "sos.confirm": SosArgs,
    "video.start": VideoStartArgs,
    "video.stop": VideoStopArgs,
    "wearer": WearerArgs,
    "config.get": ConfigGetArgs,
    "config.set": ConfigSetArgs,
    "config.confirm": ConfigConfirmArgs,
    "restart": RestartArgs,
}
"""What `args` of each verb must be."""


def verb_table(
    outbox: Outbox,
    engine: Engine,
    clock: UnitClock,
    media: MediaHost,
    on_alarms: Callable[[list[Alarm]], None],
) -> dict[str, Verb]:
    """The verbs that this unit knows, by name."""

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

    def acknowledge(args: AlarmArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            changes = engine.acknowledge(args.alarm, by)
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        on_alarms(changes)
        return {"changed": len(changes)}

    def clean_air(args: CleanAirArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            changes = engine.clean_air(args.alarm, by, clock.now_ms())
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        except ValueError as error:
            raise RefusedError("unavailable", str(error)) from error
        on_alarms(changes)
        return {"changed": len(changes)}

    def confirm_sos(args: SosArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            changes = engine.end_sos(by, clock.now_ms())
        except LookupError as error:
            raise RefusedError("not_found", "no call for help stands") from error
        on_alarms(changes)
        return {"changed": len(changes)}

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

    handlers: dict[str, Any] = {
        "resend": resend,
        "alarm.ack": acknowledge,
        "air.clean": clean_air,
        "sos.confirm": confirm_sos,
        "video.start": start_video,
        "video.stop": stop_video,
    }
    return {name: Verb(ARGUMENTS[name], run) for name, run in handlers.items()}
