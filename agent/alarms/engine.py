"""The alarms of one unit: readings, silence and buttons in, transitions out.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.alarms import gas, standing
from agent.alarms.freshness import Freshness, Silence
from agent.alarms.frozen import Frozen
from agent.alarms.setpoints import SetPoint
from agent.alarms.sos import CODES as SOS_CODES
from agent.alarms.standing import Cause, Standing
from agent.alarms.validity import TRUSTED, Validity
from agent.messages import Alarm, AlarmState, FixBody, Reading
from drivers import Quality

PANEL = "panel"
"""The source of what a person pressed."""
UNIT = "unit"
"""The source of what the unit finds in itself: its disk, its clock."""
PERSON = "person"
"""The source of what is judged of whoever carries the unit."""
OWN = frozenset({PANEL, UNIT, PERSON})
"""Names that no instrument may have."""
POSITION = "position"
SILENCE = frozenset({"silent", "bus"})
LEVELS = frozenset({"low", "high", "deficient", "critical"})
"""Codes that a worse value raises again."""


class Engine:
    """`t` is UTC ms, `at` monotonic seconds; each call returns the transitions it caused."""

    def __init__(
        self,
        set_points: Mapping[str, SetPoint],
        silent_s: dict[str, float],
        at: float,
        own_points: Mapping[tuple[str, str], SetPoint] | None = None,
        frozen_s: Mapping[str, float] | None = None,
    ) -> None:
        """`set_points` by quantity; `own_points` by (source, quantity), in their place; by source:
        after how many seconds without a sample it is silent, or with the same one frozen."""
        self._points = set_points
        self._own_points = own_points or {}
        self._sources = frozenset(silent_s) | OWN
        self._channels: dict[tuple[str, str], gas.Channel] = {}
        self._standing: dict[str, Standing] = {}
        self._fresh = Freshness(silent_s, at)
        self._frozen = Frozen(frozen_s or {})
        self._stuck: set[tuple[str, str]] = set()
        self._validity = Validity()
        self.fix: FixBody | None = None
        """The last position that was a fix."""

    # -- what comes in ---------------------------------------------------------------------

    def judged(self, reading: Reading, at: float) -> Reading:
        """The reading with its quality put right; before all else.  `at`: when its frame began."""
        key = (reading.source, reading.quantity)
        if self._frozen.is_frozen(reading, at):
            self._stuck.add(key)
            if reading.quality in TRUSTED:
                return msgspec.structs.replace(reading, quality=Quality.STALE)
            return reading
        self._stuck.discard(key)
        return self._validity.judged(reading)

    def reading(self, reading: Reading, at: float, t: int, now: float) -> list[Alarm]:
        """`at`: when its frame began; `now`: this moment, for the delay."""
        if reading.fix is not None and reading.fix.mode >= 2:
            self.fix = reading.fix
        news = [
            change
            for silence in self._fresh.heard(reading.source, reading.quantity, at)
            for change in self._set(self._silence(silence, t), holds=False)
        ]
        if self._stuck or self._standing:
            news += self._set(
                Cause(
                    source=reading.source, quantity=reading.quantity, code="frozen", t=t,
                    reading=reading if reading.fix is None else None, fix=self.fix,
                ),
                holds=(reading.source, reading.quantity) in self._stuck,
            )  # fmt: skip
        if reading.quantity != POSITION:
            news += self._measure(reading, t, (now - at) * 1000)
        return news

    def tick(self, at: float, t: int) -> list[Alarm]:
        """Time has passed: who is silent now?"""
        return [
            change
            for silence, holds in list(self._fresh.changes(at))
            for change in self._set(self._silence(silence, t), holds=holds)
        ]

    def next_tick(self) -> float | None:
        """Monotonic seconds at which `tick` has something to say; None: at no time."""
        return self._fresh.next_due()

    def condition(self, cause: Cause, *, holds: bool) -> list[Alarm]:
        """What another room has judged: a dose, a full disk, a person who does not move."""
        if cause.fix is None:
            cause = msgspec.structs.replace(cause, fix=self.fix)
        return self._set(cause, holds=holds)

    def sos(self, t: int, *, silent: bool = False) -> list[Alarm]:
        """The button was held.  It has no end of its own: a person must confirm it."""
        cause = self._call("sos_silent" if silent else "sos", t)
        known = self._standing.get(cause.alarm)
        if known is not None and known.message.state is AlarmState.ACKNOWLEDGED:
            # A new call for help is a new alarm, whoever has seen the last one.
            del self._standing[cause.alarm]
        return self._set(cause, holds=True)

    def acknowledge(self, alarm: str, by: str) -> list[Alarm]:
        """A person has seen it.  LookupError where no such alarm stands."""
        known = self._standing.get(alarm)
        if known is None:
            raise LookupError(f"no alarm {alarm!r} stands")
        channel = self._channels.get((known.message.source, known.message.quantity))
        changed = standing.acknowledge(known, by, channel.last if channel is not None else None)
        return self._keep(alarm, changed)

    def clean_air(self, alarm: str, by: str, t: int) -> list[Alarm]:
        """A person says that the air is clean: over range ends.  LookupError where it does not
        stand, ValueError where the instrument says otherwise."""
        known = self._standing.get(alarm)
        if known is None or known.message.code != "over_range":
            raise LookupError(f"no over-range alarm {alarm!r} stands")
        message = known.message
        key = (message.source, message.quantity)
        channel = self._channels.get(key, gas.Channel())
        if not channel.clean:
            raise ValueError(f"{message.source} does not show clean air")
        self._channels[key] = gas.confirm_clean(channel)
        cause = Cause(source=key[0], quantity=key[1], code="over_range", t=t, fix=self.fix)
        return self.acknowledge(alarm, by) + self._set(cause, holds=False)

    def repeat_sos(self, t: int) -> list[Alarm]:
        """Nobody has confirmed the call for help: it is raised again."""
        return [
            change
            for alarm in self._calls()
            for change in self._keep(
                alarm, standing.repeated(self._standing[alarm], t, self.fix)
            )
        ]  # fmt: skip

    def end_sos(self, by: str, t: int) -> list[Alarm]:
        """A person has confirmed the call for help, or its caller has cancelled it; LookupError
        where none stands."""
        calls = self._calls()
        if not calls:
            raise LookupError("no call for help stands")
        return [
            change
            for code in SOS_CODES
            if (cause := self._call(code, t)).alarm in calls
            for change in self.acknowledge(cause.alarm, by) + self._set(cause, holds=False)
        ]

    def _call(self, code: str, t: int) -> Cause:
        return Cause(source=PANEL, quantity="sos", code=code, t=t, fix=self.fix)

    def _calls(self) -> list[str]:
        """The calls for help that stand."""
        return [
            alarm
            for alarm, known in self._standing.items()
            if known.message.code in SOS_CODES
        ]  # fmt: skip

    # -- what stands -----------------------------------------------------------------------

    def active(self) -> tuple[Alarm, ...]:
        """Everything that is not normal, the most urgent first."""
        alarms = (
            msgspec.structs.replace(known.message, change="stands", delay_ms=None)
            for known in self._standing.values()
        )
        return tuple(sorted(alarms, key=lambda alarm: (alarm.rank, alarm.since or 0)))

    def limit_unit(self, quantity: str, source: str = "") -> str | None:
        """The unit of a quantity's limits; None: it has none."""
        point = self.point(source, quantity)
        return None if point is None else point.unit

    def point(self, source: str, quantity: str) -> SetPoint | None:
        """The set point that holds; None: there is none."""
        own = self._own_points.get((source, quantity))
        return own if own is not None else self._points.get(quantity)

    def silent_sources(self) -> set[str]:
        """Those of which a quantity is silent."""
        return {known.message.source for known in self._standing.values()
                if known.message.code in SILENCE}  # fmt: skip

    def save(self) -> list[Standing]:
        """What must survive a restart."""
        return list(self._standing.values())

    def restore(self, saved: list[Standing], at: float, t: int) -> list[Alarm]:
        """What stood before a restart stands again, until samples say otherwise; what belongs to a
        source that is not there any more has gone."""
        news: list[Alarm] = []
        for known in saved:
            message = known.message
            self._standing[message.alarm] = known
            if message.source not in self._sources:
                gone = Cause(
                    source=message.source, quantity=message.quantity, code=message.code, t=t
                )
                news += self._set(gone, holds=False)
            elif message.code == "lel_invalid" and known.present:
                self._validity.restore()
            elif message.code in SILENCE:
                self._fresh.restore(message.source, message.quantity, message.code, at)
            elif known.present and message.code in gas.CODES:
                key = (message.source, message.quantity)
                channel = self._channels.get(key, gas.Channel())
                self._channels[key] = gas.Channel(holding=channel.holding | {message.code})
        return news

    # -- within ----------------------------------------------------------------------------

    def _measure(self, reading: Reading, t: int, delay_ms: float) -> list[Alarm]:
        key = (reading.source, reading.quantity)
        point = self.point(*key)
        if point is not None and point.unit != reading.unit:
            # A number of another unit says nothing about this one (the hub tells of it).
            point = None
        before = self._channels.get(key, gas.Channel())
        quality, lel = Quality(reading.quality), reading.unit == "%LEL"
        after = gas.step(before, point, reading.value, quality, bead=lel)
        self._channels[key] = after

        def cause(code: str) -> Cause:
            return Cause(
                source=reading.source, quantity=reading.quantity, code=code, t=t,
                limit=getattr(point, code, None), limit_basis=point.basis if point else "",
                reading=reading, fix=self.fix, delay_ms=round(delay_ms, 3),
            )  # fmt: skip

        news: list[Alarm] = []
        for code in sorted(before.holding ^ after.holding):
            news += self._set(cause(code), holds=code in after.holding)
        if lel and (quality is Quality.INVALID or quality in TRUSTED):
            news += self._set(cause("lel_invalid"), holds=quality is Quality.INVALID)
        for code in sorted(before.holding & after.holding):
            news += self._worsen(cause(code), reading.value)
        return news

    def _worsen(self, cause: Cause, value: float | None) -> list[Alarm]:
        known = self._standing.get(cause.alarm)
        if known is None or value is None or known.seen is None or not known.present:
            return []
        if known.message.state is not AlarmState.ACKNOWLEDGED:
            return []
        if cause.code not in LEVELS or not gas.has_worsened(cause.code, known.seen, value):
            return []
        return self._keep(cause.alarm, standing.worsened(known, cause))

    def _silence(self, silence: Silence, t: int) -> Cause:
        source, quantity, code = silence
        return Cause(source=source, quantity=quantity, code=code, t=t, fix=self.fix)

    def _set(self, cause: Cause, *, holds: bool) -> list[Alarm]:
        known = self._standing.get(cause.alarm)
        if known is None:
            return self._keep(cause.alarm, standing.raise_(cause)) if holds else []
        changed = standing.again(known, cause) if holds else standing.gone(known, cause)
        return self._keep(cause.alarm, changed)

    def _keep(self, alarm: str, changed: Standing | None) -> list[Alarm]:
        if changed is None:
            return []
        if changed.message.state is AlarmState.NORMAL:
            self._standing.pop(alarm, None)
        else:
            self._standing[alarm] = changed
        return [changed.message]
