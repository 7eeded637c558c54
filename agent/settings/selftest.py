"""The table `[person.selftest]`: the check before use.  config/person.toml is its manual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from agent.settings.evidence import GASES

Days = Annotated[float, msgspec.Meta(ge=0, le=3650, description="0 (never asked for) to 3650 days")]
Share = Annotated[float, msgspec.Meta(ge=0.1, le=1, description="0.1 to 1")]
Seconds = Annotated[float, msgspec.Meta(ge=5, le=900, description="5 to 900 seconds")]
Hours = Annotated[float, msgspec.Meta(gt=0, le=8760, description="above 0, up to 8760 hours")]


class SelftestConfig(msgspec.Struct, frozen=True, kw_only=True):
    bump_days: Days = 1.0
    on_overdue: Literal["warn", "lock"] = "warn"
    bump_response: Share = 0.5
    bump_s: Seconds = 90.0
    valid_h: Hours = 24.0
    zero: dict[str, float] = {}
    key_file: str = ""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for quantity, tolerance in self.zero.items():
            if quantity not in GASES:
                yield "zero", f"there is no gas {quantity!r}"
            if not tolerance > 0:
                yield "zero", f"expected more than 0 for {quantity!r}, read {tolerance:g}"
