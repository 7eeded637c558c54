"""What people at the unit are told: messages, tasks, the incident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from agent.commands import RefusedError, Verb
from agent.messages.orders import Urgency
from agent.settings.tables import INCIDENT

if TYPE_CHECKING:
    from agent.orders.book import Orders
    from agent.orders.incident import Incident

TEXT_MAX = 500
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]


class MessageArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text that is shown until somebody at the unit has confirmed it."""

    text: Text
    urgency: Urgency = Urgency.ROUTINE
    within_s: Annotated[float, msgspec.Meta(ge=5, le=86400)] = 120.0
    """After so long an event says that nobody has; it goes on being shown."""


class MessageConfirmArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the page at the unit: it has been read."""

    message: str


class TaskArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to do, and where (WGS-84 degrees; both or neither)."""

    text: Text
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None


class TaskStepArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a task has come, said at the unit or, for who is heard by radio, by the center."""

    task: str
    step: Literal["accept", "arrive", "done", "decline", "cancel"]
    note: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""


class IncidentArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The incident that every record carries from now on; empty: none."""

    id: Annotated[str, msgspec.Meta(pattern=INCIDENT)]


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "message": MessageArgs,
    "message.confirm": MessageConfirmArgs,
    "task": TaskArgs,
    "task.step": TaskStepArgs,
    "incident": IncidentArgs,
}


def verbs(orders: Orders, incident: Incident) -> dict[str, Verb]:
    def message(args: MessageArgs, by: str, _uplink: Any) -> dict[str, Any]:
        text = args.text.strip()
        if not text:
            raise RefusedError("bad_arguments", "args: the text is blank")
        try:
            shown = orders.message(text, args.urgency, args.within_s, by)
        except ValueError as error:
            raise RefusedError("unavailable", str(error)) from error
        return {"message": shown.id}

    def confirm(args: MessageConfirmArgs, by: str, uplink: Any) -> dict[str, Any]:
        if not uplink.config.local:
            raise RefusedError(
                "not_authorised", "a message is confirmed at the unit: an uplink marked local"
            )
        try:
            return {"took_s": orders.confirm(args.message, by)}
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error

    def task(args: TaskArgs, by: str, _uplink: Any) -> dict[str, Any]:
        if (args.lat is None) != (args.lon is None):
            raise RefusedError("bad_arguments", "args: lat and lon are given together")
        place = None if args.lat is None or args.lon is None else (args.lat, args.lon)
        text = args.text.strip()
        if not text:
            raise RefusedError("bad_arguments", "args: the text is blank")
        try:
            return {"task": orders.task(text, place, by).id}
        except ValueError as error:
            raise RefusedError("unavailable", str(error)) from error

    def step(args: TaskStepArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            return {"state": orders.step(args.task, args.step, by, args.note.strip()).state.value}
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        except ValueError as error:
            raise RefusedError("unavailable", str(error)) from error

    def set_incident(args: IncidentArgs, by: str, _uplink: Any) -> dict[str, Any]:
        incident.set(args.id, by)
        return {"incident": incident.id}

    return {
        "message": Verb(MessageArgs, message),
        "message.confirm": Verb(MessageConfirmArgs, confirm),
        "task": Verb(TaskArgs, task),
        "task.step": Verb(TaskStepArgs, step),
        "incident": Verb(IncidentArgs, set_incident),
    }
