"""The tables `[person...]`: the responder who carries a unit, or sits in it.  config/person.toml is
their manual.

What is left out and has no default of its own depends on the unit's profile (`ON_BY_PROFILE`): a
soldier's kit watches its wearer, a vehicle has a driving mode, nobody stands beside a monitor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from agent import topics
from agent.settings.selftest import SelftestConfig

Slug = Annotated[
    str,
    msgspec.Meta(pattern=topics.SLUG.pattern, description="1 to 63 of a-z, 0-9 and inner hyphens"),
]
Positive = Annotated[float, msgspec.Meta(gt=0, description="a number above 0")]
Waiting = Annotated[float, msgspec.Meta(ge=1, le=86400, description="1 to 86400 seconds")]
Interval = Annotated[float, msgspec.Meta(ge=0, le=86400, description="0 (never) to 86400 seconds")]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100, description="0 to 100 %")]
Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180, description="degrees, WGS-84")]
Metres = Annotated[float, msgspec.Meta(gt=0, le=100_000, description="above 0, up to 100000 m")]

CORNERS_MAX = 200
CHECK_IN_S = 1800.0
STILL_S = 60.0
STILL_BY_TRACK_S = 180.0
"""A position says less of motion than an accelerometer does: who works on one spot stands still."""


class SosConfig(msgspec.Struct, frozen=True, kw_only=True):
    silent: bool = False
    """No sound and no lamp at the unit for any call by its button."""
    unconfirmed_s: Waiting = 60.0
    repeat_s: Waiting = 60.0
    cancel_codes: dict[str, str] = msgspec.field(
        default_factory=lambda: {"1": "mistake", "2": "safe", "3": "test"}
    )

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for code, reason in self.cancel_codes.items():
            if not (1 <= len(code) <= 6 and code.isdecimal() and "0" not in code):
                yield "cancel_codes", f"expected 1 to 6 digits of 1 to 9 as a code, read {code!r}"
            if not 1 <= len(reason) <= 64:
                yield "cancel_codes", f"expected a reason of 1 to 64 characters, read {reason!r}"


class NoMotionConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool | None = None
    source: str = ""
    """The `[[source]]` of an inertial sensor; empty: the positions of whatever gives them."""
    quantity: str = ""
    moves_by: Positive = 1.0
    radius_m: Metres = 5.0
    still_s: Waiting | None = None
    prealarm_s: Waiting = 30.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if bool(self.source) != bool(self.quantity):
            missing = "quantity" if self.source else "source"
            yield missing, "missing: source and quantity are given together"


class CheckInConfig(msgspec.Struct, frozen=True, kw_only=True):
    interval_s: Interval | None = None
    grace_s: Waiting = 60.0


class ZoneConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A circle or a polygon."""

    id: Slug
    name: dict[str, str] = {}
    kind: Literal["hot", "warm", "cold"]
    center: tuple[Degrees, ...] | None = None
    """lat, lon."""
    radius_m: Metres | None = None
    polygon: tuple[tuple[Degrees, ...], ...] | None = None
    """Corners: [lat, lon]."""
    alarm: Literal["enter", "leave", "none"] | None = None

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if (self.center is None) == (self.polygon is None):
            yield "center", "expected either center and radius_m, or polygon"
        elif self.center is not None:
            if (sentence := _place(self.center)) is not None:
                yield "center", sentence
            if self.radius_m is None:
                yield "radius_m", "missing, center is given"
        elif self.polygon is not None:
            if self.radius_m is not None:
                yield "radius_m", "only with center, not with polygon"
            if not 3 <= len(self.polygon) <= CORNERS_MAX:
                yield (
                    "polygon",
                    f"expected 3 to {CORNERS_MAX} corners, read {len(self.polygon)}",
                )
            for corner in self.polygon:
                if (sentence := _place(corner)) is not None:
                    yield "polygon", sentence
                    break

    @property
    def alarms_on(self) -> str:
        """What is an alarm: `enter`, `leave` or `none`."""
        return self.alarm or ("none" if self.kind == "cold" else "enter")


def _place(pair: tuple[float, ...]) -> str | None:
    if len(pair) != 2 or not -90 <= pair[0] <= 90:
        return f"expected [latitude, longitude] in degrees, read {list(pair)}"
    return None


class PositionConfig(msgspec.Struct, frozen=True, kw_only=True):
    required: bool | None = None
    lost_s: Waiting = 30.0


class BatteryConfig(msgspec.Struct, frozen=True, kw_only=True):
    low: Percent = 20.0
    critical: Percent = 10.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.critical > self.low:
            yield "critical", f"expected at most low ({self.low:g}), read {self.critical:g}"


class DrivingConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool | None = None
    speed_m_s: Positive = 3.0


Language = Literal["zh", "en"]


class SpeechConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    languages: tuple[Language, ...] = ("zh", "en")
    device: str = ""
    program: str = "espeak-ng"
    folder: str = ""
    words_a_minute: Annotated[int, msgspec.Meta(ge=80, le=400, description="80 to 400")] = 170

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if not self.languages:
            yield "languages", "expected zh, en or both, read none"
        if self.device and self.folder:
            yield "folder", "only without device: it is written or heard, not both"


class PersonConfig(msgspec.Struct, frozen=True, kw_only=True):
    required: tuple[str, ...] = ()
    """Sources without which nobody is protected; empty: all that measure a gas."""
    sos: SosConfig = SosConfig()
    no_motion: NoMotionConfig = NoMotionConfig()
    check_in: CheckInConfig = CheckInConfig()
    zone: tuple[ZoneConfig, ...] = ()
    position: PositionConfig = PositionConfig()
    battery: BatteryConfig = BatteryConfig()
    driving: DrivingConfig = DrivingConfig()
    speech: SpeechConfig = SpeechConfig()
    selftest: SelftestConfig = SelftestConfig()
    mast: tuple[Degrees, ...] | None = None
    """lat, lon of where the wind is measured; none: at the unit."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.mast is not None and (sentence := _place(self.mast)) is not None:
            yield "mast", sentence
        seen: set[str] = set()
        for zone in self.zone:
            if zone.id in seen:
                yield "zone", f"{zone.id!r} is the id of two zones"
            seen.add(zone.id)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force: the configuration with what the profile decides."""

    watches_motion: bool
    still_s: float
    check_in_s: float
    """0: never."""
    position: Literal["always", "once had", "never"]
    """From when on a position is required."""
    drives: bool


def rules(config: PersonConfig, profile: str) -> Rules:
    """`profile`: `vehicle`, `soldier`, `monitor`, `laptop`."""
    motion, worn = config.no_motion, profile == "soldier"
    by_track = STILL_S if motion.source else STILL_BY_TRACK_S
    asked = config.position.required
    mobile = profile in ("soldier", "vehicle")
    interval_s = config.check_in.interval_s
    return Rules(
        watches_motion=worn if motion.enabled is None else motion.enabled,
        still_s=by_track if motion.still_s is None else motion.still_s,
        check_in_s=(CHECK_IN_S if worn else 0.0) if interval_s is None else interval_s,
        position="always" if asked else "once had" if asked is None and mobile else "never",
        drives=profile == "vehicle" if config.driving.enabled is None else config.driving.enabled,
    )
