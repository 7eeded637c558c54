"""The director: what happens when, and what an instructor may ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.drill import scenario as scenarios
from agent.drill.director import Director
from agent.drill.fleet import Unit
from agent.drill.kit import Kit
from agent.drill.proxy import LinkState, Proxy
from agent.drill.state import Action, Control, DrillState, Phase
from agent.drill.world import World
from tests.waiting import until


class FakeBroker:
    """Stands where a process would be that is killed."""

    def __init__(self) -> None:
        self.kills = 0

    async def kill(self) -> None:
        self.kills += 1


class Stage:
    """A director with real lines and no agents."""

    def __init__(self, folder: Path, *, speed: float = 1.0, own_broker: bool = True) -> None:
        self.said: list[str] = []
        self.scenario = scenarios.load(scenarios.find("chlorine"))
        self.broker = FakeBroker()
        self.units = {
            spec.id: Unit(
                Kit(spec, self.scenario, folder / spec.id),
                Proxy("127.0.0.1", 9),
                self.said.append,
                lambda unit: None,
            )
            for spec in self.scenario.unit
        }
        self.director = Director(
            self.scenario,
            "chlorine",
            World(self.scenario, 7),
            self.units,
            speed=speed,
            duration_s=self.scenario.duration_s,
            broker=self.broker if own_broker else None,
            say=self.said.append,
        )

    def link(self, unit: str) -> LinkState:
        return self.units[unit].proxy.state

    async def __aenter__(self) -> Stage:
        for unit in self.units.values():
            await unit.kit.__aenter__()
            await unit.proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for unit in self.units.values():
            await unit.proxy.__aexit__(None, None, None)
            await unit.kit.__aexit__(None, None, None)


async def test_pictures_end_before_the_link_is_cut(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        asked: list[tuple[str, LinkState]] = []

        async def hang_up(unit: str) -> None:
            asked.append((unit, stage.link(unit)))

        stage.director.hang_up = hang_up
        stage.director.obey(Control(action=Action.INJECT, inject="link-lost", by="test"))
        await until(lambda: stage.link("ex-rs-02") is LinkState.DROPPED, "the link is cut")
        assert asked == [("ex-rs-02", LinkState.UP)]


async def test_what_is_due_happens_once_and_in_order(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        director = stage.director
        director.advance(1.9)
        assert director.log == []
        assert not director.world.is_active("cylinder")
        director.advance(0.2)
        assert director.world.is_active("cylinder")
        director.advance(120.0)
        director.advance(0.1)
        happened = [(entry["id"], entry["t_s"]) for entry in director.log]
        assert happened == [
            ("leak", 2.0),
            ("link-lost", 14.0),
            ("sos", 40.0),
            ("cell-silent", 75.0),
            ("wind-turns", 110.0),
        ]
        assert director.world.wind.from_deg == 70
        assert stage.link("ex-rs-02") is LinkState.UP
        await asyncio.sleep(0)
        assert stage.link("ex-rs-02") is LinkState.DROPPED
        await director._cancel_what_is_under_way()
        director.lift_faults()
        assert stage.link("ex-rs-02") is LinkState.UP


async def test_the_scenario_ends_at_its_end(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        director = stage.director
        director.advance(1e6)
        assert director.ended.is_set()
        assert (director.phase, director.reason) == (Phase.ENDED, "duration")
        assert director.t_s == 300
        director.end("instructor")
        assert director.reason == "duration"
        await director._cancel_what_is_under_way()


async def test_a_pause_holds_the_clock_and_speed_drives_it(tmp_path: Path) -> None:
    async with Stage(tmp_path, speed=400.0) as stage:
        director = stage.director
        states: list[DrillState] = []
        director.obey(Control(action=Action.PAUSE, by="teacher"))
        playing = asyncio.create_task(director.run(states.append))
        await until(lambda: bool(states), "a state is told")
        assert states[0].state is Phase.PAUSED
        assert director.t_s == 0
        director.obey(Control(action=Action.RESUME, by="teacher"))
        await until(director.ended.is_set, "the scenario is over")
        await playing
        assert states[-1].state is Phase.ENDED
        assert states[-1].t_s == states[-1].duration_s == 300
        assert stage.said[:2] == ["paused by teacher", "resumed by teacher"]


async def test_the_state_has_all_that_the_instructor_sees(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        stage.director.advance(5.0)
        state = stage.director.state()
        assert state.title.zh == "化工厂氯气泄漏"
        assert [source.active for source in state.sources] == [True]
        assert {print.level for print in state.footprint} == {"aegl1", "aegl2", "aegl3"}
        assert {inject.id: inject.done for inject in state.injects}["leak"]
        by_hand = {inject.id for inject in state.injects if inject.at_s is None}
        assert by_hand == {"unplugged", "dead-air", "broker-gone"}
        assert (state.center.lat, state.center.lon) == (30.593, 114.306)


async def test_an_instructor_brings_about_what_he_wants(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        director = stage.director
        link = stage.units["ex-rs-01"].kit.folder / "port" / "cl2"
        director.obey(Control(action=Action.INJECT, inject="unplugged", by="teacher"))
        assert not link.is_symlink()
        director.lift_faults()
        assert link.exists()
        director.obey(Control(action=Action.INJECT, inject="broker-gone"))
        await until(lambda: stage.broker.kills == 1, "the broker is killed")
        director.obey(Control(action=Action.INJECT, inject="nonsense", by="teacher"))
        assert "teacher asked for the inject 'nonsense', but there are only leak" in stage.said[-1]
        director.obey(Control(action=Action.END, by="teacher"))
        assert director.reason == "instructor"
        await director._cancel_what_is_under_way()


async def test_a_broker_of_others_is_left_alone(tmp_path: Path) -> None:
    async with Stage(tmp_path, own_broker=False) as stage:
        stage.director.obey(Control(action=Action.INJECT, inject="broker-gone"))
        assert stage.said[-1] == "the broker is not the drill's own: it is left alone"
        assert stage.broker.kills == 0


async def test_a_real_emergency_stops_the_scenario_in_a_pause_too(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        stage.director.obey(Control(action=Action.PAUSE))
        stage.director.obey(Control(action=Action.REAL_EMERGENCY, by="medic"))
        assert stage.director.reason == "real_emergency"
        assert stage.director.ended.is_set()
        assert "REAL EMERGENCY 非演练: medic" in stage.said[-1]


@pytest.mark.parametrize("inject", scenarios.load(scenarios.find("chlorine")).inject)
async def test_each_inject_of_the_drill_can_be_brought_about(
    tmp_path: Path, inject: scenarios.Inject
) -> None:
    async with Stage(tmp_path) as stage:
        stage.director.obey(Control(action=Action.INJECT, inject=inject.id, by="teacher"))
        await asyncio.sleep(0)
        assert stage.director.done == {inject.id}
        assert f"{inject.label.zh}  {inject.label.en}" in stage.said
        await stage.director._cancel_what_is_under_way()


async def test_the_same_seed_gives_the_same_drill_whatever_the_machines_pace(
    tmp_path: Path,
) -> None:
    seen = []
    for name, steps in (("even", [0.25] * 480), ("uneven", [0.1, 3.7, 40.0, 0.03, 31.17, 45.0])):
        async with Stage(tmp_path / name) as stage:
            for dt_s in steps:
                stage.director.advance(dt_s)
            world = stage.director.world
            seen.append(
                {
                    (spec.id, instrument.name): world.felt(spec.id, instrument.name)
                    for spec in stage.scenario.unit
                    for instrument in spec.instrument
                }
            )
            assert stage.director.t_s == pytest.approx(120.0)
            await stage.director._cancel_what_is_under_way()
    assert seen[0] == seen[1]
