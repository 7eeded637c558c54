"""What stands at the unit: `alarm.ack`, `air.clean`, `sos.confirm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from agent.commands import RefusedError, Verb
from agent.messages import Alarm

if TYPE_CHECKING:
    from agent.alarms.engine import Engine
    from agent.clock import UnitClock


class AlarmArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: str


class CleanAirArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person says that the air is clean where this over-range alarm stands."""

    alarm: str


class SosArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: str = ""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "alarm.ack": AlarmArgs,
    "air.clean": CleanAirArgs,
    "sos.confirm": SosArgs,
}


def verbs(
    engine: Engine,
    clock: UnitClock,
    on_alarms: Callable[[list[Alarm]], Any],
    silence: Callable[[str, str], None],
) -> dict[str, Verb]:
    """`silence(alarm, by)`: a person at the unit has heard it."""

    def acknowledge(args: AlarmArgs, by: str, uplink: Any) -> dict[str, Any]:
        try:
            changes = engine.acknowledge(args.alarm, by)
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        on_alarms(changes)
        if uplink.config.local:
            silence(args.alarm, by)
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

    return {
        "alarm.ack": Verb(AlarmArgs, acknowledge),
        "air.clean": Verb(CleanAirArgs, clean_air),
        "sos.confirm": Verb(SosArgs, confirm_sos),
    }
