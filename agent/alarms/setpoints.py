"""Set points: at which value an alarm is raised, and where that number comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

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


LIMITS = ("low", "high", "deficient", "critical", "stel", "twa")
EXPOSURE = ("stel", "twa")


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
    stel: float | None = None
    """Short-term exposure limit: mean of any 15 minutes."""
    twa: float | None = None
    """Mean of a working day: dose over 8 hours, whatever the length of the shift."""
    hysteresis: float | None = None
    """How far back behind a set point is normal again, in `unit`."""
    basis: str = ""
    """Standard, edition and clause, or whose practice it is."""
    exposure_basis: str = ""
    """The same for `stel` and `twa`."""
    mg_m3: dict[str, float] = {}
    """By limit: the figure of the standard where that is in mg/m3; the limit is derived from it."""
    sure: bool = False
    """True only where a person has checked the number against the printed source."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for name in self.mg_m3:
            if name not in LIMITS:
                yield "mg_m3", f"expected limits ({', '.join(LIMITS)}), read {name!r}"
        for name in EXPOSURE:
            if (limit := getattr(self, name)) is not None and limit <= 0:
                yield name, f"expected more than 0, read {limit:g}"
        if self.stel is not None and self.twa is not None and self.twa > self.stel:
            yield "twa", f"expected at most stel ({self.stel:g}), read {self.twa:g}"
        if (self.stel, self.twa) != (None, None) and not self.exposure_basis:
            yield "exposure_basis", "missing: where do stel and twa come from?"
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
        if all(getattr(self, name) is None for name in LIMITS):
            yield (
                "quantity",
                f"{self.quantity!r} has no limit: give low, high, deficient, critical, stel or twa",
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
    source: str = ""
    """Only for this `[[source]]`; empty: for all of the unit."""
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    deficient: float | None = None
    critical: float | None = None
    stel: float | None = None
    twa: float | None = None
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
        given: dict[str, Any] = {
            key: value
            for key in (*LIMITS, "hysteresis")
            if (value := getattr(self, key)) is not None
        }
        # Each of the two says where its own numbers come from, and only where one was given.
        if given.keys() - set(EXPOSURE):
            given["basis"] = self.basis
        if given.keys() & set(EXPOSURE):
            given["exposure_basis"] = self.basis
        given["mg_m3"] = {k: v for k, v in base.mg_m3.items() if k not in given}
        # Whoever checked the printed number did not check this one.
        return msgspec.structs.replace(base, **given, sure=False)

    def changes(self, base: SetPoint | None) -> dict[str, tuple[float | None, float | None]]:
        """By limit: what it was and what it is, of what this changes."""
        return {
            key: (getattr(base, key, None), value)
            for key in (*LIMITS, "hysteresis")
            if (value := getattr(self, key)) is not None and value != getattr(base, key, None)
        }
