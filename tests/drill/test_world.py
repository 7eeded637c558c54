"""The world: the same for the same seed, and right on the average."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean

import pytest

from agent.drill import scenario as scenarios
from agent.drill.cell import CELLS, RECOVERY, Cell
from agent.drill.scenario import Scenario
from agent.drill.world import World
from agent.settings.toml import Document

TEXT = """
title = {{ zh = "试", en = "Trial" }}
site = {{ lat = 30.593, lon = 114.306 }}
wind = {{ speed_m_s = 5, from_deg = 270, meander_deg = {meander} }}
air = {{ terrain = "rural", stability = "D" }}
[[source]]
id = "tank"
gas = "cl2"
rate_kg_s = 1.0
active = true
[[unit]]
id = "ex-a"
name = {{ zh = "甲", en = "A" }}
route = {{ points = [[{east}, {north}]] }}
instrument = [
  {{ name = "gnss", driver = "nmea" }},
  {{ name = "cl2", driver = "winsen", gas = "cl2" }},
  {{ name = "o2", driver = "winsen", gas = "o2" }},
  {{ name = "mast", driver = "modbus", map = "weather_station" }},
]
"""


def make(east: float = 200.0, north: float = 0.0, meander: float = 0.0) -> Scenario:
    text = TEXT.format(east=east, north=north, meander=meander)
    return scenarios.parse(Document("trial.toml", text))


def history(scenario: Scenario, seed: int, looks: list[float]) -> list[dict[str, float]]:
    world = World(scenario, seed)
    seen = []
    for t_s in looks:
        world.advance(t_s)
        seen.append(world.felt("ex-a", "cl2") | world.felt("ex-a", "mast"))
    return seen


def test_the_same_seed_gives_the_same_world_however_often_it_is_looked_at() -> None:
    scenario = make(meander=10)
    often = history(scenario, 5, [t / 4 for t in range(481)])
    seldom = history(scenario, 5, [7.0, 60.0, 120.0])
    assert [often[28], often[240], often[480]] == seldom
    assert history(scenario, 6, [7.0, 60.0, 120.0]) != seldom


def test_one_more_instrument_changes_no_other() -> None:
    lean = TEXT.replace('  {{ name = "o2", driver = "winsen", gas = "o2" }},\n', "")
    other = scenarios.parse(Document("x", lean.format(east=200, north=0, meander=10)))
    assert len(other.unit[0].instrument) == 3
    assert history(make(meander=10), 5, [30.0, 90.0]) == history(other, 5, [30.0, 90.0])


def test_over_a_long_time_the_mean_is_the_plumes() -> None:
    """130 ppm: 1 kg/s of chlorine, class D, 5 m/s, 200 m downwind, 1.5 m high."""
    world = World(make(), 1)
    assert world.mean_ppm("cl2", 200, 0) == pytest.approx(130, abs=1)
    felt = []
    for second in range(20_000):
        world.advance(float(second))
        felt.append(world.felt("ex-a", "cl2")["cl2"])
    # A cell recovers more slowly than it responds, so on the average it shows a little more.
    assert fmean(felt) == pytest.approx(138, rel=0.12)
    assert max(felt) > 200
    assert min(felt[600:]) < 80


def test_upwind_there_is_nothing() -> None:
    world = World(make(east=-30.0), 1)
    world.advance(300.0)
    assert abs(world.felt("ex-a", "cl2")["cl2"]) < 0.3


def test_gas_takes_the_place_of_oxygen() -> None:
    world = World(make(east=2.0), 1)
    world.advance(600.0)
    chlorine = world.mean_ppm("cl2", 2.0, 0.0)
    assert chlorine > 7000
    assert world.felt("ex-a", "o2")["o2"] < 20.8


def test_a_source_that_stops_leaves_what_is_in_the_air_to_blow_away() -> None:
    world = World(make(), 1)
    world.advance(10.0)
    world.stop_source("tank")
    assert not world.is_active("tank")
    before = world.mean_ppm("cl2", 200, 0)
    world.advance(20.0)
    assert world.mean_ppm("cl2", 200, 0) == pytest.approx(before, rel=0.01)
    world.advance(90.0)
    assert world.mean_ppm("cl2", 200, 0) < before / 1000
    assert world.footprint() == []


def test_a_source_that_starts_is_felt_when_the_wind_has_brought_it() -> None:
    world = World(make(), 1)
    world.stop_source("tank")
    world.advance(200.0)
    world.start_source("tank")
    world.advance(220.0)
    assert world.mean_ppm("cl2", 200, 0) < 1
    world.advance(300.0)
    assert world.mean_ppm("cl2", 200, 0) == pytest.approx(130, abs=1)


def test_the_wind_turns_the_plume() -> None:
    world = World(make(), 1)
    world.set_wind(from_deg=180.0)
    assert world.mean_ppm("cl2", 200, 0) < 1e-9
    assert world.mean_ppm("cl2", 0, 200) == pytest.approx(130, abs=1)
    assert world.wind.speed_m_s == 5


def test_the_footprints_lie_downwind_and_the_milder_is_the_longer() -> None:
    world = World(make(), 1)
    prints = world.footprint()
    assert [print.level for print in prints] == ["aegl1", "aegl2", "aegl3"]
    reaches = [max(lon for _, lon in print.polygon) - 114.306 for print in prints]
    assert reaches == sorted(reaches, reverse=True)
    assert reaches[2] * 111_320 * math.cos(math.radians(30.593)) == pytest.approx(560, rel=0.02)
    assert all(lon >= 114.306 - 1e-9 for print in prints for _, lon in print.polygon)


def test_the_vane_swings_about_the_mean_wind() -> None:
    world = World(make(meander=10), 2)
    swings = []
    for second in range(5000):
        world.advance(float(second))
        swings.append((world.felt("ex-a", "mast")["wind_direction"] - 90) % 360 - 180)
    assert fmean(swings) == pytest.approx(0, abs=3)
    assert fmean(swing**2 for swing in swings) ** 0.5 == pytest.approx(10, abs=2)


def test_a_kilometre_north_and_east_of_wuhan() -> None:
    """One minute of arc on WGS-84 at 30.593 N: 1847.8 m of latitude, 1598.4 m of longitude."""
    lat, lon = World(make(), 1).to_wgs84(1598.4, 1847.8)
    assert lat == pytest.approx(30.593 + 1 / 60, abs=2e-6)
    assert lon == pytest.approx(114.306 + 1 / 60, abs=2e-6)


def test_a_cell_lags_by_its_t90_and_recovers_more_slowly() -> None:
    cell = Cell("cl2", Random(1), t90_s=23.0)
    shown = [cell.step(0.0, 0.5)]
    shown += [cell.step(10.0, 0.5) for _ in range(46)]
    assert shown[-1] == pytest.approx(9.0, abs=0.15)
    for _ in range(400):
        cell.step(10.0, 0.5)
    falling = [cell.step(0.0, 0.5) for _ in range(69)]
    assert falling[-1] == pytest.approx(1.0, abs=0.15)
    assert falling[45] > 10 * math.exp(-math.log(10) / RECOVERY) - 0.3


def test_oxygen_falls_fast_and_comes_back_slowly() -> None:
    cell = Cell("o2", Random(1))
    cell.step(20.9, 0.5)
    down = [cell.step(15.0, 0.5) for _ in range(30)]
    assert down[-1] == pytest.approx(15.59, abs=0.15)
    up = [cell.step(20.9, 0.5) for _ in range(30)]
    assert up[-1] < 20.9 - 0.8


def test_north_is_not_far_from_itself() -> None:
    """A vane at 359 degrees turns to 3 by way of north, not by way of south."""
    cell = Cell("wind_direction", Random(1))
    cell.step(359.0, 0.5)
    seen = [cell.step(3.0, 0.5) for _ in range(20)]
    assert all(degrees > 350 or degrees < 10 for degrees in seen)


def test_every_cell_kind_is_of_use() -> None:
    for quantity in CELLS:
        assert math.isfinite(Cell(quantity, Random(1)).step(1.0, 0.5))
