"""Set points: at which value an alarm is raised, and where that number comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

HYSTERESIS_SHARE = 0.1
"""Of the set point, where none is given (FIELD.md 4.5)."""

OWN_BASIS = "set for this unit"

Quantity = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[a-z][a-z0-9_]*\Z",
        description="a quantity as drivers name it (cl2, o2, combustible, wind_speed)",
    ),
]


class SetPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one quantity, in `unit`."""

    quantity: Quantity
    unit: str
    low: float | None = None
    """First alarm, rising."""
    high: float | None = None
    """Second alarm, rising."""
    deficient: float | None = None
    """First alarm, falling (oxygen)."""
    critical: float | None = None
    """Second alarm, falling."""
    hysteresis: float | None = None
    """How far back behind a set point is normal again, in `unit`."""
    basis: str = ""
    """Standard, edition and clause, or whose practice it is."""
    sure: bool = False
    """True only where a person has checked the number against the printed source."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.low is not None and self.high is not None and self.low > self.high:
            yield "low", f"expected at most high ({self.high:g}), read {self.low:g}"
        if (
            self.deficient is not None
            and self.critical is not None
            and self.deficient < self.critical
        ):
            yield (
                "deficient",
                f"expected at least critical ({self.critical:g}), read {self.deficient:g}",
            )
        if self.hysteresis is not None and self.hysteresis < 0:
            yield "hysteresis", f"expected 0 or more, read {self.hysteresis:g}"
        if (self.low, self.high, self.deficient, self.critical) == (None, None, None, None):
            yield (
                "quantity",
                f"{self.quantity!r} has no limit: give low, high, deficient or critical",
            )

    def band(self, point: float) -> float:
        """The hysteresis that holds at `point`, in `unit`."""
        return self.hysteresis if self.hysteresis is not None else HYSTERESIS_SHARE * abs(point)

    def rules(self) -> Iterator[tuple[str, float, bool]]:
        """(code, set point, rising) of each limit that is given."""
        for code, rising in (
            ("high", True),
            ("low", True),
            ("critical", False),
            ("deficient", False),
        ):
            point = getattr(self, code)
            if point is not None:
                yield code, point, rising


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit sets differently; what is not given stays as the file of limits has it."""

    quantity: Quantity
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    deficient: float | None = None
    critical: float | None = None
    hysteresis: float | None = None
    basis: str = OWN_BASIS

    def apply(self, base: SetPoint | None) -> SetPoint:
        """The set point that holds.  ValueError where units do not allow it."""
        if base is None:
            if self.unit is None:
                raise ValueError("missing; no limit of this quantity is there to take it from")
            base = SetPoint(quantity=self.quantity, unit=self.unit)
        elif self.unit is not None and self.unit != base.unit:
            raise ValueError(f"expected {base.unit!r}, the unit of the limits, read {self.unit!r}")
        given = {
            key: value
            for key in ("low", "high", "deficient", "critical", "hysteresis", "basis")
            if (value := getattr(self, key)) is not None
        }
        # Whoever checked the printed number did not check this one.
        return msgspec.structs.replace(base, **given, sure=False)
