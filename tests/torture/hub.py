"""A vehicle between the tortured unit and its center: an agent with `[relay]`, and the broker on
board.  All that the center hears of the unit comes through it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.control import ask
from agent.relay.presence import GONE_S
from tests.mosquitto import Mosquitto
from tests.torture.faults import Fault, Faults
from tests.torture.unit import Unit

VEHICLE = "ex-t-cv"
AWAY_S = GONE_S + 8.0
"""The kit has gone straight up by then, and comes back later."""

_CONFIG = """
[[uplink]]
name = "board"
host = "127.0.0.1"
port = {board}
tls = false
local = true
keepalive_s = 4
[[uplink]]
name = "center"
host = "127.0.0.1"
port = {link}
tls = false
keepalive_s = 4
[relay]
enabled = true
"""


class Hub:
    """Started with the unit, ended after it."""

    def __init__(self, folder: Path, program: Sequence[str], board: Mosquitto) -> None:
        folder = folder / "vehicle"
        folder.mkdir()
        self._vehicle = Unit(folder, program)
        self._board = board

    async def start(self, link_port: int) -> None:
        self._vehicle.write(VEHICLE, _CONFIG.format(board=self._board.port, link=link_port))
        await self._vehicle.start()

    def faults(self, faults: Faults) -> Mapping[str, Fault]:
        return {
            "vehicle killed": self._vehicle.kill,
            "vehicle away": lambda: self._vehicle.kill(away_s=AWAY_S),
            "broker on board killed": lambda: faults.kill_broker(self._board),
        }

    async def holds(self) -> int:
        """Records of the unit that the center has not acknowledged: some may have been told of as
        thinned, and are no gap, but have still to come."""
        try:
            answer = await ask(self._vehicle.store, "status")
        except OSError:
            return 1
        return int(answer["relay"]["pending"]["center"])

    async def drained(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while await self.holds():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)

    async def end(self) -> int | None:
        """The vehicle's exit."""
        await self._vehicle.end()
        return self._vehicle.exit
