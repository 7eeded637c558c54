"""A clock that nobody set, or that has stopped.  Pure: both times are given."""

from __future__ import annotations

UNSET_AFTER_S = 60.0
"""After the start GNSS and NTP get so long to give the time."""
LOOK_EACH_S = 10.0
STOPPED_SHARE = 0.5
"""A clock that goes slower than this share of time has stopped."""
CODES = ("clock_stopped", "clock_unset")


class Timekeeping:
    """Compares UTC with a clock that is never set (CLOCK_BOOTTIME)."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._looked: tuple[float, int] | None = None
        self._stopped = False

    def holding(self, boot_s: float, utc_ms: int, *, unset: bool) -> frozenset[str]:
        """The codes that hold now.  `unset`: nothing has given the time."""
        if self._began_s is None:
            self._began_s = boot_s
        if self._looked is None:
            self._looked = (boot_s, utc_ms)
        passed_s = boot_s - self._looked[0]
        if passed_s >= LOOK_EACH_S:
            went_s = (utc_ms - self._looked[1]) / 1000
            # One that was set back goes on all the same.
            self._stopped = 0 <= went_s < STOPPED_SHARE * passed_s
            self._looked = (boot_s, utc_ms)
        held: set[str] = set()
        if self._stopped:
            held.add("clock_stopped")
        if unset and boot_s - self._began_s >= UNSET_AFTER_S:
            held.add("clock_unset")
        return frozenset(held)
