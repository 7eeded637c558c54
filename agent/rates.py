"""Which readings become records: all, or one of a quantity in so many seconds.

Alarms, doses and the page at the unit see every reading, whatever this says.  While an alarm of a
quantity stands, and when its quality changes, each reading is a record.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agent.messages import Reading
from agent.settings.rates import RatesConfig, RatesProfile

EACH = RatesProfile(name="")
"""No profile: each reading is a record."""
SLACK = 0.02
"""A sensor that gives one reading a second is not asked for every second one by its jitter."""


class Lease(msgspec.Struct, frozen=True):
    """What one center has asked for."""

    period_s: float
    until: float
    by: str


class Rates:
    """`at` is monotonic seconds.  `stands`: whether an alarm of (source, quantity) stands."""

    def __init__(
        self,
        config: RatesConfig,
        stands: Callable[[str, str], bool],
        on_event: Callable[..., object] = lambda *_, **__: None,
        on_profile: Callable[[RatesProfile], object] = lambda _: None,
    ) -> None:
        """`on_profile`: what a profile says of links."""
        self.config = config
        self.profile = self._named(config.use)
        self._stands = stands
        self._on_event = on_event
        self._on_profile = on_profile
        self._leases: dict[tuple[str, str], Lease] = {}
        """By uplink and quantity."""
        self._last: dict[tuple[str, str], tuple[float, Reading]] = {}

    def takes(self, reading: Reading, at: float) -> bool:
        """Whether it becomes a record."""
        key = (reading.source, reading.quantity)
        last = self._last.get(key)
        period_s = self.period_s(reading.quantity)
        due = (
            not period_s
            or last is None
            or at - last[0] >= period_s * (1 - SLACK)
            or last[1].quality is not reading.quality
            or self._stands(*key)
        )
        if due:
            self._last[key] = (at, reading)
        return due

    def period_s(self, quantity: str) -> float:
        """Of the centers that have asked the densest counts; else the profile."""
        if self._leases:
            leases = self._leases.items()
            if asked := [lease.period_s for (_, name), lease in leases if name == quantity]:
                return min(asked)
        return self.profile.quantities.get(quantity, self.profile.period_s)

    def ask(self, uplink: str, quantity: str, lease: Lease) -> None:
        """ValueError: beyond the unit's limits."""
        least, most = self.config.least_s, self.config.most_s
        if not least <= lease.period_s <= most:
            raise ValueError(
                f"expected a period of {least:g} to {most:g} s, read {lease.period_s:g}"
            )
        self._leases[uplink, quantity] = lease
        self._on_event("rate", uplink, "", quantity=quantity, period_s=lease.period_s, by=lease.by)

    def give_back(self, uplink: str, quantity: str, by: str) -> None:
        """LookupError: this center has not asked for any."""
        if self._leases.pop((uplink, quantity), None) is None:
            raise LookupError(f"no rate of {quantity!r} is asked for over the uplink {uplink!r}")
        self._ended(uplink, quantity, by)

    def choose(self, name: str, by: str) -> RatesProfile:
        """Empty: the one of the configuration.  LookupError."""
        self.profile = self._named(name or self.config.use)
        self._on_profile(self.profile)
        self._on_event("profile", "rates", self.profile.name, by=by)
        return self.profile

    def tick(self, at: float) -> None:
        """Each second or so: leases end."""
        for (uplink, quantity), lease in list(self._leases.items()):
            if at >= lease.until:
                del self._leases[uplink, quantity]
                self._ended(uplink, quantity, "")

    def _ended(self, uplink: str, quantity: str, by: str) -> None:
        self._on_event(
            "rate_ended", uplink, "", quantity=quantity, period_s=self.period_s(quantity), by=by
        )

    def _named(self, name: str) -> RatesProfile:
        if not name:
            return EACH
        known = {profile.name: profile for profile in self.config.profile}
        if name not in known:
            listed = ", ".join(known) or "none"
            raise LookupError(f"there is no profile {name!r}; this unit has: {listed}")
        return known[name]
