"""The scenario's clock and what happens on it.

The clock runs `speed` times as fast as the real one and stands still in a pause.  Agents, wires
and links run in real time, always.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from agent.drill.fleet import Unit
from agent.drill.proxy import LinkState
from agent.drill.scenario import Inject, Kind, Scenario
from agent.drill.state import (
    Action,
    Center,
    Control,
    DrillState,
    Phase,
    WindState,
    describe_injects,
    describe_sources,
)
from agent.drill.world import World
from drivers.sim.line import Fault

log = logging.getLogger(__name__)

TICK_S = 0.25
STATE_PERIOD_S = 1.0
HEARD_S = 0.3
"""What the broker has taken reaches a unit of the same machine well within this."""
BY_HAND_MAX = 32
"""Things under way at once that an instructor has asked for."""

_SPOILS = {
    Kind.GARBAGE: Fault.GARBAGE,
    Kind.CUT_FRAME: Fault.CUT_FRAME,
    Kind.BAD_CHECKSUM: Fault.BAD_CHECKSUM,
}
_LASTING = {Kind.SILENCE: Fault.SILENCE, Kind.UNPLUG: Fault.UNPLUG}
_LINKS = {Kind.LINK_DROP: LinkState.DROPPED, Kind.LINK_BLACKHOLE: LinkState.BLACKHOLE}


HangUp = Callable[[str], Awaitable[None]]


class OwnBroker(Protocol):
    """The drill's own broker, that may be killed (its watcher starts it again)."""

    async def kill(self) -> None: ...


class Director:
    """Drives the world, and brings about what the scenario or the instructor wants."""

    def __init__(
        self,
        scenario: Scenario,
        name: str,
        world: World,
        units: dict[str, Unit],
        *,
        speed: float,
        duration_s: float,
        broker: OwnBroker | None,
        say: Callable[[str], None],
    ) -> None:
        self.scenario, self.name, self.world, self.units = scenario, name, world, units
        self.speed, self.duration_s = speed, duration_s
        """Scenario seconds in a real one; scenario seconds in all."""
        self.phase = Phase.RUNNING
        self.reason = ""
        self.ended = asyncio.Event()
        self.done: set[str] = set()
        """Injects that have been brought about."""
        self.log: list[dict[str, Any]] = []
        """What happened, for the report."""
        self.hang_up: HangUp | None = None
        """Ends the pictures of who watches a unit, which its link's proxy does not see.  No new
        ones begin while the link is down: they are agreed on over it."""
        self._broker, self._say = broker, say
        self._t_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def t_s(self) -> float:
        """The scenario's clock."""
        return self._t_s

    # -- the clock ---------------------------------------------------------------------------

    async def run(self, publish: Callable[[DrillState], None]) -> None:
        """Play until the end (`ended`), or until cancelled."""
        before = time.monotonic()
        publish_at = before
        try:
            while not self.ended.is_set():
                now = time.monotonic()
                if self.phase is Phase.RUNNING:
                    self.advance((now - before) * self.speed)
                before = now
                if now >= publish_at:
                    publish(self.state())
                    publish_at += STATE_PERIOD_S
                await asyncio.sleep(TICK_S)
        finally:
            publish(self.state())
            await self._cancel_what_is_under_way()

    def advance(self, dt_s: float) -> None:
        """Let `dt_s` of the scenario's time go by."""
        target_s = min(self._t_s + dt_s, self.duration_s)
        for inject in self._due(target_s):
            self._t_s = inject.at_s or 0.0
            self.world.advance(self._t_s)
            self.bring_about(inject, by="scenario")
        self._t_s = target_s
        self.world.advance(target_s)
        for unit in self.units.values():
            unit.kit.feel(self.world)
        if target_s >= self.duration_s:
            self.end("duration")

    def _due(self, until_s: float) -> list[Inject]:
        due = [
            inject
            for inject in self.scenario.inject
            if inject.at_s is not None and inject.at_s <= until_s and inject.id not in self.done
        ]
        return sorted(due, key=lambda inject: inject.at_s or 0.0)

    def end(self, reason: str) -> None:
        """Stop the scenario's clock for good; only the first reason counts."""
        if not self.ended.is_set():
            self.phase, self.reason = Phase.ENDED, reason
            self.ended.set()

    # -- what the instructor wants -------------------------------------------------------------

    def obey(self, control: Control) -> None:
        """An order from `drill/control`."""
        by = control.by or "somebody"
        match control.action:
            case Action.PAUSE if self.phase is Phase.RUNNING:
                self.phase = Phase.PAUSED
                self._say(f"paused by {by}")
            case Action.RESUME if self.phase is Phase.PAUSED:
                self.phase = Phase.RUNNING
                self._say(f"resumed by {by}")
            case Action.INJECT:
                self._inject_by_hand(control.inject, by)
            case Action.END:
                self.end("instructor")
            case Action.REAL_EMERGENCY:
                self._say(f"REAL EMERGENCY 非演练: {by} has stopped the exercise")
                self.end("real_emergency")

    def _inject_by_hand(self, name: str, by: str) -> None:
        found = [inject for inject in self.scenario.inject if inject.id == name]
        if not found:
            known = ", ".join(inject.id for inject in self.scenario.inject)
            self._say(f"{by} asked for the inject {name!r}, but there are only {known}")
        elif len(self._tasks) >= BY_HAND_MAX or self.ended.is_set():
            self._say(f"{by} asked for the inject {name!r}, but too much is under way")
        else:
            self.bring_about(found[0], by=by)

    # -- what happens ------------------------------------------------------------------------

    def bring_about(self, inject: Inject, by: str) -> None:
        """Begin it at once; what lasts goes on by itself."""
        self.done.add(inject.id)
        self.log.append(
            {"id": inject.id, "kind": inject.kind.value, "t_s": round(self._t_s, 1), "by": by,
             "real_ms": time.time_ns() // 1_000_000}
        )  # fmt: skip
        self._say(f"{inject.label.zh}  {inject.label.en}")
        kind = inject.kind
        if kind is Kind.SOURCE_START:
            self.world.start_source(inject.source)
        elif kind is Kind.SOURCE_STOP:
            self.world.stop_source(inject.source)
        elif kind is Kind.WIND:
            self.world.set_wind(inject.speed_m_s, inject.from_deg)
        elif kind is Kind.KILL_BROKER:
            self._kill_broker()
        else:
            self._happen_to(self.units[inject.unit], inject)

    def _happen_to(self, unit: Unit, inject: Inject) -> None:
        kind = inject.kind
        if kind is Kind.KILL_AGENT:
            unit.kill()
        elif kind is Kind.SOS:
            self._go_on(unit.kit.press_sos(inject.for_s), inject.id)
        elif kind is Kind.ACK:
            self._go_on(unit.kit.press_ack(inject.for_s), inject.id)
        elif kind in _LINKS:
            self._go_on(self._cut(unit, _LINKS[kind], inject.for_s or 0.0), inject.id)
        elif kind in _SPOILS:
            unit.kit.inject(inject.instrument, _SPOILS[kind], inject.count or 1)
        elif kind is Kind.RESTORE:
            unit.kit.inject(inject.instrument, Fault.RESTORE)
        else:
            unit.kit.inject(inject.instrument, _LASTING[kind])
            if inject.for_s is not None:
                self._go_on(self._restore_later(unit, inject.instrument, inject.for_s), inject.id)

    def _kill_broker(self) -> None:
        if self._broker is None:
            self._say("the broker is not the drill's own: it is left alone")
        else:
            self._go_on(self._broker.kill(), "kill_broker")

    async def _cut(self, unit: Unit, state: LinkState, for_s: float) -> None:
        if self.hang_up is not None:
            await self.hang_up(unit.id)
            await asyncio.sleep(HEARD_S)
        unit.proxy.set_state(state)
        await asyncio.sleep(for_s)
        unit.proxy.set_state(LinkState.UP)

    @staticmethod
    async def _restore_later(unit: Unit, instrument: str, for_s: float) -> None:
        await asyncio.sleep(for_s)
        unit.kit.inject(instrument, Fault.RESTORE)

    def _go_on(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"inject[{name}]")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_what_is_under_way(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def lift_faults(self) -> None:
        """Mend every line and every link."""
        for unit in self.units.values():
            unit.kit.restore()
            unit.proxy.set_state(LinkState.UP)

    # -- what is told ------------------------------------------------------------------------

    def state(self) -> DrillState:
        """For `drill/state`."""
        site, world = self.scenario.site, self.world
        return DrillState(
            scenario=self.name,
            title=self.scenario.title,
            t_s=round(self._t_s, 1),
            duration_s=self.duration_s,
            speed=self.speed,
            state=self.phase,
            reason=self.reason,
            wind=WindState(speed_m_s=world.wind.speed_m_s, from_deg=world.wind.from_deg),
            sources=describe_sources(self.scenario, world),
            footprint=world.footprint(),
            injects=describe_injects(self.scenario.inject, self.done),
            center=Center(lat=site.lat, lon=site.lon),
        )
