"""Zones: borders, errors of position, what is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.geometry import depth_in_circle, depth_in_polygon
from agent.alarms.zones import Zone, Zones
from agent.messages import FixBody
from drivers.geodesy import beside, distance_m

HERE = (30.593067, 114.30585)
SQUARE = tuple(beside(HERE, bearing, 141.4214) for bearing in (45.0, 135.0, 225.0, 315.0))
"""200 m by 200 m about HERE."""


def circle(kind: str = "hot", alarms_on: str = "enter", radius_m: float = 100.0) -> Zone:
    return Zone(id="z", kind=kind, center=HERE, radius_m=radius_m, alarms_on=alarms_on)


def fix(meters: float, eph: float | None = 5.0, bearing: float = 0.0) -> FixBody:
    lat, lon = beside(HERE, bearing, meters)
    return FixBody(mode=3, lat=lat, lon=lon, eph=eph)


def told(zone: Zone, fixes: list[FixBody]) -> list[bool | None]:
    """At each position: entered True, left False, nothing None."""
    zones = Zones([zone])
    return [(changes[0].inside if (changes := zones.fix(one)) else None) for one in fixes]


@pytest.mark.parametrize(
    ("fixes", "expected"),
    [
        ([fix(150), fix(101), fix(99)], [None, None, True]),
        # out again only by more than the error of the position
        ([fix(99), fix(101), fix(104.9), fix(105.2)], [True, None, None, False]),
        ([fix(99), fix(119, eph=20.0), fix(121, eph=20.0)], [True, None, False]),
        # an error that nobody knows is taken for 15 m, and none is less than 3 m
        ([fix(99), fix(114, eph=None), fix(116, eph=None)], [True, None, False]),
        ([fix(99), fix(102.9, eph=0.01), fix(103.2, eph=0.01)], [True, None, False]),
        # a bad position enters, and does not leave
        ([fix(99, eph=500.0), fix(300, eph=500.0)], [True, None]),
        # without a position nothing is known
        ([FixBody(mode=1), fix(10)], [None, True]),
    ],
)
def test_the_border_of_a_circle(fixes: list[FixBody], expected: list[bool | None]) -> None:
    assert told(circle(), fixes) == expected


def test_outside_of_a_zone_to_stay_in_is_told_at_once() -> None:
    zone = circle("cold", "leave")
    assert told(zone, [fix(150), fix(99), fix(104), fix(106)]) == [False, True, None, False]
    zones = Zones([zone])
    zones.fix(fix(150))
    assert zones.holds(zone)
    zones.fix(fix(99))
    assert not zones.holds(zone)


@pytest.mark.parametrize(
    ("kind", "alarms_on", "code"),
    [
        ("hot", "enter", "zone_hot"),
        ("warm", "enter", "zone_warm"),
        ("cold", "none", None),
        ("cold", "leave", "zone_outside"),
        ("hot", "none", None),
    ],
)
def test_the_code_of_its_alarm(kind: str, alarms_on: str, code: str | None) -> None:
    assert circle(kind, alarms_on).code() == code


@pytest.mark.parametrize(
    ("bearing", "meters", "depth"),
    [(0, 0, 100), (0, 60, 40), (90, 99, 1), (180, 130, -30), (45, 141.4, 0), (45, 170, -28.6)],
)
def test_depth_in_a_square(bearing: float, meters: float, depth: float) -> None:
    place = beside(HERE, bearing, meters)
    assert depth_in_polygon(place, SQUARE) == pytest.approx(depth, abs=0.5)
    assert depth_in_polygon(place, SQUARE[::-1]) == pytest.approx(depth, abs=0.5)


def test_a_polygon_with_a_bay() -> None:
    """An L: its bay is outside."""
    corners = [beside(beside(HERE, 0.0, north), 90.0, east) for north, east in
               ((0, 0), (100, 0), (100, 20), (20, 20), (20, 100), (0, 100))]  # fmt: skip
    assert depth_in_polygon(beside(beside(HERE, 0.0, 60.0), 90.0, 60.0), corners) < 0
    assert depth_in_polygon(beside(beside(HERE, 0.0, 60.0), 90.0, 10.0), corners) > 0


@given(bearing=st.floats(0, 360), meters=st.floats(0, 5000), radius_m=st.floats(10, 5000))
def test_a_circle_of_many_corners_is_a_circle(
    bearing: float, meters: float, radius_m: float
) -> None:
    corners = [beside(HERE, turn, radius_m) for turn in range(0, 360, 2)]
    place = beside(HERE, bearing, meters)
    depth = depth_in_circle(place, HERE, radius_m)
    assert depth == pytest.approx(radius_m - distance_m(HERE, place), abs=1e-6)
    assert depth_in_polygon(place, corners) == pytest.approx(depth, abs=0.006 * radius_m + 1.0)


def test_across_the_antimeridian() -> None:
    center = (-17.0, 179.9995)
    assert depth_in_circle((-17.0, -179.9995), center, 200.0) > 0
    corners = [beside(center, turn, 200.0) for turn in range(0, 360, 10)]
    assert depth_in_polygon((-17.0, -179.9995), corners) > 0


def test_the_worst_zone_of_those_it_is_in() -> None:
    zones = Zones([
        Zone(id="c", kind="cold", center=HERE, radius_m=300.0, alarms_on="none"),
        Zone(id="h", kind="hot", center=HERE, radius_m=100.0, alarms_on="enter"),
        Zone(id="w", kind="warm", center=HERE, radius_m=200.0, alarms_on="enter"),
    ])  # fmt: skip
    assert zones.worst() is None
    kinds = []
    for meters in (250, 150, 50):
        zones.fix(fix(meters))
        worst = zones.worst()
        kinds.append(worst.kind if worst else None)
    assert kinds == ["cold", "warm", "hot"]
