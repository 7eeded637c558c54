"""The drill's state for the pages, and the instructor's hand on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from agent import topics
from agent.console.center import Center, NotReachedError
from agent.console.problem import problem, read_json
from agent.console.units import Update

ACTIONS = ("pause", "resume", "inject", "end", "real_emergency")
FOR_ALL = "real_emergency"
"""Anybody who sees that it has become serious may stop the scenario."""
EXPIRES_S = 10

_SHOWN_TO_ALL = (
    "scenario", "title", "t_s", "duration_s", "speed", "state", "reason", "center",
)  # fmt: skip
"""Not the sources, the footprint and what is to come: those are what is trained."""


class _State(msgspec.Struct, frozen=True):
    """What must be there of `drill/state`; the rest goes to the instructor as it came."""

    scenario: str
    state: str
    t_s: float
    title: dict[str, str] = {}


class ControlBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page posts."""

    inject: str = ""
    by: str = ""


class Drill:
    """The newest `drill/state`, and `drill/control`."""

    def __init__(self, center: Center) -> None:
        self._center = center
        self._full: dict[str, Any] | None = None

    def feed(self, payload: bytes) -> None:
        """`drill/state`; an empty one says that the drill is over.  ValueError: no state."""
        if not payload:
            self._full = None
            return
        try:
            msgspec.json.decode(payload, type=_State)
            self._full = msgspec.json.decode(payload, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"drill/state: {error}") from error

    def update(self, *, instructor: bool) -> Update:
        state = self._full
        if state is not None and not instructor:
            state = {name: state[name] for name in _SHOWN_TO_ALL if name in state}
        return {"type": "drill", "state": state}

    async def post(
        self, request: web.Request, by: Callable[[web.Request, str], str], *, instructor: bool
    ) -> web.Response:
        """`/api/drill/{action}`.  `by`: who it is, with the name that the page gives."""
        action = request.match_info["action"]
        if not self._center.exercise:
            return problem(404, "not_found", "this console is not in a drill")
        if action not in ACTIONS:
            return problem(404, "not_found", f"expected one of {', '.join(ACTIONS)}")
        if action != FOR_ALL and not instructor:
            return problem(403, "not_authorised", f"{action!r} is the instructor's")
        try:
            body = await read_json(request, ControlBody)
            who = by(request, body.by)
        except ValueError as error:
            return problem(400, "malformed", str(error))
        if (action == "inject") != bool(body.inject):
            return problem(400, "malformed", "'inject' names an inject, for that action alone")
        control = {"action": action, "by": who}
        if body.inject:
            control["inject"] = body.inject
        try:
            topic = self._center.topic(topics.DRILL, "control")
            await self._center.publish(topic, msgspec.json.encode(control), expiry_s=EXPIRES_S)
        except NotReachedError as error:
            return problem(503, "not_connected", str(error), retry_after_s=2)
        return web.Response(status=202)
