"""A vehicle between the tortured unit and its center: an agent with `[relay]`, and the broker on
board.  All that the center hears of the unit comes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mosquitto import Mosquitto
from tests.torture.faults import Fault, Faults
from tests.torture.unit import ORG, Unit

VEHICLE = "ex-t-cv"

_CONFIG = """
[unit]
id = "{unit}"
org = "{org}"
profile = "laptop"
mark = "exercise"
[store]
dir = "{store}"
shutdown_drain_s = 20.0
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
        self._vehicle.write(
            _CONFIG.format(
                unit=VEHICLE, org=ORG, store=self._vehicle.store, board=self._board.port,
                link=link_port,
            )
        )  # fmt: skip
        await self._vehicle.start()

    def faults(self, faults: Faults) -> Mapping[str, Fault]:
        return {
            "vehicle killed": self._vehicle.kill,
            "broker on board killed": lambda: faults.kill_broker(self._board),
        }

    async def end(self) -> int | None:
        """The vehicle's exit."""
        await self._vehicle.end()
        return self._vehicle.exit
