"""The tables `[rates]`: how densely readings become records.  config/kit.toml is their manual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from agent import topics

Period = Annotated[float, msgspec.Meta(ge=0, le=3600, description="0 (each) to 3600 seconds")]
Name = Annotated[
    str,
    msgspec.Meta(pattern=topics.SLUG.pattern, description="1 to 63 of a-z, 0-9 and inner hyphens"),
]
_NOT_NEGATIVE = msgspec.Meta(ge=0, description="0 or more; 0: no limit")


class RatesProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A `[[rates.profile]]`."""

    name: Name
    period_s: Period = 0.0
    quantities: dict[str, Period] = {}
    """In place of `period_s`."""
    rate_kbit_s: Annotated[float, _NOT_NEGATIVE] | None = None
    """Of every uplink; None: as the uplink has it."""
    budget_mb_per_day: Annotated[float, _NOT_NEGATIVE] | None = None


class RatesConfig(msgspec.Struct, frozen=True, kw_only=True):
    profile: tuple[RatesProfile, ...] = ()
    use: str = ""
    """The profile after a start; empty: each reading is a record."""
    least_s: Period = 0.0
    """A center may ask for no more than a record in so long,"""
    most_s: Period = 60.0
    """and for no less."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        names = [profile.name for profile in self.profile]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield "profile", f"{name!r} is the name of two profiles"
        if self.use and self.use not in names:
            yield "use", f"there is no profile {self.use!r}"
        if self.least_s > self.most_s:
            yield "least_s", f"expected at most most_s ({self.most_s:g}), read {self.least_s:g}"
