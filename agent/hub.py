"""The one synchronous fan-out of what drivers emit: alarms, then the outbox, then the overlay.

No await stands between a driver's sample and the alarm that it raises.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from agent.alarms.engine import POSITION, Engine
from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.messages import Alarm, Class, Clock, Event, Mark, Reading, fix_body
from agent.outbox import Outbox
from agent.refusal import REFUSED, refused
from agent.settings.calibration import Calibration
from drivers import Fix, Quality, Sample

log = logging.getLogger(__name__)

OnAlarms = Callable[[list[Alarm]], None]
OnReading = Callable[[Reading], None]
OnAged = Callable[[Reading, float], None]
"""A reading and its age in seconds."""
OnTake = Callable[[Reading, float], bool]


class Hub:
    """`on_alarms` announces (panel, retained state); `on_reading` is for who may miss some."""

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        clock: UnitClock,
        *,
        on_alarms: OnAlarms,
        on_reading: OnReading,
        calibrations: Mapping[str, Calibration] | None = None,
        judges: Sequence[OnAged] = (),
        mark: Mark = Mark.ACTUAL,
    ) -> None:
        """`judges`: what else may raise an alarm at a reading, in the same turn."""
        self.engine = engine
        self.latest: dict[tuple[str, str], Reading] = {}
        self._outbox = outbox
        self._clock = clock
        self._on_alarms = on_alarms
        self._on_reading = on_reading
        self._calibrations = {
            source: known
            for source, known in (calibrations or {}).items()
            if known.calibrated is not None
        }
        self.judges = list(judges)
        self._mark = mark
        self.takes: OnTake = lambda reading, at: True
        """Whether a reading of this moment (monotonic) becomes a record."""
        self._mismatched: set[tuple[str, str, str]] = set()
        self._refused: set[str] = set()

    def emit(self, source: str, sample: Sample | Fix) -> None:
        """What a driver of `source` has measured."""
        now = time.monotonic()
        if (instead := refused(sample, self._mark)) is not None:
            self._say_refused(source)
            sample = instead
        calibration = self._calibrations.get(source)
        # A clock that nothing has set says nothing of days.
        if calibration is not None and self._clock.source is not Clock.FREE:
            sample = calibration.judged(sample, self._clock.now_ms())
        reading = self.engine.judged(_reading(source, sample), sample.at)
        self.alarms(self.engine.reading(reading, sample.at, self._clock.now_ms(), now))
        for judge in self.judges:
            judge(reading, now - sample.at)
        self._check_unit(reading)
        key = (source, reading.quantity)
        self.latest[key] = reading
        if self.takes(reading, now):
            self._outbox.append(Class.READINGS, reading, newest=f"{source}/{reading.quantity}")
        if isinstance(sample, Fix) and sample.time is not None and sample.mode >= 2:
            if sample.quality is Quality.GOOD:
                self._clock.gnss(sample.time, now - sample.at)
        self._on_reading(reading)

    def alarms(self, changes: list[Alarm]) -> list[Row]:
        """Announce first, then write down; the records."""
        if not changes:
            return []
        self._on_alarms(changes)
        return self.record(changes)

    def record(self, changes: list[Alarm]) -> list[Row]:
        """Write down what has been announced."""
        return [self._outbox.append(Class.ALARMS, change) for change in changes]

    def _check_unit(self, reading: Reading) -> None:
        """A limit that cannot judge what is measured must not look as if it did."""
        limit = self.engine.limit_unit(reading.quantity, reading.source)
        key = (reading.source, reading.quantity, reading.unit)
        if limit is None or limit == reading.unit or not reading.unit or key in self._mismatched:
            return
        self._mismatched.add(key)
        detail = (
            f"no alarm can be raised: {reading.quantity} is measured in {reading.unit!r}, "
            f"its limits are in {limit!r}"
        )
        log.warning("source %s: %s", reading.source, detail)
        self.event("limit_unit", reading.source, detail, quantity=reading.quantity)

    def _say_refused(self, source: str) -> None:
        if source not in self._refused:
            self._refused.add(source)
            detail = "its values come from a simulator, and the unit's mark is actual"
            log.warning("source %s: refused: %s", source, detail)
            self.event(REFUSED, source, detail)

    def event(self, event: str, source: str = "", detail: str = "", **data: object) -> None:
        """Something that happened, for the center's book."""
        body = Event(event=event, source=source, detail=detail, data=data)
        self._outbox.append(Class.EVENTS, body)


def _reading(source: str, sample: Sample | Fix) -> Reading:
    if isinstance(sample, Fix):
        return Reading(
            source=source, quantity=POSITION, quality=sample.quality, fix=fix_body(sample)
        )
    return Reading(
        source=source, quantity=sample.quantity, value=sample.value, unit=sample.unit,
        quality=sample.quality, raw=sample.raw, full_scale=sample.full_scale,
    )  # fmt: skip
