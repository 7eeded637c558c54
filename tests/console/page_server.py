"""A console of cardboard: serves the built page and speaks the contract's WebSocket.

For the page's own tests, which say what is sent and see what is asked, and for people at work on
the page: `python tests/console/page_server.py [--port 8766] [--instructor] [--actual]` plays a
chlorine leak with three units.  The real console is agent/console/.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

STATIC = Path(__file__).resolve().parents[2] / "agent" / "console" / "static"
CSP = "default-src 'self'"
UNITS = ("ex-cv-01", "ex-sk-01", "ex-sk-02")
NAMES = {
    "ex-cv-01": ("指挥车01", "Command vehicle 01"),
    "ex-sk-01": ("救援员 李强", "Rescuer Li Qiang"),
    "ex-sk-02": ("救援员 王芳", "Rescuer Wang Fang"),
}
LEAK = (30.5952, 114.3046)

Json = dict[str, Any]


def now_ms() -> int:
    return int(time.time() * 1000)


def hello(**changes: Any) -> Json:
    return {
        "type": "hello", "org": "hubei", "exercise": True, "instructor": False, "lang": "zh",
        "version": "0.1.0", "now": now_ms(), "map": {"kind": "none", "url": "", "datum": "wgs84"},
    } | changes  # fmt: skip


def status(unit: str, **changes: Any) -> Json:
    zh, en = NAMES.get(unit, (unit, unit))
    return {
        "unit": unit, "org": "hubei", "name": {"zh": zh, "en": en}, "mark": "exercise",
        "profile": "vehicle" if "cv" in unit else "soldier", "software": "0.1.0",
        "epoch": "1-a", "version": 1, "t": now_ms(), "clock": "gnss", "state": "running",
        "sources": [
            {"name": "gas1", "driver": "winsen", "state": "up", "evidence": "from datasheet",
             "serial": "A1207", "calibrated": "2024-03-01", "calibrated_by": "Chen",
             "calibration_due": "2024-08-28"},
            {"name": "head", "driver": "modbus", "state": "up", "evidence": "from memory"},
        ],
        "unlimited": ["h2s"],
        "air": {"temperature_c": 14.2, "pressure_hpa": 1009.4,
                "measured": ["temperature", "pressure"], "mg_m3_per_ppm": {"cl2": 2.996}},
        "cameras": [{"name": "front", "state": "live"}], "verbs": ["alarm.ack", "sos.confirm"],
    } | changes  # fmt: skip


def reading(quantity: str, value: float | None, unit: str, **changes: Any) -> Json:
    return {
        "t": now_ms(), "late": False, "clock": "gnss", "seq": 1, "source": "gas1",
        "quantity": quantity, "value": value, "unit": unit, "quality": "good",
    } | changes  # fmt: skip


def kit() -> list[Json]:
    """What a vehicle tells of itself."""
    power, modem, host = {"source": "power"}, {"source": "modem"}, {"source": "host"}
    return [
        reading("voltage", 12.64, "V", **power), reading("current", -3.2, "A", **power),
        reading("time_left", 14_400, "s", **power), reading("mains", 0, "/", **power),
        reading("network_generation", 4, "", **modem), reading("rsrp", -97, "dBm", **modem),
        reading("rsrq", -10.5, "dB", **modem), reading("sinr", 13, "dB", **modem),
        reading("cpu_temperature", 61.2, "Cel", **host), reading("cpu_load", 30, "%", **host),
        reading("disk_free", 15.5, "GB", **host), reading("under_voltage", 0, "/", **host),
    ]  # fmt: skip


def exposure() -> Json:
    """What somebody has breathed, of whom most was measured."""
    doses = [
        {"source": "gas1", "quantity": "cl2", "unit": "ppm", "stel": 0.21, "twa": 0.02,
         "stel_limit": 0.5, "peak": 1.2, "dose": 0.2, "coverage_15min": 1.0, "coverage": 0.97},
        {"source": "head", "quantity": "co", "unit": "ppm", "stel": 3.1, "twa": 0.4,
         "twa_limit": 20.0, "peak": 5.0, "dose": 3.0, "coverage_15min": 0.4, "coverage": 0.8},
    ]  # fmt: skip
    return {"wearer": "李强", "wearer_id": "007", "since": now_ms() - 3_600_000, "until": now_ms(),
            "doses": doses}  # fmt: skip


def position(lat: float, lon: float, track: float = 0.0, speed: float = 1.0) -> Json:
    fix = {
        "mode": 3, "crs": "EPSG:4326", "lat": lat, "lon": lon, "alt": 24.0, "speed": speed,
        "track": track, "eph": 4.0, "n_sat": 14, "status": "simulated",
    }  # fmt: skip
    return reading("position", None, "", source="gnss") | {"fix": fix}


def alarm(code: str, rank: int, *, state: str = "unacknowledged", **changes: Any) -> Json:
    source = changes.get("source", "gas1")
    quantity = changes.get("quantity", "cl2")
    return {
        "alarm": f"{source}/{quantity}/{code}", "code": code, "rank": rank, "change": "raised",
        "state": state, "source": source, "quantity": quantity, "since": now_ms(),
        "limit_basis": "responder, GB/T 50493",
    } | changes  # fmt: skip


class PageServer:
    """Serves the page to any number of browsers; `sent` by `send`, what they ask is in `asked`."""

    def __init__(self, greeting: Json | None = None) -> None:
        self.greeting = greeting if greeting is not None else hello()
        self.opening: list[Json] = [{"type": "snapshot", "units": {}}]
        self.asked: asyncio.Queue[tuple[str, Json]] = asyncio.Queue()
        self.refuse: dict[str, str] = {}
        """Path -> sentence, for what shall be refused."""
        self.sockets: set[web.WebSocketResponse] = set()
        self.still = b""
        self.camera: Callable[[str], Awaitable[str]] | None = None
        """Offer -> answer; without it there is no path for video."""
        self.url = ""
        self.operator = ""
        """Whom the page's token names."""

    @contextlib.asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[PageServer]:
        app = web.Application()
        app.on_response_prepare.append(self._secure)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/api/live", self._live),
                web.get("/api/operator", self._operator),
                web.get("/api/stills/{unit}/{camera}", self._still),
                web.post("/api/units/{unit}/commands/{verb}", self._command),
                web.post("/api/drill/{action}", self._drill),
                web.post("/whep/{unit}/{camera}", self._whep),
                web.delete("/whep/session/{id}", self._gone),
                web.static("/static", STATIC),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            host, bound = runner.addresses[0][:2]
            self.url = f"http://{host}:{bound}/"
            yield self
        finally:
            await self.drop()
            await runner.cleanup()

    async def send(self, *messages: Json) -> None:
        for socket in list(self.sockets):
            for message in messages:
                with contextlib.suppress(ConnectionResetError):
                    await socket.send_json(message)

    async def drop(self) -> None:
        """Close every page's connection."""
        for socket in list(self.sockets):
            await socket.close()

    async def _secure(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = CSP

    async def _page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _operator(self, _: web.Request) -> web.Response:
        return web.json_response({"name": self.operator})

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for message in [self.greeting | {"now": now_ms()}, *self.opening]:
            await socket.send_json(message)
        self.sockets.add(socket)
        async for heard in socket:
            if heard.type is WSMsgType.ERROR:
                break
        self.sockets.discard(socket)
        return socket

    async def _still(self, _: web.Request) -> web.Response:
        return web.Response(body=self.still, content_type="image/jpeg")

    async def _command(self, request: web.Request) -> web.Response:
        return await self._answer(request, {"id": f"c{self.asked.qsize()}-{now_ms()}"})

    async def _drill(self, request: web.Request) -> web.Response:
        return await self._answer(request, {})

    async def _answer(self, request: web.Request, answer: Json) -> web.Response:
        if request.path in self.refuse:
            return self._problem(403, self.refuse[request.path])
        self.asked.put_nowait((request.path, await request.json() | answer))
        return web.json_response(answer, status=202)

    async def _whep(self, request: web.Request) -> web.Response:
        offer = await request.text()
        self.asked.put_nowait((request.path, {"sdp": offer}))
        if self.camera is None:
            return self._problem(503, "the unit has no path to this page")
        headers = {"Location": "/whep/session/s1"}
        sdp = await self.camera(offer)
        return web.Response(status=201, text=sdp, headers=headers, content_type="application/sdp")

    async def _gone(self, request: web.Request) -> web.Response:
        self.asked.put_nowait((request.path, {}))
        return web.Response()

    def _problem(self, code: int, detail: str) -> web.Response:
        body = json.dumps({"title": "refused", "detail": detail, "code": "refused"})
        return web.Response(status=code, text=body, content_type="application/problem+json")


class Play:
    """A leak and three units, second by second: enough to look at every part of the page."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(UNITS, 0)
        self.alarms: dict[str, dict[str, Json]] = {unit: {} for unit in UNITS}

    def place(self, unit: str, s: float) -> tuple[float, float, float]:
        """lat, lon, degrees of heading."""
        lat, lon = LEAK
        if unit == "ex-cv-01":
            along = min(s, 60) / 60
            return lat - 0.0042 + 0.0012 * along, lon - 0.0052 + 0.0018 * along, 52.0
        side = 1 if unit == "ex-sk-01" else -1
        turn = s / 60
        return (
            lat - 0.0024 + 0.0018 * math.sin(turn),
            lon - 0.0022 + 0.0016 * side * math.sin(turn * 1.3) + side * 0.0006,
            (45 + 40 * side + 60 * math.cos(turn)) % 360,
        )

    def chlorine(self, unit: str, s: float) -> float:
        lat, lon, _ = self.place(unit, s)
        metres = math.hypot((lat - LEAK[0]) * 111_000, (lon - LEAK[1]) * 95_000)
        return max(0.0, 2.4 * math.exp(-((metres / 190) ** 2)) * min(1.0, max(0.0, (s - 8) / 12)))

    def records(self, unit: str, s: float, t: int) -> list[Json]:
        lat, lon, heading = self.place(unit, s)
        cl2 = self.chlorine(unit, s)
        made = [
            position(lat, lon, heading, 6.0 if "cv" in unit and s < 60 else 1.2),
            reading("cl2", cl2, "ppm", full_scale=10.0),
            reading("o2", 20.9 - cl2 / 20, "/100", source="head"),
            reading("co", 3 + 2 * math.sin(s / 9), "ppm", source="head"),
            reading("h2s", 0.0, "ppm", source="head", quality="warmup" if s < 15 else "good"),
            reading("battery", 87 - s / 60, "%EL", source="power"),
        ]
        if "cv" in unit:
            made += [
                reading("combustible", 0.4, "%LEL", source="head"),
                reading("temperature", 14.2, "Cel", source="wxt"),
                reading("humidity", 93.0, "%RH", source="wxt"),
                reading("pressure", 1009.4, "hPa", source="wxt"),
                reading("wind_speed", 3.1 + math.sin(s / 7), "m/s", source="wxt"),
                reading("wind_direction", 38.0, "deg", source="wxt"),
            ]
            made += kit()
        if unit == "ex-sk-02" and s > 20:
            made = [one for one in made if one["quantity"] != "co"]
        return [one | {"t": t} for one in made]

    def rule(self, unit: str, s: float, t: int) -> list[Json]:
        """Alarms that change in this second, as `active` messages."""
        stand = self.alarms[unit]
        cl2 = self.chlorine(unit, s)
        for code, rank, limit in (("high", 1, 1.0), ("low", 3, 0.5)):
            key = f"gas1/cl2/{code}"
            if cl2 >= limit and key not in stand:
                stand[key] = alarm(
                    code, rank, limit=limit, since=t, reading=reading("cl2", cl2, "ppm")
                )
            elif cl2 < limit * 0.9:
                stand.pop(key, None)
        if unit == "ex-sk-02" and s > 28 and "head/co/silent" not in stand:
            stand["head/co/silent"] = alarm("silent", 4, source="head", quantity="co", since=t)
        if unit == "ex-sk-01" and s > 24 and "panel/sos/sos" not in stand:
            stand["panel/sos/sos"] = alarm("sos", 2, source="panel", quantity="sos", since=t)
        return [{"type": "active", "unit": unit, "alarms": list(stand.values())}]

    def drill(self, s: float) -> Json:
        reach = [(a, 0.0004 * f) for a in range(0, 360, 12) for f in (1.0,)]
        lat, lon = LEAK

        def outline(scale: float) -> list[list[float]]:
            return [
                [
                    lat - scale * (0.0022 + 0.0024 * math.cos(math.radians(a))),
                    lon - scale * (0.0018 - 0.0011 * math.sin(math.radians(a)))
                    - scale * 0.0018 * math.cos(math.radians(a)) + f * 0,
                ]
                for a, f in reach
            ]  # fmt: skip

        levels = (("aegl1", 0.5, 1.6), ("aegl2", 2.0, 1.0), ("aegl3", 20.0, 0.45))
        return {
            "scenario": "chlorine-leak", "title": {"zh": "氯气泄漏", "en": "Chlorine leak"},
            "t_s": s, "duration_s": 600.0, "speed": 1.0, "state": "running",
            "center": {"lat": lat, "lon": lon}, "wind": {"speed_m_s": 3.1, "from_deg": 38.0},
            "sources": [{"id": "tank", "gas": "cl2", "lat": lat, "lon": lon, "rate_kg_s": 0.05,
                         "active": s > 8}],
            "footprint": [{"level": level, "ppm": ppm, "polygon": outline(scale)}
                          for level, ppm, scale in levels],
            "injects": [
                {"id": "leak", "kind": "source", "unit": "", "at_s": 8, "done": s > 8,
                 "label": {"zh": "储罐开始泄漏", "en": "The tank starts to leak"}},
                {"id": "sos", "kind": "sos", "unit": "ex-sk-01", "at_s": 24, "done": s > 24,
                 "label": {"zh": "李强按下求救", "en": "Li Qiang presses SOS"}},
                {"id": "cut", "kind": "link", "unit": "ex-sk-02", "at_s": 45, "done": s > 45,
                 "label": {"zh": "王芳链路中断 30 秒", "en": "Wang Fang's link drops for 30 s"}},
            ],
        }  # fmt: skip

    def second(self, s: float, t: int) -> list[Json]:
        """All messages of this second."""
        messages: list[Json] = [{"type": "drill", "state": self.drill(s)}]
        for unit in UNITS:
            cut = unit == "ex-sk-02" and s > 45
            if unit == "ex-sk-02" and 45 < s < 47:
                messages.append(
                    {"type": "link", "unit": unit, "path": "center", "state": "lost", "t": t}
                )
            if cut:
                continue
            records = self.records(unit, s, t)
            self.counts[unit] += len(records)
            messages.append({"type": "records", "unit": unit, "records": records})
            messages += self.rule(unit, s, t)
            counts = {"received": self.counts[unit], "repeated": 0, "missing": 0}
            messages.append({"type": "counts", "unit": unit, "counts": counts})
        return messages


async def play(arguments: argparse.Namespace) -> None:
    exercise = not arguments.actual
    server = PageServer(hello(exercise=exercise, instructor=arguments.instructor))
    world, history = Play(), arguments.history
    start = time.time() - history
    units: dict[str, Json] = {
        unit: {"status": status(unit, exposure=None if "cv" in unit else exposure()),
               "links": {"center": "up"}, "latest": {}, "track": [],
               "series": {}, "alarms": [], "events": [],
               "counts": {"received": 0, "repeated": 0, "missing": 0}}
        for unit in UNITS
    }  # fmt: skip
    server.opening = [{"type": "broker", "state": "up"}, {"type": "snapshot", "units": units}]
    for s in range(history):
        server.opening += world.second(s, int((start + s) * 1000))
    async with server.serve(arguments.port):
        print(server.url, flush=True)  # noqa: T201  (a command's output)
        while True:
            messages = world.second(time.time() - start, now_ms())
            server.opening = [*server.opening, *messages][-20_000:]
            await server.send(*messages)
            await asyncio.sleep(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8766)
    parser.add_argument("--history", type=int, default=90, help="seconds that have gone by already")
    parser.add_argument("--instructor", action="store_true")
    parser.add_argument("--actual", action="store_true")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(play(parser.parse_args()))
