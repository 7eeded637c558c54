"""Readings of a period made into a few figures for each source and quantity.  Pure."""

from __future__ import annotations

import msgspec

from agent.delivery.ranges import Ranges
from agent.delivery.rows import Row
from agent.messages import Clock, FixBody, Reading, Rolled
from drivers import Quality

MEASURED = frozenset(
    {
        Quality.GOOD, Quality.CAL_DUE, Quality.SIMULATED, Quality.OVER_RANGE, Quality.UNDER_RANGE,
    }
)  # fmt: skip
"""Only values of these qualities count: a maximum must not hide that a range was left, and a
faulty cell's figure is none."""

_decode = msgspec.json.Decoder(Reading).decode


class _Series:
    """One source's readings of one quantity."""

    def __init__(self, first: Reading) -> None:
        self._of = first
        self._count = 0
        self._measured = 0
        self._sum = 0.0
        self._min = self._max = self._last = 0.0
        self._qualities: dict[str, int] = {}
        self._quality = first.quality
        self._fix: FixBody | None = None

    def take(self, reading: Reading) -> None:
        self._count += 1
        self._quality, quality = reading.quality, reading.quality.value
        self._qualities[quality] = self._qualities.get(quality, 0) + 1
        self._fix = reading.fix or self._fix
        if (value := reading.value) is None or reading.quality not in MEASURED:
            return
        self._min = min(self._min, value) if self._measured else value
        self._max = max(self._max, value) if self._measured else value
        self._last = value
        self._sum += value
        self._measured += 1

    def rolled(self) -> Rolled:
        plain = Rolled(
            source=self._of.source, quantity=self._of.quantity, unit=self._of.unit,
            count=self._count, quality=self._quality, qualities=self._qualities, fix=self._fix,
        )  # fmt: skip
        if not self._measured:
            return plain
        # A float's sixteen digits are noise in a mean, and bytes.
        mean = float(f"{self._sum / self._measured:.7g}")
        return msgspec.structs.replace(
            plain, min=self._min, max=self._max, mean=mean, last=self._last
        )


class Period(msgspec.Struct, frozen=True):
    """A roll-up that is complete."""

    epoch: int
    ranges: Ranges
    """The numbers that it stands for."""
    t: int
    until: int
    clock: Clock
    period_s: int
    rolled: tuple[Rolled, ...]


class Roller:
    """Gathers rows; a period ends when a row of another comes, or when it is ended."""

    def __init__(self) -> None:
        self._key: tuple[int, int, int] | None = None
        self._ranges = Ranges()
        self._until = 0
        self._clock = Clock.FREE
        self._series: dict[tuple[str, str, str], _Series] = {}

    def take(self, row: Row, period_s: int) -> Period | None:
        """A row of class `readings`, not taken before; gives what is complete before it.
        ValueError: it cannot be read, and is not taken."""
        try:
            reading = _decode(row.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"seq {row.seq} is no reading: {error}") from error
        key = (row.epoch, period_s, row.t // (1000 * period_s))
        done = self.end() if key != self._key else None
        self._key = key
        self._ranges.add(row.seq, row.seq)
        self._until, self._clock = row.t, Clock(row.clock)
        name = (reading.source, reading.quantity, reading.unit)
        self._series.setdefault(name, _Series(reading)).take(reading)
        return done

    def end(self) -> Period | None:
        """What has been gathered; None: nothing."""
        if self._key is None:
            return None
        epoch, period_s, number = self._key
        done = Period(
            epoch, self._ranges, number * 1000 * period_s, self._until, self._clock, period_s,
            tuple(series.rolled() for series in self._series.values()),
        )  # fmt: skip
        self._key, self._ranges, self._series = None, Ranges(), {}
        return done
