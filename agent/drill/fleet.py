"""The agents: ordinary `outpost run` processes, started again when they die, as systemd does.

Each is asked over its control socket what it has made and what it still holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

import msgspec

from agent import control
from agent.drill.kit import UPLINK, Kit
from agent.drill.process import Child
from agent.drill.proxy import Proxy

RESTART_S = 1.0
BURST, BURST_S = 5, 10.0
"""systemd's default: given up when it has died 5 times in 10 s."""
ASK_PERIOD_S = 1.0


class DrillError(RuntimeError):
    """Why a drill cannot begin or go on; a sentence for a person."""


class Unit:
    """A kit, its link and its agent.  `run` until cancelled; `stop` ends the agent in order."""

    def __init__(
        self, kit: Kit, proxy: Proxy, say: Callable[[str], None], on_death: Callable[[str], None]
    ) -> None:
        self.kit = kit
        self.proxy = proxy
        self.id = kit.spec.id
        self.made: dict[str, int] = {}
        """Last number by epoch, as the agent told."""
        self.pending: int | None = None
        """Not yet acknowledged, as the agent told last."""
        self.starts = 0
        self._say, self._on_death = say, on_death
        self._child: Child | None = None
        self._stopping = False
        self._encoded: dict[str, int] = {}

    @property
    def frames_encoded(self) -> int:
        """Over all runs of the agent."""
        return sum(self._encoded.values())

    @property
    def pid(self) -> int | None:
        """Of the agent, while it runs."""
        running = self._child is not None and self._child.returncode is None
        return self._child.pid if self._child is not None and running else None

    async def run(self) -> None:
        """Keep the agent running, and ask it how it does.  DrillError: it does not stay up."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_running(), name=f"agent[{self.id}]")
            group.create_task(self._keep_asking(), name=f"agent[{self.id}].ask")

    def kill(self) -> None:
        """kill -9; it is started again."""
        if self._child is not None:
            self._child.kill()

    def ask_to_stop(self) -> None:
        """SIGTERM, and no further start."""
        self._stopping = True
        if self._child is not None:
            self._child.terminate()

    async def stop(self, timeout_s: float) -> int | None:
        """End the agent; its return code, None where it had not even been started."""
        self.ask_to_stop()
        return None if self._child is None else await self._child.end(timeout_s)

    async def ask(self) -> None:
        """What the agent has made and still holds; kept as it was when it does not answer."""
        with contextlib.suppress(OSError, TimeoutError, msgspec.DecodeError):
            answer = await control.ask(self.kit.store, "status")
            for epoch, last in answer["made"].items():
                self.made[epoch] = max(self.made.get(epoch, 0), last)
            self.pending = answer["pending"].get(UPLINK)
            self._encoded[answer["epoch"]] = answer["media"].get("frames_encoded", 0)

    async def _keep_running(self) -> None:
        deaths: deque[float] = deque(maxlen=BURST)
        while not self._stopping:
            self._child = await Child.start(
                f"agent[{self.id}]", ["agent", "run", "--config", str(self.kit.config)],
                self.kit.log,
            )  # fmt: skip
            self.starts += 1
            code = await self._child.wait()
            if self._stopping:
                return
            deaths.append(time.monotonic())
            if code > 0 and self.starts == 1:
                raise DrillError(f"the agent of {self.id} did not start:\n{self._child.tail()}")
            if len(deaths) == BURST and deaths[-1] - deaths[0] < BURST_S:
                raise DrillError(
                    f"the agent of {self.id} died {BURST} times in {BURST_S:g} s; the last time "
                    f"with {code}:\n{self._child.tail()}"
                )
            self._on_death(self.id)
            self._say(f"{self.id}: its agent ended with {code}, started again")
            await asyncio.sleep(RESTART_S)

    async def _keep_asking(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(ASK_PERIOD_S)
