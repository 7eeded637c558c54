"""Which time it is, and how sure that is.

A record keeps the time of its making and CLOCK_BOOTTIME, which goes on through suspend and is
never set: what was made before GNSS or NTP gave the time gets its right `t` when it is sent.
"""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path

from agent.messages import Clock

BUILT_MS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
"""No true time is before this: a clock that says so was never set."""

STEP_MS = 2000
"""A GNSS time this far from the system's is believed in place of a clock that nothing has set."""

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    # struct timex of <sys/timex.h> on Linux, 64 and 32 bit alike in these members.
    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 192),
    )  # fmt: skip


def boottime_ms() -> int:
    """CLOCK_BOOTTIME in ms."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def boottime_s() -> float:
    """The same in seconds: it goes on through a restart of the agent and through suspend."""
    return boottime_ms() / 1000


def boot_id() -> str:
    """The kernel's name for this boot; CLOCK_BOOTTIME of another boot says nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def system_is_synchronised() -> bool:
    """What adjtimex(2) says: NTP or PTP disciplines the system's clock."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        state = _Timex()
        result = libc.adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return False
    return result not in (-1, _TIME_ERROR) and not state.status & _STA_UNSYNC


class UnitClock:
    """The unit's time: NTP, else GNSS, else what the battery-backed clock says, else free."""

    def __init__(self) -> None:
        self.boot = boot_id()
        self._synchronised = system_is_synchronised()
        self._gnss_offset_ms: int | None = None
        """UTC minus CLOCK_BOOTTIME by the last GNSS time, where the system's clock is wrong."""
        self._gnss_seen = False

    def check(self) -> None:
        """Ask the system again (each few seconds: NTP may have come or gone)."""
        self._synchronised = system_is_synchronised()

    def gnss(self, time_iso: str, delay_s: float) -> None:
        """A fix says UTC was `time_iso` about `delay_s` ago."""
        utc = datetime.fromisoformat(time_iso)
        utc_ms = round(utc.timestamp() * 1000 + delay_s * 1000)
        if utc_ms < BUILT_MS:
            return
        self._gnss_seen = True
        wrong = abs(utc_ms - _system_ms()) > STEP_MS
        self._gnss_offset_ms = utc_ms - boottime_ms() if wrong else None

    @property
    def source(self) -> Clock:
        if self._synchronised:
            return Clock.NTP
        if self._gnss_seen:
            return Clock.GNSS
        return Clock.RTC if _system_ms() >= BUILT_MS else Clock.FREE

    def now_ms(self) -> int:
        """UTC ms by the best clock there is."""
        if not self._synchronised and self._gnss_offset_ms is not None:
            return boottime_ms() + self._gnss_offset_ms
        return _system_ms()

    def restamp(self, t: int, clock: str, mono: int, boot: str) -> tuple[int, Clock]:
        """The time to send for a record: its own, or the right one where it was made with a clock
        that nothing had set, in this boot, and the time is known now."""
        made_by = Clock(clock)
        if made_by in (Clock.FREE, Clock.RTC) and boot and boot == self.boot:
            if (best := self.source) in (Clock.GNSS, Clock.NTP):
                return self.now_ms() - (boottime_ms() - mono), best
        return t, made_by


def _system_ms() -> int:
    return time.time_ns() // 1_000_000
