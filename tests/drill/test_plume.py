"""The dispersion formula against published check values (Briggs' curves, AEGL reaches)."""

from __future__ import annotations

import math

import pytest

from agent.drill.plume import (
    Air,
    Stability,
    Terrain,
    arrived,
    outline,
    plume_kg_m3,
    puff_kg_m3,
    reach_m,
)

RURAL, URBAN = Terrain.RURAL, Terrain.URBAN


@pytest.mark.parametrize(
    ("terrain", "stability", "x_m", "sigma_y", "sigma_z"),
    [
        (RURAL, "A", 100, 21.89, 20.00),
        (RURAL, "D", 100, 7.96, 5.60),
        (RURAL, "F", 100, 3.98, 1.55),
        (RURAL, "A", 1000, 209.8, 200),
        (RURAL, "C", 1000, 104.9, 73.0),
        (RURAL, "D", 1000, 76.3, 38.0),
        (RURAL, "F", 1000, 38.1, 12.3),
        (URBAN, "A", 1000, 270.5, 339.4),
        (URBAN, "C", 1000, 185.9, 200),
        (URBAN, "D", 1000, 135.2, 122.8),
        (URBAN, "E", 1000, 93.0, 50.6),
        (URBAN, "F", 1000, 93.0, 50.6),
    ],
)
def test_half_widths_are_briggs(
    terrain: Terrain, stability: str, x_m: float, sigma_y: float, sigma_z: float
) -> None:
    air = Air(wind_m_s=5, stability=Stability(stability), terrain=terrain)
    assert air.sigma(x_m) == pytest.approx((sigma_y, sigma_z), rel=0.006)


def test_a_sensor_200_m_downwind_of_a_kilogram_of_chlorine_a_second_feels_130_ppm() -> None:
    air = Air(wind_m_s=5, stability=Stability.D, terrain=RURAL)
    assert air.to_ppm(plume_kg_m3(1.0, air, 200, 0, 1.5), "cl2") == pytest.approx(130, abs=1)


@pytest.mark.parametrize(
    ("gas", "level_ppm", "stability", "wind_m_s", "terrain", "expected_m"),
    [
        ("cl2", 20, "D", 5, RURAL, 560),
        ("cl2", 2, "D", 5, RURAL, 2302),
        ("cl2", 0.5, "D", 5, RURAL, 6042),
        ("cl2", 20, "F", 2, RURAL, 3041),
        ("cl2", 20, "D", 5, URBAN, 229),
        ("cl2", 0.5, "F", 2, URBAN, 10_000),
        ("nh3", 1100, "D", 5, RURAL, 138),
        ("nh3", 30, "F", 2, URBAN, 1372),
        ("h2s", 27, "D", 5, URBAN, 288),
        ("co", 83, "F", 2, RURAL, 2168),
    ],
)
def test_reaches(
    gas: str, level_ppm: float, stability: str, wind_m_s: float, terrain: Terrain, expected_m: float
) -> None:
    air = Air(wind_m_s=wind_m_s, stability=Stability(stability), terrain=terrain)
    assert reach_m(1.0, air, gas, level_ppm) == pytest.approx(expected_m, rel=0.01)


def test_no_reach_where_the_level_is_nowhere_exceeded() -> None:
    air = Air(wind_m_s=5)
    assert reach_m(1e-6, air, "cl2", 1000.0) == 0.0
    assert outline(1e-6, air, "cl2", 1000.0) == []


def test_the_outline_is_where_the_mean_equals_the_level() -> None:
    air = Air(wind_m_s=3, stability=Stability.D, terrain=URBAN)
    ring = outline(0.05, air, "cl2", 2.0)
    edge = [(x, y) for x, y in ring if y != 0.0]
    assert len(edge) > 30
    for x_m, y_m in edge:
        ppm = air.to_ppm(plume_kg_m3(0.05, air, x_m, y_m, 0.0), "cl2")
        assert ppm == pytest.approx(2.0, rel=1e-6)


def test_nothing_upwind_and_all_of_the_air_at_most() -> None:
    air = Air(wind_m_s=2)
    assert plume_kg_m3(1.0, air, -5, 0, 0) == 0.0
    assert air.to_ppm(1e9, "cl2") == 1e6


def test_what_flows_through_a_plane_across_the_wind_is_what_the_source_gives() -> None:
    air = Air(wind_m_s=4, stability=Stability.C, terrain=RURAL)
    step, total = 2.0, 0.0
    for row in range(-150, 151):
        for level in range(150):
            total += plume_kg_m3(0.7, air, 300, row * step, (level + 0.5) * step, 10.0)
    assert total * step * step * 4 == pytest.approx(0.7, rel=0.01)


def test_a_puff_holds_its_mass_and_drifts_with_the_wind() -> None:
    air = Air(wind_m_s=3, stability=Stability.D, terrain=RURAL)
    step, total, moment = 2.5, 0.0, 0.0
    for x in range(80, 160):
        for y in range(-40, 41):
            for z in range(30):
                density = puff_kg_m3(2.0, air, 100, x * step, y * step, (z + 0.5) * step)
                total += density
                moment += density * x * step
    assert total * step**3 == pytest.approx(2.0, rel=0.02)
    assert moment / total == pytest.approx(300, rel=0.01)
    assert puff_kg_m3(2.0, air, 0, 10, 0, 1) == 0.0


def test_the_front_of_a_plume_travels_with_the_wind() -> None:
    air = Air(wind_m_s=3)
    assert arrived(air, 10, 300) < 1e-6
    assert arrived(air, 100, 300) == pytest.approx(0.5)
    assert arrived(air, 1000, 300) == pytest.approx(1.0)
    shares = [arrived(air, age, 60) for age in range(0, 60, 2)]
    assert shares == sorted(shares)


def test_ppm_at_25_degrees_is_the_tabled_one() -> None:
    """1 ppm of chlorine is 2.8982 mg/m3 at 25 degrees C, by the molar mass of 70.90 here."""
    air = Air(wind_m_s=1)
    assert air.to_ppm(2.8982e-6, "cl2") == pytest.approx(1.0, rel=5e-4)
    assert math.isclose(air.to_ppm(1.1449e-6, "co"), 1.0, rel_tol=5e-4)
