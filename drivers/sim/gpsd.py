"""Twin of gpsd: one receiver, JSON over TCP, written from gpsd_json(5).

A client gets VERSION when it connects; after ?WATCH with enable and json it gets DEVICES and WATCH,
then TPV, SKY and (with `gst`) GST a period, each a line of JSON that ends in CR LF.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from drivers.sim.line import Line
from drivers.sim.netline import NetLine

VERSION = {
    "class": "VERSION", "release": "3.22", "rev": "3.22", "proto_major": 3, "proto_minor": 14,
}  # fmt: skip
_UERE_M = 15.0
"""gpsd's, 95 %, of a fix without corrections."""
_REQUEST_MAX = 80
_VALUES: dict[str, float | None] = {
    "lat": 30.593067, "lon": 114.305850, "alt": 23.4, "speed": 0.0, "track": None, "heading": None,
    "n_sat": 18.0, "hdop": 0.72, "valid": 1.0, "status": 1.0, "sigma": 2.4,
}  # fmt: skip


class Twin:
    """gpsd with one receiver; `set` takes lat lon alt speed track heading n_sat hdop valid status
    and sigma (of GST, m).  None: the receiver does not say it."""

    def __init__(
        self,
        line: Line,
        *,
        rate_hz: float = 1.0,
        gst: bool = False,
        device: str = "/dev/ttyUSB0",
        utc: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        if not 0 < rate_hz <= 100:
            raise ValueError(f"rate_hz is {rate_hz}, expected above 0 and up to 100")
        self._line = line
        self._period_s = 1 / rate_hz
        self._gst = gst
        self._device = device
        self._utc = utc
        self._values = dict(_VALUES)
        self._watched_by = -1
        self.requests: deque[str] = deque(maxlen=100)
        """What clients have asked: a driver may only ever have asked to watch."""
        if isinstance(line, NetLine):
            line.greeting = encode(VERSION)

    def set(self, **values: float | None) -> None:
        """What the receiver measures from now on.  ValueError: it has no such quantity."""
        for name, value in values.items():
            if name not in _VALUES:
                raise ValueError(f"gpsd does not report {name!r}, only {', '.join(_VALUES)}")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            tasks.create_task(self._report())

    async def _hear(self) -> None:
        held = b""
        while True:
            held += await self._line.read()
            *lines, held = held.replace(b";", b"\n").split(b"\n")
            held = held[-_REQUEST_MAX:]
            for text in filter(None, (line.decode("ascii", "replace").strip() for line in lines)):
                self.requests.append(text)
                await self._answer(text)

    async def _answer(self, text: str) -> None:
        name, _, body = text.partition("=")
        if name != "?WATCH":
            await self._send({"class": "ERROR", "message": f"Unrecognized request '{text}'"})
            return
        try:
            wanted = json.loads(body) if body else {}
        except json.JSONDecodeError:
            await self._send({"class": "ERROR", "message": "Invalid WATCH"})
            return
        device = {"class": "DEVICE", "path": self._device, "native": 0, "bps": 9600}
        await self._send({"class": "DEVICES", "devices": [device]})
        await self._send({"class": "WATCH", **wanted})
        watching = wanted.get("enable") is True and wanted.get("json") is True
        self._watched_by = self._client() if watching else -1

    def _client(self) -> int:
        return self._line.clients if isinstance(self._line, NetLine) else 0

    async def _report(self) -> None:
        while True:
            if self._watched_by == self._client():
                for message in self.messages():
                    await self._send(message)
            await asyncio.sleep(self._period_s)

    def messages(self) -> list[dict[str, Any]]:
        """What one period brings."""
        v = self._values
        moment = self._utc().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"device": self._device}
        if not v["valid"]:
            return [{"class": "TPV", **head, "mode": 1}, self._sky(head, used=0)]
        hdop = v["hdop"]
        tpv = {
            "class": "TPV", **head, "status": _integer(v["status"]),
            "mode": 2 if v["alt"] is None else 3, "time": moment, "ept": 0.005,
            "lat": v["lat"], "lon": v["lon"], "altMSL": v["alt"], "speed": v["speed"],
            "track": v["track"], "eph": None if hdop is None else round(hdop * _UERE_M, 3),
        }  # fmt: skip
        found = [tpv, self._sky(head, used=_integer(v["n_sat"]) or 0)]
        if v["heading"] is not None:
            found.insert(0, {"class": "ATT", **head, "time": moment, "heading": v["heading"]})
        if self._gst and v["sigma"] is not None:
            each = round(v["sigma"] / math.sqrt(2), 4)
            gst = {"class": "GST", **head, "time": moment, "lat": each, "lon": each}
            found.insert(found.index(tpv) + 1, gst)
        return [{key: value for key, value in one.items() if value is not None} for one in found]

    def _sky(self, head: dict[str, str], used: int) -> dict[str, Any]:
        seen = used + 4
        return {
            "class": "SKY", **head, "hdop": self._values["hdop"], "nSat": seen, "uSat": used,
            "satellites": [
                {
                    "PRN": n + 1, "el": 10.0 + n, "az": 10.0 * n, "ss": 25.0 + n % 20,
                    "used": n < used, "gnssid": 3 if n % 2 else 0, "svid": n + 1,
                }
                for n in range(seen)
            ],
        }  # fmt: skip

    async def _send(self, message: dict[str, Any]) -> None:
        await self._line.write(encode(message))


def encode(message: dict[str, Any]) -> bytes:
    """A line as gpsd writes it."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\r\n"


def _integer(value: float | None) -> int | None:
    return None if value is None else int(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim gpsd`."""
    parser.add_argument("--rate-hz", type=float, default=1.0)
    parser.add_argument("--gst", action="store_true", help="with standard deviations")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for."""
    return Twin(line, rate_hz=options.rate_hz, gst=options.gst)
