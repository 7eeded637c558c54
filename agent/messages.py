"""The JSON on the wire, as types.  Pure: no loop, no file, no clock.

Every durable topic (`readings`, `alarms`, `events`, `media`, `ack`) carries a `Batch`; each of its
records has a number (`epoch`, `seq`) that is never given twice.  A receiver removes repeats by
(unit, epoch, seq).  Codes stand on the wire, words only on screens.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from drivers import Fix, Quality

SCHEMA_VERSION = 1
CRS = "EPSG:4326"


class Mark(StrEnum):
    """CAP 1.2's `status` words that this contract uses."""

    ACTUAL = "actual"
    EXERCISE = "exercise"
    TEST = "test"


class Clock(StrEnum):
    """Where a time comes from; `free` is an unset or lost clock."""

    GNSS = "gnss"
    NTP = "ntp"
    RTC = "rtc"
    FREE = "free"


class Class(StrEnum):
    """Classes of records, each with its own topic and its own chain of `prev`."""

    READINGS = "readings"
    ALARMS = "alarms"
    EVENTS = "events"
    MEDIA = "media"
    ACK = "ack"


class _Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class FixBody(_Wire, frozen=True, kw_only=True):
    """A position in gpsd's words; WGS-84."""

    mode: int
    crs: str = CRS
    time: str | None = None
    lat: float | None = None
    lon: float | None = None
    alt: float | None = None
    speed: float | None = None
    track: float | None = None
    heading: float | None = None
    eph: float | None = None
    eph_basis: str | None = None
    hdop: float | None = None
    n_sat: int | None = None
    n_seen: int | None = None
    status: str = "autonomous"
    flags: tuple[str, ...] = ()


class Reading(_Wire, frozen=True, kw_only=True):
    """Body of a record of class `readings`: one quantity, or one fix."""

    source: str
    """The name of the `[[source]]` in the unit's configuration."""
    quantity: str
    """`cl2`, `temperature` ...; `position` where `fix` is given."""
    value: float | None = None
    unit: str = ""
    quality: Quality
    fix: FixBody | None = None
    raw: str = ""
    full_scale: float | None = None


class AlarmState(StrEnum):
    """ISA-18.2's alarm states."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED_UNACKNOWLEDGED = "returned_unacknowledged"


class Alarm(_Wire, frozen=True, kw_only=True):
    """Body of a record of class `alarms`: one transition; also an entry of `alarms/active`."""

    alarm: str
    """Which alarm: `{source}/{quantity}/{code}`, the same until it is normal again."""
    code: str
    """`high`, `low`, `over_range`, `under_range`, `fault`, `silent`, `sos` ..."""
    rank: int
    """1 is the most urgent (FIELD: high and over-range 1, SOS 2, low 3, fault and silent 4)."""
    change: str
    """`raised`, `worsened`, `returned`, `acknowledged`, `cleared`, `stands` (in alarms/active)."""
    state: AlarmState
    source: str
    quantity: str
    limit: float | None = None
    limit_basis: str = ""
    """Where the set point comes from: profile, standard and edition."""
    reading: Reading | None = None
    """The reading that caused the transition; none where silence did."""
    fix: FixBody | None = None
    """The unit's last position."""
    delay_ms: float | None = None
    """From the first byte of the causing frame to the transition, measured in the unit."""
    since: int | None = None
    """UTC ms at which it was raised."""
    by: str = ""
    """Who acknowledged."""


class Event(_Wire, frozen=True, kw_only=True):
    """Body of a record of class `events`."""

    event: str
    """`started`, `stopping`, `source_up`, `source_down`, `command`, `clock_corrected` ..."""
    source: str = ""
    detail: str = ""
    data: dict[str, Any] = {}


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Ack(_Wire, frozen=True, kw_only=True):
    """Body of a record of class `ack`: the outcome of one command."""

    id: str
    verb: str
    outcome: Outcome
    code: str = "ok"
    """`ok`, `malformed`, `unsigned`, `bad_signature`, `unknown_verb`, `not_authorised`, `expired`,
    `wrong_mark`, `bad_arguments`, `not_found`, `unavailable`, `would_loosen` ..."""
    detail: str = ""
    by: str = ""
    result: dict[str, Any] = {}


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before a body in each record of a batch."""

    seq: int
    prev: int
    """The previous number of the same class in this epoch; 0 before the first."""
    t: int
    """UTC ms."""
    clock: Clock
    late: bool = False


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A message on a durable topic.  A record is an `Envelope` and a body in one object."""

    unit: str
    epoch: str
    mark: Mark
    records: list[msgspec.Raw]


class SourceStatus(_Wire, frozen=True, kw_only=True):
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


class CameraStatus(_Wire, frozen=True, kw_only=True):
    name: str
    state: str = "idle"
    """`idle`, `live`, `down`, `disabled`."""
    detail: str = ""


class LimitStatus(_Wire, frozen=True, kw_only=True):
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


class Air(_Wire, frozen=True, kw_only=True):
    """The air by which ppm become mg/m3, and the factor of each gas that is measured in ppm."""

    temperature_c: float
    pressure_hpa: float
    measured: tuple[str, ...] = ()
    """Which of `temperature` and `pressure` the unit measures; the rest is the basis of GBZ 2.1,
    20 degrees C and 1013.25 hPa."""
    mg_m3_per_ppm: dict[str, float] = {}


class Dose(_Wire, frozen=True, kw_only=True):
    """What one sensor says that its wearer has breathed of one gas, in `unit` unless named.

    Time that was not measured counts nothing: `stel` and `twa` are *at least* so much, and the two
    coverages say how much was measured."""

    source: str
    quantity: str
    unit: str
    stel: float
    """Mean over the last 15 minutes, at each minute's end or higher."""
    twa: float
    """Dose of this shift over 8 hours, however long the shift is: it only rises."""
    stel_limit: float | None = None
    twa_limit: float | None = None
    basis: str = ""
    """Where the two limits come from."""
    peak: float = 0.0
    peak_t: int | None = None
    """UTC ms."""
    dose: float = 0.0
    """In `unit` hours, since the shift began."""
    mean_15min: float | None = None
    """Over the time that was measured; none where nothing was."""
    mean: float | None = None
    """Of the shift, over the time that was measured."""
    coverage_15min: float = 0.0
    """Share that was measured of the last 15 minutes (or since the shift began), 0 to 1."""
    coverage: float = 0.0
    """Share that was measured of the shift."""
    over_range_s: float = 0.0
    """Seconds that were over range: they count full scale, and it was more."""


class Exposure(_Wire, frozen=True, kw_only=True):
    """The doses of one person in one shift: in `status`, in the event `exposure` of each minute,
    and in `exposure_closed` when the shift ends."""

    wearer: str = ""
    """Name; empty: nobody was assigned, and the dose is that of whoever carries the unit."""
    wearer_id: str = ""
    since: int
    """UTC ms at which the shift began."""
    until: int
    """UTC ms up to which this counts."""
    doses: tuple[Dose, ...] = ()


class Status(_Wire, frozen=True, kw_only=True):
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
    sources: tuple[SourceStatus, ...] = ()
    cameras: tuple[CameraStatus, ...] = ()
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


class Link(_Wire, frozen=True, kw_only=True):
    """Retained on `link/{path}`; the will of that path says `lost`."""

    unit: str
    path: str
    """The name of the `[[uplink]]`."""
    mark: Mark
    state: str
    """`up`, `lost`, `closed`."""
    epoch: str
    version: int = 0
    t: int = 0


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """On `skipped`: numbers that exist and do not come to this center, so that they are no gap."""

    unit: str
    epoch: str
    mark: Mark
    reason: str
    """`class`, `quantity`: this center takes none of them; `retention`: the unit does not hold them
    any more; `size`: larger than this broker takes."""
    ranges: tuple[tuple[int, int], ...]
    """First and last number, both included, in order."""


class ActiveAlarms(_Wire, frozen=True, kw_only=True):
    """Retained on `alarms/active`."""

    unit: str
    mark: Mark
    epoch: str
    version: int
    t: int
    alarms: tuple[Alarm, ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """On `cmd/{verb}`."""

    id: str
    by: str
    issued: int
    """UTC ms."""
    mark: Mark = Mark.ACTUAL
    expires: int | None = None
    """UTC ms; without it the command is refused 60 s after `issued`."""
    args: dict[str, Any] = {}
    sig: str = ""
    """Ed25519 over the lines of agent/README.md, base64; needed where the uplink has `signers`."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """On `rtc/{session}/offer`."""

    by: str
    issued: int
    mark: Mark = Mark.ACTUAL
    camera: str = ""
    """Empty: the unit's first camera."""
    sdp: str
    sig: str = ""
    """As of a command."""


class Answer(_Wire, frozen=True, kw_only=True):
    """On `rtc/{session}/answer`: an answer, or the reason why there is none."""

    sdp: str = ""
    code: str = "ok"
    """`ok`, `unavailable`, `not_found`, `refused`, `expired`, `malformed`, `unsigned` ..."""
    detail: str = ""


class Still(_Wire, frozen=True, kw_only=True):
    """On `still/{camera}`, QoS 0, not retained: a picture where no video path exists."""

    unit: str
    mark: Mark
    camera: str
    t: int
    jpeg: str
    """base64 (RFC 4648, section 4)."""


def join_record(envelope: Envelope, body: bytes) -> bytes:
    """One record: the envelope's members, then the body's (a JSON object as bytes)."""
    head = msgspec.json.encode(envelope)
    return head if body == b"{}" else head[:-1] + b"," + body[1:]


def fix_body(fix: Fix) -> FixBody:
    """The wire's form of a fix (what only the agent needs is left out)."""
    names = (name for name in FixBody.__struct_fields__ if name != "crs")
    return FixBody(**{name: getattr(fix, name) for name in names})


def epoch_order(epoch: str) -> int:
    """The number by which epochs of one unit are ordered.  ValueError: no epoch."""
    head, _, tail = epoch.partition("-")
    if not head.isdigit() or not tail:
        raise ValueError(f"an epoch is '{{UTC ms}}-{{random}}', but read {epoch!r}")
    return int(head)
