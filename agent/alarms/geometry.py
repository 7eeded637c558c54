"""How deep a position lies within a border, metres.  Pure.  A polygon is taken on the plane that
touches the Earth at the position: within 10 km and 60 degrees of latitude right to 0.5 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drivers.geodesy import EARTH_M, Position, distance_m


def depth_in_circle(place: Position, center: Position, radius_m: float) -> float:
    """Metres that `place` is within the circle; negative: so far outside of it."""
    return radius_m - distance_m(center, place)


def depth_in_polygon(place: Position, corners: Sequence[Position]) -> float:
    """The same for a polygon; its corners in either direction, the last one joins the first."""
    points = [_plane(place, corner) for corner in corners]
    inside, nearest = False, math.inf
    for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True):
        nearest = min(nearest, _to_segment(x1, y1, x2, y2))
        if (y1 > 0) != (y2 > 0) and x1 - y1 * (x2 - x1) / (y2 - y1) > 0:
            inside = not inside
    return nearest if inside else -nearest


def _plane(origin: Position, place: Position) -> tuple[float, float]:
    """(east, north) of `place` from `origin`."""
    turn = (place[1] - origin[1] + 180.0) % 360.0 - 180.0
    east = math.radians(turn) * math.cos(math.radians(origin[0])) * EARTH_M
    return east, math.radians(place[0] - origin[0]) * EARTH_M


def _to_segment(x1: float, y1: float, x2: float, y2: float) -> float:
    """From the origin."""
    dx, dy = x2 - x1, y2 - y1
    length = dx * dx + dy * dy
    share = 0.0 if length == 0 else min(1.0, max(0.0, -(x1 * dx + y1 * dy) / length))
    return math.hypot(x1 + share * dx, y1 + share * dy)
