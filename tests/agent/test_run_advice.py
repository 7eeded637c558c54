"""Hints of a whole agent: a weather station and a receiver on ptys; standing, and on the move."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.messages import Class
from drivers.geodesy import beside
from drivers.sim import modbus, nmea, winsen
from drivers.sim.line import Line
from tests.agent.agent_process import agent
from tests.agent.rig import Center, center
from tests.mosquitto import Mosquitto
from tests.waiting import until

HERE = (30.593067, 114.30585)


def told(heard: Center) -> dict[str, Any]:
    found: dict[str, Any] = heard.retained.get("status", {}).get("advice") or {}
    return found


def codes(heard: Center, *changes: str) -> set[str]:
    """Of alarms that were told with one of these changes."""
    return {r.body["code"] for r in heard.of(Class.ALARMS) if r.body["change"] in changes}


def far(heard: Center) -> dict[str, Any]:
    found: dict[str, Any] = told(heard).get("exceedance") or {}
    return found


@pytest.mark.timeout(150)
async def test_upwind_and_how_far_the_last_exceedance_is(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    async with (
        Line(tmp_path / "sky") as sky,
        Line(tmp_path / "mast") as mast,
        Line(tmp_path / "gas") as gas,
        center(mosquitto.port) as heard,
    ):  # fmt: skip
        gnss, wind = nmea.Twin(sky, rate_hz=5), modbus.Twin(mast, model="weather_station")
        cell = winsen.Twin(gas, gas="cl2", period_s=0.2)
        gnss.set(lat=HERE[0], lon=HERE[1], speed=0.0)
        wind.set(wind_speed=3.0, wind_direction=40.0)
        cell.set(cl2=0.0)
        playing = [asyncio.create_task(twin.run()) for twin in (gnss, wind, cell)]
        tables = "".join(
            f'[[source]]\nname = "{name}"\nport = "{line.link}"\n{keys}\n'
            for name, line, keys in (
                ("gnss", sky, 'driver = "nmea"'),
                ("wind", mast, 'driver = "modbus"\nmap = "weather_station"'),
                ("gas1", gas, 'driver = "winsen"\ngas = "cl2"'),
            )
        ) + (
            '[alarms]\nlimits = "responder"\n[[uplink]]\nname = "center"\nhost = "127.0.0.1"\n'
            f"port = {mosquitto.port}\ntls = false\n"
        )  # fmt: skip
        async with agent(tmp_path / "unit", tables) as unit:
            await until(lambda: told(heard).get("upwind", {}).get("bearing_deg") == 40, "wind", 20)
            await until(
                lambda: any(
                    r.body.get("fix", {}).get("lat") is not None for r in heard.of(Class.READINGS)
                ),
                "it knows its place", 20,
            )  # fmt: skip
            cell.set(cl2=2.0)
            # The gas is left behind, 400 m to the west.
            await until(lambda: "high" in codes(heard, "raised"), "alarm", 30)
            cell.set(cl2=0.0)
            # All of them: what still stands is exceeded wherever the unit goes.
            await until(
                lambda: codes(heard, "returned", "cleared") >= codes(heard, "raised"),
                "it returns", 20,
            )  # fmt: skip
            lat, lon = beside(HERE, 90.0, 400.0)
            gnss.set(lat=lat, lon=lon, speed=8.0)
            await until(lambda: told(heard).get("no_upwind") == "apparent", "it moves", 20)
            await until(lambda: abs(far(heard).get("distance_m", 0) - 400) < 20, "and is far", 40)
            assert abs(far(heard)["bearing_deg"] - 270) < 5
            assert far(heard)["alarm"].startswith("gas1/cl2/")
            assert await unit.stop() == 0
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
