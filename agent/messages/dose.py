"""What the wearer has breathed."""

from __future__ import annotations

from agent.messages.base import Wire


class Dose(Wire, frozen=True, kw_only=True):
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


class Exposure(Wire, frozen=True, kw_only=True):
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
