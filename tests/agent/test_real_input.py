"""A real receiver's bytes on a pty, the whole agent, a real broker, a plain subscriber.

What arrives must be where gpsd says that the receiver was (its `.chk` beside each capture).  The
captures are not ours to keep; without them this is skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.mqtt import Broker, Message, connect
from tests.agent.agent_process import agent
from tests.drivers.ptys import pty
from tests.drivers.test_nmea_corpus import (
    DEGREES,
    JOINED,
    NOT_BEFORE,
    RIGHT_TO_DIFFER,
    SAME_TIME_S,
    Tpv,
    capture,
    tpvs,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "gnss"
RECEIVERS = ["beidou-gb", "neo-m8n", "garmin15x", "furuno_gl_ga", "ublox-lea-5h"]
COLD = b"$GPRMC,000000.00,V,,,,,,,,,,N*7D\r\n"
"""What a receiver says that has just been switched on; with a time, so that it ends by itself."""

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="no captures: ../shared/corpus/gnss is not beside this checkout"
)


class Subscriber:
    """Knows of the contract only that batches are JSON."""

    def __init__(self) -> None:
        self._fixes: dict[int, dict[str, Any]] = {}
        """By number: what waits at the start may arrive behind what is new."""
        self.source = ""
        self.unit = ""

    def hear(self, message: Message) -> None:
        body = msgspec.json.decode(message.payload)
        if message.topic.endswith("/status"):
            self.unit, self.source = body["state"], body["sources"][0]["state"]
        elif message.topic.endswith("/readings"):
            assert body["mark"] == "test"
            self._fixes |= {record["seq"]: record["fix"] for record in body["records"]}

    @property
    def positions(self) -> list[dict[str, Any]]:
        return [fix for _, fix in sorted(self._fixes.items()) if fix["mode"] > 1]


async def play(master: int, data: bytes) -> None:
    """As fast as the line takes it."""
    writable = asyncio.Event()
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(master, data[:512]) :]
        except BlockingIOError:
            writable.clear()
            loop.add_writer(master, writable.set)
            await writable.wait()
            loop.remove_writer(master)
        await asyncio.sleep(0)


def is_at(tpv: Tpv, fix: dict[str, Any]) -> bool:
    assert tpv.lat is not None
    assert tpv.lon is not None
    lat, lon = float(fix["lat"]), float(fix["lon"])
    return abs(lat - tpv.lat) < DEGREES and abs(lon - tpv.lon) < DEGREES


def is_of(tpv: Tpv, fix: dict[str, Any]) -> bool:
    """The same time too, where gpsd knows it."""
    if tpv.time is None or "time" not in fix:
        return is_at(tpv, fix)
    apart = datetime.fromisoformat(fix["time"]) - tpv.time
    return abs(apart.total_seconds()) < SAME_TIME_S and is_at(tpv, fix)


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_what_arrives_is_where_gpsd_says(
    receiver: str, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    log = CORPUS / f"{receiver}.log"
    heard = Subscriber()
    async with pty() as (master, slave):
        tables = (
            f'[[source]]\nname = "gnss"\ndriver = "nmea"\nport = "{slave}"\n'
            f"not_before = {NOT_BEFORE.get(receiver, '1980-01-06')}\n"
            f'[[uplink]]\nname = "c"\nhost = "127.0.0.1"\nport = {mosquitto.port}\ntls = false\n'
        )
        broker = Broker.from_url(mosquitto.url)
        async with (
            connect(broker, client_id="plain", on_message=heard.hear) as connection,
            agent(tmp_path, tables, unit="cv-01", mark="test") as unit,
        ):
            await connection.subscribe(["outpost/v1/hubei/cv-01/#"])

            def is_read() -> bool:
                # Before the agent has opened the line nobody reads, and the line may be full.
                with contextlib.suppress(BlockingIOError):
                    if heard.source != "up":
                        os.write(master, COLD)
                return heard.source == "up"

            await until(is_read, "the agent reads the line", 20)
            await play(master, capture(log))
            reports = tpvs(log)
            await until(
                lambda: any(is_of(reports[-1], fix) for fix in heard.positions),
                "the last place arrives",
            )
            assert await unit.stop() == 0
            await until(lambda: heard.unit == "stopped", "its last word arrives")
    allowed = RIGHT_TO_DIFFER.get(receiver, (0, ""))[0]
    missed = [tpv for tpv in reports if not any(is_of(tpv, fix) for fix in heard.positions)]
    assert len(missed) == allowed
    assert len(heard.positions) > 1
    # gpsd, without a pause at the end, may never close the last epoch.
    invented = [fix for fix in heard.positions[:-1] if not any(is_at(tpv, fix) for tpv in reports)]
    assert len(invented) == JOINED.get(receiver, 0)
    assert {fix["crs"] for fix in heard.positions if "crs" in fix} <= {"EPSG:4326"}
    times = [fix["time"] for fix in heard.positions if "time" in fix]
    assert times == sorted(times)
