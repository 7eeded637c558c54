"""What a unit hears of its neighbours, without any center."""

from __future__ import annotations

import msgspec

from agent.messages.base import Wire


class NeighbourAlarm(Wire, frozen=True, kw_only=True):
    """What stands at one place nearby, however many units stand there."""

    code: str
    """`high`, `over_range`, `sos`, `no_motion`."""
    quantity: str
    units: tuple[str, ...]
    """Who has it, the nearest first."""
    since: int
    """UTC ms by the clock of who has had it longest."""
    value: float | None = None
    """The worst of them, each as it was when its alarm was raised."""
    unit: str = ""
    distance_m: float | None = None
    """To the nearest; none where its place or the own one is not known."""
    bearing_deg: float | None = None
    """Of the nearest, clockwise from true north."""
    place_age_s: float | None = None
    """How old the nearest one's position is."""
    lost: bool = False
    """None of them is within reach any more: what stood when they were."""
    sounds: bool = False
    """Nobody here has silenced it."""


class NeighbourStatus(Wire, frozen=True, kw_only=True):
    """Of a unit that listens for neighbours."""

    key: str = ""
    """Eight hex digits of the group's key: units of one group show the same."""
    units: tuple[str, ...] = ()
    """Within reach."""
    alarms: tuple[NeighbourAlarm, ...] = ()
    """The most urgent first."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """Datagrams that were not believed: `forged`, `replayed`, `malformed`, `foreign`, `unproved`,
    `other_mark`, `other_org`, `own`, `oversized`."""
    detail: str = ""
    """Why there are none: `neighbours` is configured and cannot work."""
