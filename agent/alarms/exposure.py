"""What a person has breathed: 15-minute and 8-hour means, peak and dose, as instruments compute
them (FIELD.md 4.4).  Pure: `at` is seconds on any axis that goes on through a restart, `t` UTC ms.

A value holds until the next one, but no longer than its source may be silent.  Negative values
count 0, over range counts full scale.  Warm-up, fault and silence count nothing and are not
covered: a mean over 15 minutes or 8 hours is then *at least* so much, and low coverage is a warning
of its own.  A handover closes the dose; nobody inherits one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from agent.alarms import dose
from agent.alarms.dose import BIN_S, Account
from agent.alarms.setpoints import HYSTERESIS_SHARE, SetPoint
from agent.alarms.standing import Cause
from agent.messages import Dose, Exposure, Reading
from agent.settings.evidence import GASES
from drivers import Quality

CODES = ("coverage", "stel", "twa")
ENOUGH = 0.75
"""Share of the time that must be measured; below it what is told is a poor lower bound."""
ENOUGH_AGAIN = 0.8
JUDGED_AFTER_S = 900.0
"""A shift is judged by its coverage when so much of it has passed."""
PUBLISHED_DIGITS = 6
HOLD_S = 10.0
"""Where nothing is known of a source."""

Point = Callable[[str, str], SetPoint | None]
"""The set point of (source, quantity)."""


class Wearer(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""
    id: str = ""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """All that must survive a power cut."""

    wearer: Wearer
    at: float
    """When it was saved; all other times are on the same axis."""
    start: float
    since: int
    edge: float
    accounts: dict[str, dict[str, Account]]
    """By source and quantity."""


class Shift:
    """The doses of one wearer, from assignment to handover."""

    def __init__(
        self,
        wearer: Wearer,
        at: float,
        t: int,
        point: Point,
        hold_s: Mapping[str, float],
    ) -> None:
        self.wearer = wearer
        self.start = at
        self.since = t
        """UTC ms."""
        self._point = point
        self._hold_s = hold_s
        self._edge = at + BIN_S
        """When the minute that is being filled ends; the same for all."""
        self._accounts: dict[tuple[str, str], Account] = {}

    # -- what comes in ---------------------------------------------------------------------

    def reading(self, reading: Reading, at: float, t: int) -> list[tuple[Cause, bool]]:
        """(cause, whether it holds) of what has changed.  What is no dose changes nothing."""
        if not _is_dose(reading, self._point(reading.source, reading.quantity)):
            return []
        changes = self.tick(at, t)
        key = (reading.source, reading.quantity)
        account = self._accounts.get(key)
        if account is not None and account.unit != reading.unit:
            return changes
        if account is None:
            account = self._accounts[key] = Account(unit=reading.unit, upto=max(at, self.start))
        account.take(
            self._worth(reading),
            at,
            t,
            hold_s=self._hold_s.get(reading.source, HOLD_S),
            over_range=reading.quality is Quality.OVER_RANGE,
        )
        return changes + list(self._judge(key, account, at, t))

    def tick(self, at: float, t: int) -> list[tuple[Cause, bool]]:
        """Time has passed; what has changed at the minutes' ends up to `at`."""
        ended = False
        while at >= self._edge:
            if at - self._edge > (dose.BINS + 2) * BIN_S and not self._is_held():
                skipped = int((at - self._edge) // BIN_S)
                for account in self._accounts.values():
                    account.skip()
                self._edge += skipped * BIN_S
            for account in self._accounts.values():
                account.close_bin(self._edge)
            self._edge += BIN_S
            ended = True
        if not ended:
            return []
        return [
            change
            for key, account in self._accounts.items()
            for change in self._judge(key, account, at, t)
        ]

    def next_tick(self) -> float:
        """When the present minute ends."""
        return self._edge

    def _is_held(self) -> bool:
        return any(account.until > account.upto for account in self._accounts.values())

    def _worth(self, reading: Reading) -> float | None:
        """What a reading counts; None: nothing was measured."""
        if reading.quality is Quality.OVER_RANGE:
            point = self._point(reading.source, reading.quantity)
            high = None if point is None else point.high
            known = map(dose.counted, (reading.full_scale, reading.value, high))
            return next((value for value in known if value is not None), None)
        if reading.quality in (Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED):
            return dose.counted(reading.value)
        return None

    # -- what it says ----------------------------------------------------------------------

    def _judge(
        self, key: tuple[str, str], account: Account, at: float, t: int
    ) -> Iterator[tuple[Cause, bool]]:
        point = self._point(*key)
        holds = self._holding(account, point, at)
        for code in sorted(holds ^ account.holding):
            value = {"stel": account.stel, "twa": account.twa}.get(code)
            limit = None if point is None else getattr(point, code, None)
            cause = Cause(
                source=key[0], quantity=key[1], code=code, t=t, limit=limit,
                limit_basis="" if limit is None or point is None else point.exposure_basis,
                reading=None if value is None else Reading(
                    source=key[0], quantity=key[1], value=_round(value), unit=account.unit,
                    quality=Quality.GOOD,
                ),
            )  # fmt: skip
            yield cause, code in holds
        account.holding = holds

    def _holding(self, account: Account, point: SetPoint | None, at: float) -> frozenset[str]:
        if point is None or point.unit != account.unit or (point.stel, point.twa) == (None, None):
            return frozenset()
        holds: set[str] = set()
        for code, value, limit in (
            ("stel", account.stel, point.stel),
            ("twa", account.twa, point.twa),
        ):
            if limit is not None:
                back = HYSTERESIS_SHARE * limit if code in account.holding else 0.0
                if value >= limit - back:
                    holds.add(code)
        enough = ENOUGH_AGAIN if "coverage" in account.holding else ENOUGH
        if at - self.start >= JUDGED_AFTER_S:
            if min(self._coverages(account, at)) < enough:
                holds.add("coverage")
        return frozenset(holds)

    def _coverages(self, account: Account, at: float) -> tuple[float, float]:
        """Of the last 15 minutes and of the shift, 0 to 1."""
        passed = max(at - self.start, 1e-9)
        window = min(passed, dose.BINS * BIN_S + account.upto - (self._edge - BIN_S))
        recent = account.covered_15min_s / max(window, 1e-9)
        return min(1.0, recent), min(1.0, account.covered_s / passed)

    def report(self, at: float, t: int) -> Exposure:
        """For the center; `tick` first."""
        doses: list[Dose] = []
        for (source, quantity), account in self._accounts.items():
            account.advance(at)
            point = self._point(source, quantity)
            known = point is not None and point.unit == account.unit
            recent, whole = self._coverages(account, at)
            doses.append(
                Dose(
                    source=source, quantity=quantity, unit=account.unit, stel=_round(account.stel),
                    twa=_round(account.twa),
                    stel_limit=point.stel if point is not None and known else None,
                    twa_limit=point.twa if point is not None and known else None,
                    basis=point.exposure_basis if point is not None and known else "",
                    peak=_round(account.peak), peak_t=account.peak_t,
                    dose=_round(account.dose / 3600),
                    mean_15min=_mean(account.dose_15min, account.covered_15min_s),
                    mean=_mean(account.dose, account.covered_s),
                    coverage_15min=round(recent, 4), coverage=round(whole, 4),
                    over_range_s=round(account.over_range_s, 1),
                )
            )  # fmt: skip
        return Exposure(
            wearer=self.wearer.name, wearer_id=self.wearer.id, since=self.since, until=t,
            doses=tuple(doses),
        )  # fmt: skip

    def holding(self) -> set[str]:
        """The alarms whose condition holds, by their name."""
        return {
            f"{source}/{quantity}/{code}"
            for (source, quantity), account in self._accounts.items()
            for code in account.holding
        }

    # -- restart ---------------------------------------------------------------------------

    def save(self, at: float) -> Saved:
        accounts: dict[str, dict[str, Account]] = {}
        for (source, quantity), account in self._accounts.items():
            account.advance(at)
            accounts.setdefault(source, {})[quantity] = account
        return Saved(
            wearer=self.wearer, at=at, start=self.start, since=self.since, edge=self._edge,
            accounts=accounts,
        )  # fmt: skip

    @classmethod
    def restore(
        cls, saved: Saved, point: Point, hold_s: Mapping[str, float], shift_s: float = 0.0
    ) -> Shift:
        """As it was saved.  `shift_s`: what to add to its times where a new boot has begun another
        axis.  What passes until the next reading is not covered."""
        shift = cls(saved.wearer, saved.start + shift_s, saved.since, point, hold_s)
        shift._edge = saved.edge + shift_s
        for source, by_quantity in saved.accounts.items():
            for quantity, account in by_quantity.items():
                account.moved(shift_s)
                shift._accounts[source, quantity] = account
        return shift


def _is_dose(reading: Reading, point: SetPoint | None) -> bool:
    """A gas that is breathed by parts per million, or whatever has an exposure limit."""
    limited = point is not None and (point.stel, point.twa) != (None, None)
    return reading.fix is None and (
        (reading.quantity in GASES and reading.unit == "ppm")
        or (limited and point is not None and point.unit == reading.unit)
    )


def _mean(amount: float, seconds: float) -> float | None:
    return _round(amount / seconds) if seconds > 0 else None


def _round(value: float) -> float:
    return float(f"{value:.{PUBLISHED_DIGITS}g}")
