"""One alarm's life, in ISA-18.2's states.  Pure functions of (standing, condition, time).

An alarm whose rule latches stays until a person has acknowledged it *and* its cause is gone;
another goes by itself with its cause.  Acknowledging never removes an alarm whose cause stands.
"""

from __future__ import annotations

import msgspec

from agent.messages import Alarm, AlarmState, FixBody, Reading

RANK_HIGHEST = 1
RANKS = {
    "high": 1, "critical": 1, "over_range": 1, "sos": 2, "low": 3, "deficient": 1,
    "under_range": 4, "fault": 4, "silent": 4, "stel": 3, "twa": 3, "coverage": 5,
    "lel_invalid": 3, "bus": 4, "frozen": 4, "disk": 5, "clock_stopped": 5, "clock_unset": 5,
    "sos_silent": 2, "no_motion": 2, "check_in": 2, "zone_hot": 3, "zone_outside": 3,
    "not_recording": 5, "zone_warm": 4, "position_lost": 4, "battery_critical": 4, "battery": 5,
}  # fmt: skip
"""Priority by code, 1 the most urgent: high and over-range, SOS and a person down, low, fault,
battery (FIELD.md 4.5).  Too little oxygen is ranked with the high alarms: the wearer may have
minutes.  A mean over its limit asks to leave, not to run: with low.  Who does not check in may not
be able to."""

LATCHING = frozenset({
    "high", "critical", "over_range", "sos", "sos_silent", "no_motion", "check_in", "stel", "twa",
})  # fmt: skip

HEARD_BY_NEIGHBOURS = frozenset({"high", "critical", "over_range", "sos", "no_motion"})
"""The only codes that sound at the units nearby.  A silent call for help is none of them: it must
not be heard beside the one who made it."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why an alarm's condition holds or has gone."""

    source: str
    quantity: str
    code: str
    t: int
    """UTC ms."""
    limit: float | None = None
    limit_basis: str = ""
    reading: Reading | None = None
    fix: FixBody | None = None
    delay_ms: float | None = None

    @property
    def alarm(self) -> str:
        return f"{self.source}/{self.quantity}/{self.code}"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that is not normal."""

    message: Alarm
    """Its last transition."""
    present: bool
    """Whether its cause holds."""
    seen: float | None = None
    """The value that a person acknowledged."""


def raise_(cause: Cause) -> Standing:
    """From normal to unacknowledged."""
    message = Alarm(
        alarm=cause.alarm, code=cause.code, rank=RANKS[cause.code], change="raised",
        state=AlarmState.UNACKNOWLEDGED, source=cause.source, quantity=cause.quantity,
        limit=cause.limit, limit_basis=cause.limit_basis, reading=cause.reading, fix=cause.fix,
        delay_ms=cause.delay_ms, since=cause.t,
    )  # fmt: skip
    return Standing(message=message, present=True)


def again(standing: Standing, cause: Cause) -> Standing | None:
    """The cause holds: news only where it had gone (it sounds again)."""
    if standing.present:
        return None
    message = msgspec.structs.replace(
        standing.message, change="raised", state=AlarmState.UNACKNOWLEDGED, reading=cause.reading,
        fix=cause.fix, delay_ms=cause.delay_ms, by="",
    )  # fmt: skip
    return Standing(message=message, present=True)


def repeated(standing: Standing, t: int, fix: FixBody | None) -> Standing:
    """Nobody has answered: it is raised again though it stands, and sounds again."""
    message = msgspec.structs.replace(
        standing.message, change="raised", state=AlarmState.UNACKNOWLEDGED, fix=fix, delay_ms=None,
        by="", since=standing.message.since or t,
    )  # fmt: skip
    return Standing(message=message, present=True)


def worsened(standing: Standing, cause: Cause) -> Standing:
    """What a person has acknowledged is much worse now: it sounds again."""
    message = msgspec.structs.replace(
        standing.message, change="worsened", state=AlarmState.UNACKNOWLEDGED,
        reading=cause.reading, fix=cause.fix, delay_ms=cause.delay_ms, by="",
    )  # fmt: skip
    return Standing(message=message, present=True)


def gone(standing: Standing, cause: Cause) -> Standing | None:
    """The cause has gone: returned (and standing still), or cleared; None where nothing changes."""
    if not standing.present:
        return None
    latches = standing.message.code in LATCHING
    acknowledged = standing.message.state is AlarmState.ACKNOWLEDGED
    cleared = acknowledged or not latches
    message = msgspec.structs.replace(
        standing.message,
        change="cleared" if cleared else "returned",
        state=AlarmState.NORMAL if cleared else AlarmState.RETURNED_UNACKNOWLEDGED,
        reading=cause.reading, delay_ms=cause.delay_ms, fix=cause.fix,
    )  # fmt: skip
    return Standing(message=message, present=False)


def acknowledge(standing: Standing, by: str, value: float | None = None) -> Standing | None:
    """A person has seen it, at this value; None where it was acknowledged before."""
    state = standing.message.state
    if state is AlarmState.ACKNOWLEDGED:
        return None
    message = msgspec.structs.replace(
        standing.message,
        change="acknowledged" if standing.present else "cleared",
        state=AlarmState.ACKNOWLEDGED if standing.present else AlarmState.NORMAL,
        by=by, delay_ms=None,
    )  # fmt: skip
    return Standing(message=message, present=standing.present, seen=value)
