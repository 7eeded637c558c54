"""What every message is made of: the mark, the clock, the class of a record."""

from __future__ import annotations

from enum import StrEnum

import msgspec

SCHEMA_VERSION = 1


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


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message or a body: a member that has its default is left out."""
