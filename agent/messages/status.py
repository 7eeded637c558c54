"""Who a unit is and how it does."""

from __future__ import annotations

import msgspec

from agent.messages.advice import Advice
from agent.messages.base import SCHEMA_VERSION, Clock, Mark, Wire
from agent.messages.dose import Exposure
from agent.messages.link import UplinkStatus
from agent.messages.neighbour import NeighbourStatus
from agent.messages.orders import ShownMessage, Task
from agent.messages.outbox import OutboxStatus
from agent.messages.person import PersonStatus
from agent.messages.selftest import SelftestStatus


class SourceStatus(Wire, frozen=True, kw_only=True):
    name: str
    driver: str
    state: str
    """`starting`, `up`, `silent`, `down`."""
    detail: str = ""
    place: str = ""
    serial: str = ""
    evidence: str = ""
    """How sure its driver is: `seen on hardware`, `from datasheet`, `from memory`."""
    calibrated: str = ""
    """Day of the last calibration, ISO 8601; empty: not known."""
    calibrated_by: str = ""
    calibration_due: str = ""
    """The first day on which its values are `cal_due`."""


class EpochStatus(msgspec.Struct, frozen=True, kw_only=True):
    epoch: str
    last: int
    """The last committed number; numbers above it are void (in a closed epoch)."""


class CameraStatus(Wire, frozen=True, kw_only=True):
    name: str
    state: str = "idle"
    """`idle`, `live`, `down`, `disabled`."""
    detail: str = ""
    recording: bool = False


class MediaServerStatus(Wire, frozen=True, kw_only=True):
    """A media server that the unit publishes a camera to (WHIP, RFC 9725)."""

    name: str
    camera: str = ""
    state: str = "off"
    """`off`, `connecting`, `live`, `waiting` (for the next try)."""
    detail: str = ""


class WhepStatus(Wire, frozen=True, kw_only=True):
    """The unit's own server for viewers on its network."""

    state: str
    """`up`, `down`."""
    detail: str = ""
    viewers: int = 0


class LimitStatus(Wire, frozen=True, kw_only=True):
    """A set point that is in force at the unit."""

    quantity: str
    unit: str
    low: float | None = None
    high: float | None = None
    deficient: float | None = None
    critical: float | None = None
    basis: str = ""
    stel: float | None = None
    twa: float | None = None
    exposure_basis: str = ""
    source: str = ""
    """Only of this source; empty: of every one without a limit of its own."""


class Air(Wire, frozen=True, kw_only=True):
    """The air by which ppm become mg/m3, and the factor of each gas that is measured in ppm."""

    temperature_c: float
    pressure_hpa: float
    measured: tuple[str, ...] = ()
    """Which of `temperature` and `pressure` the unit measures; the rest is the basis of GBZ 2.1,
    20 degrees C and 1013.25 hPa."""
    mg_m3_per_ppm: dict[str, float] = msgspec.field(default_factory=dict)


class RelayedUnit(Wire, frozen=True, kw_only=True):
    """A unit whose records come through this one."""

    unit: str
    pending: int = 0
    """Records of it here that this center has not acknowledged."""
    t: int | None = None
    """UTC ms at which its last record came; none: not since this unit was started."""


class Status(Wire, frozen=True, kw_only=True):
    """Retained on `status`: who a unit is and how it does; the greatest (epoch, version) counts."""

    unit: str
    org: str
    name: dict[str, str]
    """Display names by language tag, `zh` and `en`."""
    profile: str
    mark: Mark
    schema: int = SCHEMA_VERSION
    software: str
    epoch: str
    version: int
    t: int
    clock: Clock
    state: str
    """`running`, `stopped`."""
    epochs: tuple[EpochStatus, ...] = ()
    pending: int = 0
    """Records on disk that this center has not acknowledged."""
    outbox: OutboxStatus | None = None
    """What is held for this center."""
    uplink: UplinkStatus | None = None
    """Of the way to this center."""
    sources: tuple[SourceStatus, ...] = ()
    cameras: tuple[CameraStatus, ...] = ()
    media_servers: tuple[MediaServerStatus, ...] = ()
    whep: WhepStatus | None = None
    """None: the unit serves nobody itself."""
    verbs: tuple[str, ...] = ()
    """Commands that this center may give."""
    limits: tuple[LimitStatus, ...] = ()
    """Of the quantities that the unit has measured."""
    unlimited: tuple[str, ...] = ()
    """Gases that the unit measures and that nothing judges, as `quantity` or, where it is only one
    sensor's, `source/quantity`: no limit is not good."""
    air: Air | None = None
    """None: no gas is measured in ppm."""
    exposure: Exposure | None = None
    """Of who carries the unit now; none where nobody does."""
    relays: tuple[RelayedUnit, ...] = ()
    """Whom this center hears of through this unit."""
    person: PersonStatus | None = None
    """Of the same person, and of what protects them."""
    neighbours: NeighbourStatus | None = None
    """None: the unit does not listen for neighbours."""
    selftest: SelftestStatus | None = None
    """The last check before use, and what is overdue now."""
    advice: Advice | None = None
    """Estimates; none where the unit knows neither wind nor exceedance."""
    division: str = ""
    """Code of the administrative division that the unit belongs to (GB/T 2260: six digits)."""
    parent: str = ""
    """The unit that this one belongs to: a kit's vehicle."""
    incident: str = ""
    """The incident that every record carries now; empty: none."""
    rates: str = ""
    """The profile by which readings become records; empty: each does."""
    messages: tuple[ShownMessage, ...] = ()
    """Shown at the unit, and not confirmed there yet."""
    tasks: tuple[Task, ...] = ()
    """Not over."""
