"""Who gets which layer, and what each layer makes.  Pure: estimates in, a plan out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

VIDEO_SHARE = 0.9
"""Of an estimate: the rest is headers, repeats and what comes between."""
MAIN_LEAST_KBIT_S = 140.0
"""Less makes no picture of the main layer's size."""
THIN_LEAST_KBIT_S = 25.0
"""Less is a link for stills."""
NEAR_BEST = 0.5
"""Of the best viewer's share: who has less gets the thin layer rather than slowing him down."""
CLIMB = 1.2
"""Above the bound, before a viewer moves up again."""


class Place(Enum):
    MAIN = "main"
    THIN = "thin"
    STILLS = "stills"


class Viewer(msgspec.Struct, frozen=True):
    """What is known of one."""

    kbit_s: float
    """Estimate of its link."""
    place: Place
    clean: bool = False
    """Its path shows no queue and no loss: it may well bear more than was tried."""


class Camera(msgspec.Struct, frozen=True):
    main_kbit_s: float
    """The most of the main layer; what the camera makes where it is passed through."""
    thin_kbit_s: float
    fixed: bool = False
    """The main layer cannot follow: it is passed through, or somebody records it."""


class Plan(msgspec.Struct, frozen=True):
    places: Mapping[str, Place]
    main_kbit_s: float
    thin_kbit_s: float


def plan(camera: Camera, viewers: Mapping[str, Viewer]) -> Plan:
    """A viewer is never slowed down by another that has less than half of its link."""
    shares = {name: viewer.kbit_s * VIDEO_SHARE for name, viewer in viewers.items()}
    best = min(max(shares.values(), default=0.0), camera.main_kbit_s)
    bound = max(best * NEAR_BEST, min(MAIN_LEAST_KBIT_S, camera.main_kbit_s))
    if camera.fixed:
        bound = max(bound, camera.main_kbit_s * NEAR_BEST)
    places = {
        name: _place(
            shares[name],
            viewer.place,
            camera.main_kbit_s if camera.fixed and not viewer.clean else bound,
        )
        for name, viewer in viewers.items()
    }
    main = [shares[name] for name, place in places.items() if place is Place.MAIN]
    thin = [shares[name] for name, place in places.items() if place is Place.THIN]
    return Plan(
        places,
        camera.main_kbit_s if camera.fixed else min([camera.main_kbit_s, *main]),
        min([camera.thin_kbit_s, *thin]),
    )


def _place(share: float, now: Place, bound: float) -> Place:
    """With a step between down and up, so that nobody swings."""
    if share >= bound * (1.0 if now is Place.MAIN else CLIMB):
        return Place.MAIN
    if share >= THIN_LEAST_KBIT_S * (CLIMB if now is Place.STILLS else 1.0):
        return Place.THIN
    return Place.STILLS


def ceiling(limits: Sequence[int]) -> float:
    """Of several limits (0: none) the lowest, in kbit/s."""
    return float(min((limit for limit in limits if limit > 0), default=1_000_000))
