"""Every MQTT topic of the contract, built and parsed here and nowhere else.  Pure.

Root `outpost/v1/{org}/{unit}`; drills have a root of their own, `outpost-exercise/v1/{org}/{unit}`
with unit ids that begin `ex-`, so that an exercise can never be taken for, or overwrite, the real.
"""

from __future__ import annotations

import re

import msgspec

ROOT = "outpost/v1"
ROOT_EXERCISE = "outpost-exercise/v1"
EXERCISE_PREFIX = "ex-"
ALL_UNITS = "all"
DRILL = "drill"
"""In place of a unit, in the exercise root only: what the drill's director says and hears."""

SLUG = re.compile(r"\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


class Topic(msgspec.Struct, frozen=True):
    """A topic, taken apart."""

    exercise: bool
    org: str
    unit: str
    """A unit's slug, or `all`, or `drill`."""
    path: tuple[str, ...]
    """What follows the unit: `("readings",)`, `("cmd", "resend")`, `("rtc", session, "offer")`."""


def is_slug(text: str) -> bool:
    """Lower-case letters, digits and inner hyphens, 1 to 63 of them (a DNS label)."""
    return SLUG.match(text) is not None


def unit_root(org: str, unit: str, *, exercise: bool) -> str:
    """`outpost/v1/{org}/{unit}`.  ValueError where org or unit is no slug, or where an exercise
    unit's id does not begin `ex-` (or a real one's does)."""
    for word, text in (("org", org), ("unit", unit)):
        if not is_slug(text):
            raise ValueError(
                f"{word} must be 1 to 63 of a-z, 0-9 and inner hyphens, but is {text!r}"
            )
    if unit not in (ALL_UNITS, DRILL) and unit.startswith(EXERCISE_PREFIX) != exercise:
        kind = "an exercise unit's id begins" if exercise else "only an exercise unit's id begins"
        raise ValueError(f"{kind} {EXERCISE_PREFIX!r}, but the unit is {unit!r}")
    return f"{ROOT_EXERCISE if exercise else ROOT}/{org}/{unit}"


def parse(topic: str) -> Topic:
    """Take a topic apart.  ValueError names what was read and what was expected."""
    words = topic.split("/")
    if len(words) < 5 or words[1] != "v1" or words[0] not in ("outpost", "outpost-exercise"):
        raise ValueError(
            "expected outpost/v1/{org}/{unit}/... or outpost-exercise/v1/..., "
            f"but read {topic!r}"
        )
    if not is_slug(words[2]) or not is_slug(words[3]) or not all(words[4:]):
        raise ValueError(f"org and unit must be slugs and no level empty, but read {topic!r}")
    return Topic(words[0] == "outpost-exercise", words[2], words[3], tuple(words[4:]))


def command_level(verb: str) -> str:
    """The level that names a verb after `cmd/`: `alarm-ack` for `alarm.ack`.  Some brokers carry no
    point in a topic; all carry a hyphen, which no verb has."""
    return verb.replace(".", "-")


def verb_of(level: str) -> str:
    """The verb that a level after `cmd/` names, in either form."""
    return level.replace("-", ".")


def command_filters(org: str, unit: str, *, exercise: bool) -> list[str]:
    """What a unit subscribes to: commands and WebRTC offers for itself, commands for all."""
    own = unit_root(org, unit, exercise=exercise)
    everyone = unit_root(org, ALL_UNITS, exercise=exercise)
    return [f"{own}/cmd/+", f"{everyone}/cmd/+", f"{own}/rtc/+/offer", f"{own}/rtc/+/close"]
