"""The console's composition root: parts, routes, and the life of the server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from agent import __version__, topics
from agent.center.receiver import Gap
from agent.console import tls
from agent.console.access import Access, Token
from agent.console.cards import Cards
from agent.console.center import Center, NotReachedError
from agent.console.commands import Commands
from agent.console.drill import Drill
from agent.console.live import Live, Update, encode
from agent.console.media import Media
from agent.console.options import MAP_FILE_URL, Options
from agent.console.problem import problem
from agent.console.stills import Stills
from agent.console.units import Units
from agent.console.whep import MAX_SDP_BYTES, Whep
from agent.messages import Mark

TICK_S = 1.0
SHUTDOWN_S = 1.0
MAX_BODY_BYTES = MAX_SDP_BYTES

NOT_BUILT = "The page has not been built yet: run `make setup` in the checkout.\n"

_log = logging.getLogger("console")


class PortInUseError(OSError):
    """Somebody else listens there; its text is one sentence."""


class Console:
    """All parts of one console."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._access = Access(
            tokens=options.operators or ((Token(options.token),) if options.token else ()),
            instructor_token=options.instructor_token,
            map_origin=_origin(options.map.url),
        )
        mark = Mark.EXERCISE if options.exercise else Mark.ACTUAL
        self._units = Units(since=now_ms())
        self._live = Live(self._newest)
        self._center = Center(
            options.broker,
            options.org,
            exercise=options.exercise,
            on_message=self._take,
            on_state=self._changed,
        )
        self._commands = Commands(self._center, self._units, mark, self._access.by, self._sent)
        self._stills = Stills(self._commands, self._units)
        self._media = Media(self._commands, self._units)
        self._whep = Whep(self._center, self._units, mark, self._access.by)
        self._drill = Drill(self._center)
        self._cards = Cards()

    def make_app(self) -> web.Application:
        """The HTTP side: routes and rules."""
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        router = app.router
        router.add_get("/", self._page)
        router.add_get("/api/live", self._serve_live)
        router.add_get("/api/state", self._state)
        router.add_get("/api/operator", self._operator)
        router.add_get("/api/stills/{unit}/{camera}", self._still)
        router.add_post("/api/drill/{action}", self._control)
        self._commands.add_routes(router)
        self._whep.add_routes(router)
        self._media.add_routes(router)
        self._cards.add_routes(router)
        if self.options.map_file is not None:
            router.add_get(MAP_FILE_URL, self._map_file)
        if self.options.static_dir.is_dir():
            router.add_static("/static/", self.options.static_dir)
        app.on_shutdown.append(self._goodbye)
        return app

    # -- what comes over MQTT --------------------------------------------------------------

    def _take(self, topic: topics.Topic, payload: bytes) -> None:
        if topic.unit == topics.DRILL:
            if topic.path == ("state",):
                self._drill.feed(payload)
                self._tell_drill()
        elif topic.path[0] == "rtc":
            self._whep.feed(topic, payload)
        elif topic.path[0] == "still" and len(topic.path) == 2:
            self._tell(self._stills.feed(topic, payload, time.monotonic()))
        elif topic.path[0] == "media" and len(topic.path) == 2:
            self._media.feed(topic, payload)
        else:
            updates = self._units.feed(topic, payload)
            for update in updates:
                if update["type"] == "ack":
                    self._media.take_ack(update["record"])
            self._tell(updates)

    def _tell(self, updates: Iterable[Update]) -> None:
        for update in updates:
            self._live.tell(update)

    def _tell_drill(self) -> None:
        self._live.tell_apart(
            self._drill.update(instructor=True), self._drill.update(instructor=False)
        )

    def _changed(self) -> None:
        if self._center.connected:
            self._units.reconnected()
        self._live.tell(self._broker())

    def _broker(self) -> Update:
        connected = self._center.connected
        return {
            "type": "broker",
            "connected": connected,
            "state": "up" if connected else "lost",
            "detail": self._center.detail,
        }

    def _newest(self, instructor: bool) -> list[Update]:
        hello = {
            "type": "hello",
            "org": self.options.org,
            "exercise": self.options.exercise,
            "instructor": instructor,
            "lang": self.options.lang,
            "version": __version__,
            "now": now_ms(),
            "map": self.options.map,
        }
        newest = [hello, self._broker(), self._units.snapshot()]
        if self.options.exercise:
            newest.append(self._drill.update(instructor=instructor))
        return newest

    def _sent(self, unit: str, verb: str, args: dict[str, Any]) -> None:
        self._stills.heard(unit, verb, args, time.monotonic())

    # -- tasks -----------------------------------------------------------------------------

    async def run(self) -> None:
        """The MQTT side, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._center.run(), name="console.center")
            group.create_task(self._tick(), name="console.tick")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            updates, wanted = self._units.tick(time.monotonic())
            self._tell(updates)
            if self._center.connected:
                await self._ask(wanted)

    async def _ask(self, wanted: list[tuple[str, Gap]]) -> None:
        for unit, gap in wanted:
            try:
                await self._commands.resend(unit, gap)
            except NotReachedError as error:
                _log.info("resend of %s %d..%d: %s", unit, gap.first, gap.last, error)

    async def _goodbye(self, _app: web.Application) -> None:
        await self._live.close()

    # -- HTTP ------------------------------------------------------------------------------

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            if request.path == "/" and request.method == hdrs.METH_GET:
                response = self._access.enter(request)
            if response is None:
                self._access.check(request)
                response = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(self._headers(request))
            raise
        if not response.prepared:
            response.headers.update(self._headers(request))
        return response

    def _headers(self, request: web.Request) -> dict[str, str]:
        headers = self._access.headers()
        if request.path.startswith(("/static/", "/map/")):
            return headers | {hdrs.CACHE_CONTROL: "no-cache"}
        return headers | {hdrs.CACHE_CONTROL: "no-store"}

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        page = self.options.static_dir / "index.html"
        if not page.is_file():
            return web.Response(status=503, text=NOT_BUILT)
        return web.FileResponse(page)

    async def _serve_live(self, request: web.Request) -> web.StreamResponse:
        return await self._live.serve(request, instructor=self._access.is_instructor(request))

    async def _state(self, request: web.Request) -> web.Response:
        instructor = self._access.is_instructor(request)
        parts = {update["type"]: update for update in self._newest(instructor)}
        body = parts.pop("snapshot") | parts
        return web.Response(text=encode(body), content_type="application/json")

    async def _operator(self, request: web.Request) -> web.Response:
        """Whom the token names; then a page cannot name another."""
        body = {"name": self._access.operator(request)}
        return web.Response(text=encode(body), content_type="application/json")

    async def _still(self, request: web.Request) -> web.Response:
        return await self._stills.get(request, time.monotonic())

    async def _control(self, request: web.Request) -> web.Response:
        return await self._drill.post(
            request, self._access.by, instructor=self._access.is_instructor(request)
        )

    async def _map_file(self, _request: web.Request) -> web.StreamResponse:
        file = self.options.map_file
        if file is None or not file.is_file():
            return problem(404, "not_found", "the map file is gone")
        return web.FileResponse(file)


async def serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM.  PortInUseError, or OSError for another address that
    cannot be bound."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(options) as url:
        _log.info("the page is at %s", url)
        if options.tls is not None:
            _log.info("its certificate's SHA-256 is %s", tls.fingerprint(options.tls[0]))
        if options.ready_file is not None:
            options.ready_file.write_text(url + "\n", encoding="utf-8")
        await stop.wait()


@contextlib.asynccontextmanager
async def running(options: Options) -> AsyncIterator[str]:
    """A console that listens; gives its address.  A part that fails ends the block."""
    console = Console(options)
    runner = web.AppRunner(console.make_app(), access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await _listen(runner, options)
        host, port = runner.addresses[0][:2]
        async with asyncio.TaskGroup() as group:
            parts = group.create_task(console.run(), name="console")
            scheme = "http" if options.tls is None else "https"
            yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
            parts.cancel()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, options: Options) -> None:
    try:
        context = None if options.tls is None else tls.context(*options.tls)
        await web.TCPSite(runner, options.host, options.port, ssl_context=context).start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortInUseError(
            f"port {options.port} of {options.host} is in use by another program: "
            "end that, or choose another with --port"
        ) from error


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
