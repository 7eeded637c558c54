"""A real gpsd and our own NMEA driver read the same line, and agree."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers import nmea
from drivers.sim import nmea as nmea_twin
from drivers.sim.line import Line

from ..waiting import until
from .test_gpsd import Got, reading


@contextlib.asynccontextmanager
async def real_gpsd(device: str) -> AsyncIterator[str]:
    program = shutil.which("gpsd") or shutil.which("gpsd", path="/usr/sbin")
    if program is None:
        pytest.skip("gpsd is not installed")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        number = sock.getsockname()[1]
    os.chmod(device, 0o666)  # it gives up its rights before it opens the line
    process = await asyncio.create_subprocess_exec(
        program, "-N", "-n", "-b", "-S", str(number), device,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def listening() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", number)) == 0

    try:
        await until(listening, "gpsd listens")
        yield f"tcp://127.0.0.1:{number}"
    finally:
        process.terminate()
        await process.wait()


class Tee(Line):
    """A line whose bytes are kept, for our own NMEA driver."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.bytes = b""

    async def write(self, data: bytes) -> None:
        self.bytes += data
        await super().write(data)


async def test_a_real_gpsd_agrees_with_our_nmea_driver(tmp_path: Path) -> None:
    """The same line, read by gpsd and handed on to this driver, and read by ours."""
    got = Got()
    start = dt.datetime.now(dt.UTC).replace(microsecond=0)
    async with Tee(tmp_path / "gnss") as line:
        twin = nmea_twin.Twin(line, rate_hz=5)
        twin.set(lat=30.593067, lon=114.305850, alt=23.4, speed=8.0, track=90.0, n_sat=12)
        playing = asyncio.create_task(twin.run())
        try:
            async with real_gpsd(os.readlink(line.link)) as name, reading(name, got):
                await until(
                    lambda: sum(fix.mode == 3 for fix in got.fixes) >= 6, "gpsd gives fixes", 30
                )
                twin.set(lat=30.6)
                await until(
                    lambda: any(fix.lat == pytest.approx(30.6, abs=1e-6) for fix in got.fixes),
                    "it follows", 30,
                )  # fmt: skip
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
    decoder = nmea.Decoder()
    ours = {fix.time: fix for fix in decoder.feed(line.bytes, 0.0) + decoder.flush(0.0)}
    compared = [fix for fix in got.fixes if fix.mode == 3 and fix.time in ours]
    assert len(compared) >= 6
    for fix in compared:
        own = ours[fix.time]
        assert own.lat is not None
        assert fix.lat == pytest.approx(own.lat, abs=1e-6)
        assert fix.lon == pytest.approx(own.lon, abs=1e-6)
        assert fix.alt == pytest.approx(own.alt, abs=0.05)
        assert fix.speed == pytest.approx(own.speed, abs=0.05)
        assert fix.status == own.status
        assert dt.datetime.fromisoformat(fix.time or "") >= start - dt.timedelta(seconds=60)
        # It counts as used only what GSA and GSV of its cycle agree on.
        assert fix.n_sat is None or 4 <= fix.n_sat <= (own.n_sat or 0)
        assert fix.eph_basis == own.eph_basis == "gst"
        assert fix.eph == pytest.approx(own.eph, abs=0.02)
