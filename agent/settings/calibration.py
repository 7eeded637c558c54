"""When a sensor is due for calibration, and what its values are worth after that.  Pure.

FIELD.md 2.6: gas sensors each 180 days (the verification rules of JJG say a year at most); overdue,
a value still raises alarms, and says of itself `cal_due`.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from agent.settings.evidence import GASES
from drivers import Fix, Quality, Sample

DAY = dt.timedelta(days=1)
EPOCH = dt.date(1970, 1, 1)


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Of one sensor, as its `[[source]]` says."""

    calibrated: dt.date | None = None
    days: float = 180.0

    @property
    def due(self) -> dt.date | None:
        """The first day on which it counts as overdue; None where no calibration is known."""
        if self.calibrated is None:
            return None
        try:
            return self.calibrated + dt.timedelta(days=self.days)
        except OverflowError:
            return dt.date.max

    def is_due(self, now_ms: int) -> bool:
        """At UTC `now_ms`.  A calibration that is still to come is a slip of the pen: due."""
        today = EPOCH + dt.timedelta(milliseconds=now_ms)
        if self.calibrated is None or self.due is None:
            return False
        return today >= self.due or self.calibrated > today + DAY

    def judged(self, found: Sample | Fix, now_ms: int) -> Sample | Fix:
        """`found`, with `cal_due` in place of `good` where it is a gas and the sensor is due.
        `now_ms` before any true time (an unset clock) must not be given."""
        if (
            isinstance(found, Sample)
            and found.quality is Quality.GOOD
            and found.quantity in GASES
            and self.is_due(now_ms)
        ):
            return msgspec.structs.replace(found, quality=Quality.CAL_DUE)
        return found
