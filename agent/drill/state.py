"""What the director says and hears on MQTT: `outpost-exercise/v1/{org}/drill/...`.  Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.drill.scenario import Inject, Scenario, Words
from agent.drill.world import Footprint, World

EXPIRY_S = 15
"""Of the retained state: it is written anew each second, so a dead drill is soon forgotten."""


class Phase(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


class WindState(msgspec.Struct, frozen=True, kw_only=True):
    speed_m_s: float
    from_deg: float


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    gas: str
    lat: float
    lon: float
    rate_kg_s: float | None
    active: bool


class InjectState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: str
    unit: str
    label: Words
    at_s: float | None
    """None: only when the instructor asks for it."""
    done: bool


class Center(msgspec.Struct, frozen=True, kw_only=True):
    lat: float
    lon: float


class DrillState(msgspec.Struct, frozen=True, kw_only=True):
    """On `drill/state`, retained, once a second."""

    scenario: str
    title: Words
    t_s: float
    duration_s: float
    speed: float
    state: Phase
    reason: str = ""
    """Why it has ended: `duration`, `instructor`, `real_emergency`, `interrupted`."""
    wind: WindState
    sources: list[SourceState]
    footprint: list[Footprint]
    injects: list[InjectState]
    center: Center


class Action(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    INJECT = "inject"
    END = "end"
    REAL_EMERGENCY = "real_emergency"


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """On `drill/control`."""

    action: Action
    inject: str = ""
    by: str = ""


def describe_sources(scenario: Scenario, world: World) -> list[SourceState]:
    """Where gas may get out, and whether it does."""
    found = []
    for source in scenario.source:
        lat, lon = world.to_wgs84(source.at[0], source.at[1])
        found.append(
            SourceState(
                id=source.id, gas=source.gas, lat=lat, lon=lon, rate_kg_s=source.rate_kg_s,
                active=world.is_active(source.id),
            )
        )  # fmt: skip
    return found


def describe_injects(injects: tuple[Inject, ...], done: set[str]) -> list[InjectState]:
    """What happens, what may be made to happen, and what has."""
    return [
        InjectState(
            id=inject.id, kind=inject.kind, unit=inject.unit, label=inject.label,
            at_s=inject.at_s, done=inject.id in done,
        )
        for inject in injects
    ]  # fmt: skip
