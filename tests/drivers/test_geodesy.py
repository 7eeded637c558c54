"""drivers/geodesy.py against places whose distance and bearing are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.geodesy import EARTH_M, bearing_deg, beside, distance_m

WUHAN, BEIJING = (30.5928, 114.3055), (39.9042, 116.4074)
DEGREE_M = EARTH_M * 3.141592653589793 / 180

lats = st.floats(-80, 80)
lons = st.floats(-180, 180)


def test_known_places() -> None:
    assert distance_m(WUHAN, BEIJING) == pytest.approx(1_052_000, rel=0.005)
    assert bearing_deg(WUHAN, BEIJING) == pytest.approx(9.8, abs=0.3)
    assert distance_m((0.0, 0.0), (1.0, 0.0)) == pytest.approx(DEGREE_M)


@pytest.mark.parametrize(
    ("end", "bearing"),
    [((1.0, 0.0), 0.0), ((0.0, 1.0), 90.0), ((-1.0, 0.0), 180.0), ((0.0, -1.0), 270.0)],
)
def test_the_four_winds(end: tuple[float, float], bearing: float) -> None:
    assert bearing_deg((0.0, 0.0), end) == pytest.approx(bearing)


def test_over_the_date_line() -> None:
    east, west = (0.0, 179.9), (0.0, -179.9)
    assert distance_m(east, west) == pytest.approx(0.2 * DEGREE_M, rel=1e-6)
    assert bearing_deg(east, west) == pytest.approx(90.0)


@given(lats, lons, st.floats(0, 359.9), st.floats(1, 20_000))
def test_beside_is_where_it_was_put(lat: float, lon: float, bearing: float, metres: float) -> None:
    there = beside((lat, lon), bearing, metres)
    assert distance_m((lat, lon), there) == pytest.approx(metres, rel=1e-4, abs=0.05)
    turned = (bearing_deg((lat, lon), there) - bearing + 180) % 360 - 180
    assert abs(turned) * metres < 1.0
