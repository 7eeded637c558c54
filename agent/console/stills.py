"""Stills where no video path exists: the newest picture of each camera, asked for by lease.

A page that fetches a picture wants the next one too, so the lease is kept up for as long as pages
fetch (or ask by `video.start` themselves), and runs out by itself when they stop.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from aiohttp import web

from agent import topics
from agent.console.center import NotReachedError
from agent.console.commands import Commands
from agent.console.problem import problem
from agent.console.units import Units, Update
from agent.messages import Mark, Still

PERIOD_S = 1.0
LEASE_S = 20.0
RENEW_S = 10.0
"""Of a lease must be left, else it is asked for anew."""
STALE_S = 30.0
"""A picture older than that is not shown."""
MAX_CAMERAS = 64
MAX_JPEG_BYTES = 2 * 1024 * 1024
VERB_START = "video.start"
VERB_STOP = "video.stop"

_CAMERA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")


class _Picture(msgspec.Struct, frozen=True):
    t: int
    taken_s: float
    """When it came here, `time.monotonic()` of the caller."""
    jpeg: bytes


class Stills:
    """The newest picture and the lease of each camera.  `now_s` is any clock that only rises."""

    def __init__(self, commands: Commands, units: Units) -> None:
        self._commands = commands
        self._units = units
        self._pictures: dict[tuple[str, str], _Picture] = {}
        self._leases: dict[tuple[str, str], float] = {}
        """Until when a unit sends pictures by itself."""

    def feed(self, topic: topics.Topic, payload: bytes, now_s: float) -> list[Update]:
        """`still/{camera}`.  ValueError: no picture."""
        _, camera = topic.path
        still = _read_still(payload, topic)
        key = (topic.unit, camera)
        self._pictures.pop(key, None)
        self._pictures[key] = _Picture(still.t, now_s, base64.b64decode(still.jpeg))
        while len(self._pictures) > MAX_CAMERAS:
            self._pictures.pop(next(iter(self._pictures)))
        url = f"/api/stills/{topic.unit}/{camera}?t={still.t}"
        return [{"type": "still", "unit": topic.unit, "camera": camera, "t": still.t, "url": url}]

    def heard(self, unit: str, verb: str, args: dict[str, Any], now_s: float) -> None:
        """A page has given a unit a command; it may be about stills."""
        key = (unit, str(args.get("camera", "")))
        if verb == VERB_STOP:
            self._leases.pop(key, None)
        elif verb == VERB_START and isinstance(lease_s := args.get("lease_s"), int | float):
            self._note(key, now_s + lease_s)

    async def get(self, request: web.Request, now_s: float) -> web.Response:
        """The newest picture; wanting it keeps the lease up."""
        key = unit, camera = request.match_info["unit"], request.match_info["camera"]
        if unit not in self._units:
            return problem(404, "not_found", f"no unit {unit!r} has been heard of here")
        if not _CAMERA.match(camera):
            return problem(404, "not_found", f"no camera can be called {camera!r}")
        try:
            await self._want(key, now_s)
        except NotReachedError as error:
            return problem(503, "not_connected", str(error), retry_after_s=5)
        picture = self._pictures.get(key)
        if picture is None or now_s - picture.taken_s > STALE_S:
            return problem(503, "not_yet", f"no picture of {camera!r} yet", retry_after_s=1)
        return web.Response(
            body=picture.jpeg, content_type="image/jpeg", headers={"X-Still-Time": str(picture.t)}
        )

    async def _want(self, key: tuple[str, str], now_s: float) -> None:
        if self._leases.get(key, 0.0) - now_s >= RENEW_S:
            return
        unit, camera = key
        self._note(key, now_s + LEASE_S)
        args = {"camera": camera, "mode": "stills", "period_s": PERIOD_S, "lease_s": LEASE_S}
        try:
            await self._commands.send(unit, VERB_START, args, by="console")
        except NotReachedError:
            self._leases.pop(key, None)
            raise

    def _note(self, key: tuple[str, str], until_s: float) -> None:
        self._leases[key] = until_s
        while len(self._leases) > MAX_CAMERAS:
            self._leases.pop(next(iter(self._leases)))


def _read_still(payload: bytes, topic: topics.Topic) -> Still:
    where = "/".join((topic.unit, *topic.path))
    try:
        still = msgspec.json.decode(payload, type=Still)
        size = len(base64.b64decode(still.jpeg, validate=True))
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
        binascii.Error,
    ) as error:
        raise ValueError(f"{where}: expected a Still, but {error}") from error
    if still.unit != topic.unit or still.camera != topic.path[1]:
        raise ValueError(
            f"{where}: the payload names unit {still.unit!r} and camera {still.camera!r}"
        )
    if (still.mark == Mark.EXERCISE) != topic.exercise:
        raise ValueError(f"{where}: mark {still.mark.value!r} does not belong under this root")
    if not 0 < size <= MAX_JPEG_BYTES or not _CAMERA.match(still.camera):
        raise ValueError(f"{where}: a picture has 1 to {MAX_JPEG_BYTES} bytes, but this has {size}")
    return still
