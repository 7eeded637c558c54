"""Distances and bearings between positions in WGS-84 degrees, on a sphere: within 0.6 %."""

from __future__ import annotations

import math

EARTH_M = 6_371_008.8
"""Mean radius (IUGG)."""

Position = tuple[float, float]
"""Latitude and longitude, degrees."""


def distance_m(start: Position, end: Position) -> float:
    """Along the great circle."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*start, *end))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))


def bearing_deg(start: Position, end: Position) -> float:
    """Of `end` as seen from `start`: clockwise from true north, 0 to 360."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*start, *end))
    east = math.sin(lon2 - lon1) * math.cos(lat2)
    north = math.cos(lat1) * math.sin(lat2) - math.sin(lat1) * math.cos(lat2) * math.cos(
        lon2 - lon1
    )
    return math.degrees(math.atan2(east, north)) % 360.0


def beside(start: Position, bearing: float, distance: float) -> Position:
    """The position `distance` metres from `start` in direction `bearing` (degrees)."""
    lat, lon, towards = map(math.radians, (*start, bearing))
    arc = distance / EARTH_M
    there = math.asin(
        math.sin(lat) * math.cos(arc) + math.cos(lat) * math.sin(arc) * math.cos(towards)
    )
    east = math.atan2(
        math.sin(towards) * math.sin(arc) * math.cos(lat),
        math.cos(arc) - math.sin(lat) * math.sin(there),
    )
    return math.degrees(there), (math.degrees(lon + east) + 540.0) % 360.0 - 180.0
