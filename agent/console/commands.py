"""Commands to units: from the page by POST, and those that the console gives by itself."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from agent import topics
from agent.center.receiver import Gap
from agent.console.center import Center, NotReachedError
from agent.console.problem import problem, read_json
from agent.console.units import Units
from agent.messages import Command, Mark

EXPIRES_S = 60
"""What a unit takes without `expires`; the broker lets go of it then, too."""

_VERB = re.compile(r"[a-z][a-z_]{0,31}(?:\.[a-z][a-z_]{0,31})?\Z")


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page posts."""

    args: dict[str, Any] = {}
    by: str = ""
    """The name of who gives it, for the unit's audit: `console/NAME`; empty: `console`."""


class Commands:
    """Sends commands; outcomes come back as `ack` records.  `by(request, name)` says who it is;
    `on_sent(unit, verb, args)` hears of what a page has sent."""

    def __init__(
        self,
        center: Center,
        units: Units,
        mark: Mark,
        by: Callable[[web.Request, str], str],
        on_sent: Callable[[str, str, dict[str, Any]], None],
    ) -> None:
        self._center = center
        self._units = units
        self._mark = mark
        self._by = by
        self._on_sent = on_sent

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/api/units/{unit}/commands/{verb}", self.post)

    async def post(self, request: web.Request) -> web.Response:
        unit, verb = request.match_info["unit"], request.match_info["verb"]
        if not _VERB.match(verb):
            return problem(400, "malformed", f"expected a verb like 'alarm.ack', read {verb!r}")
        if unit not in self._units:
            return problem(404, "not_found", f"no unit {unit!r} has been heard of here")
        try:
            body = await read_json(request, CommandBody)
            by = self._by(request, body.by)
        except ValueError as error:
            return problem(400, "malformed", str(error))
        try:
            sent = await self.send(unit, verb, body.args, by=by)
        except NotReachedError as error:
            return problem(503, "not_connected", str(error), retry_after_s=5)
        self._on_sent(unit, verb, body.args)
        answer = msgspec.json.encode({"id": sent})
        return web.Response(status=202, body=answer, content_type="application/json")

    async def send(self, unit: str, verb: str, args: dict[str, Any], *, by: str) -> str:
        """Returns the command's id.  NotReachedError: nobody has got it."""
        command = Command(
            id=uuid.uuid4().hex, by=by, issued=time.time_ns() // 1_000_000, mark=self._mark,
            args=args,
        )  # fmt: skip
        topic = self._center.topic(unit, f"cmd/{topics.command_level(verb)}")
        await self._center.publish(topic, msgspec.json.encode(command), expiry_s=EXPIRES_S)
        return command.id

    async def resend(self, unit: str, gap: Gap) -> None:
        """Ask for what is missing.  NotReachedError."""
        await self.send(unit, "resend", gap.args, by="console")
