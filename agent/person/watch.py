"""Motion, check-in, battery and position of whoever carries the unit, and whether they drive.

The rules are agent/alarms/{motion,person}.py's; here they meet readings and become alarms.  `at` is
CLOCK_BOOTTIME, seconds: it goes on through a restart of the agent and through suspend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.alarms import person
from agent.alarms.engine import PERSON, POSITION, UNIT
from agent.alarms.motion import ByTrack, ByValue, Motion, State
from agent.alarms.person import CheckIn, Driving, Due, Position
from agent.alarms.standing import Cause
from agent.alarms.validity import TRUSTED
from agent.messages import Alarm, AlarmState, FixBody, Reading
from agent.settings.person import PersonConfig, Rules

GUESSED = frozenset({"dr", "manual"})
"""Of a fix: nothing was received that says where it is."""

Tell = Callable[[Cause, bool], None]
"""A cause, and whether it holds."""


class Watch:
    """Made once per run."""

    def __init__(
        self,
        config: PersonConfig,
        rules: Rules,
        at: float,
        *,
        tell: Tell,
        on_event: Callable[..., Any],
    ) -> None:
        motion = config.no_motion
        self.motion = Motion(rules.still_s, motion.prealarm_s)
        self.check_in = CheckIn(rules.check_in_s, config.check_in.grace_s, at)
        self.driving = Driving(config.driving.speed_m_s)
        self.charge: dict[str, float] = {}
        """Per cent, by source."""
        self._config = config
        self._rules = rules
        self._tell = tell
        self._on_event = on_event
        self._position = Position(config.position.lost_s, rules.position, at)
        self._by_track = ByTrack(motion.radius_m)
        self._by_value = ByValue(motion.moves_by)
        self._batteries: dict[str, frozenset[str]] = {}
        self._moved_state = State.UNKNOWN
        self._due = Due.OFF
        self._speed_at = at

    @property
    def watches_motion(self) -> bool:
        return self._rules.watches_motion

    # -- what comes in ---------------------------------------------------------------------

    def reading(self, reading: Reading, at: float, t: int) -> None:
        """In the turn of the sample; its frame began at `at`."""
        motion = self._config.no_motion
        if reading.quantity == POSITION and reading.fix is not None:
            good = _is_good(reading, reading.fix)
            self._fix(reading.fix if good else None, at, t)
        elif reading.quantity == "battery" and reading.unit == "%EL":
            self._battery(reading, t)
        if motion.source and (reading.source, reading.quantity) == (motion.source, motion.quantity):
            value = reading.value if reading.quality in TRUSTED else None
            self._move(self._by_value.moved(value), at, t)

    def pressed(self, at: float, t: int, by: str) -> None:
        """The wearer's own button: well, and here."""
        if self._rules.watches_motion:
            self._moved(self.motion.press(at), t)
        self.checked(at, t, by)

    def checked(self, at: float, t: int, by: str) -> None:
        """A check-in."""
        was = self._due
        self.check_in.checked(at)
        self._judge_check_in(at, t)
        if was in (Due.DUE, Due.MISSED):
            self._on_event("checked_in", PERSON, by)

    def tick(self, at: float, t: int) -> None:
        self._judge_check_in(at, t)
        self.driving.tick(at, self._speed_at)
        if self._rules.watches_motion:
            self._moved(self.motion.tick(at), t)

    # -- what it says ----------------------------------------------------------------------

    @property
    def due(self) -> Due:
        return self._due

    def holds(self, alarm: Alarm) -> bool:
        """Whether the condition of an alarm of these holds, or nothing has been seen since."""
        match alarm.code:
            case "no_motion":
                return self._rules.watches_motion and self.motion.state is State.ALARM
            case "check_in":
                return self._due is Due.MISSED
            case "position_lost":
                return self._rules.position != "never"
        return True

    def restore(self, active: tuple[Alarm, ...], still: float, at: float) -> None:
        """What stood before a restart holds until something says otherwise."""
        # Whose cause had gone only waits for somebody to see it.
        active = tuple(a for a in active if a.state is not AlarmState.RETURNED_UNACKNOWLEDGED)
        codes = {alarm.code for alarm in active}
        down = "no_motion" in codes
        self.motion.restore(State.ALARM if down else State.UNKNOWN, still, at)
        self._moved_state = self.motion.state
        self._position.lost = "position_lost" in codes
        for alarm in active:
            if alarm.code in person.BATTERY_CODES:
                held = self._batteries.get(alarm.source, frozenset())
                self._batteries[alarm.source] = held | {alarm.code}

    # -- within ----------------------------------------------------------------------------

    def _fix(self, fix: FixBody | None, at: float, t: int) -> None:
        lost = self._position.heard(fix is not None, at)
        self._tell(
            Cause(source=UNIT, quantity=POSITION, code="position_lost", t=t, fix=fix), lost
        )  # fmt: skip
        if fix is None:
            return
        if self._rules.drives and fix.speed is not None:
            self._speed_at = at
            self.driving.speed(fix.speed, at)
        if not self._config.no_motion.source:
            self._move(self._by_track.moved(fix), at, t)

    def _move(self, moved: bool | None, at: float, t: int) -> None:
        if self._rules.watches_motion:
            self._moved(self.motion.sample(moved, at), t)

    def _moved(self, state: State, t: int) -> None:
        before, self._moved_state = self._moved_state, state
        if state is before:
            return
        if state is State.PREALARM:
            self._on_event("no_motion_soon", PERSON)
        if State.ALARM in (before, state):
            cause = Cause(source=PERSON, quantity="motion", code="no_motion", t=t)
            self._tell(cause, state is State.ALARM)

    def _judge_check_in(self, at: float, t: int) -> None:
        before, self._due = self._due, self.check_in.state(at)
        if self._due is before:
            return
        if self._due is Due.DUE:
            self._on_event("check_in_due", PERSON)
        cause = Cause(source=PERSON, quantity="check_in", code="check_in", t=t)
        self._tell(cause, self._due is Due.MISSED)

    def _battery(self, reading: Reading, t: int) -> None:
        if reading.value is None or reading.quality not in TRUSTED:
            return
        limits = {"battery": self._config.battery.low,
                  "battery_critical": self._config.battery.critical}  # fmt: skip
        self.charge[reading.source] = reading.value
        before = self._batteries.get(reading.source, frozenset())
        after = person.battery(
            before, reading.value, low=limits["battery"], critical=limits["battery_critical"]
        )
        self._batteries[reading.source] = after
        for code in sorted(before ^ after):
            cause = Cause(
                source=reading.source, quantity="battery", code=code, t=t, limit=limits[code],
                reading=reading,
            )  # fmt: skip
            self._tell(cause, code in after)


def _is_good(reading: Reading, fix: FixBody) -> bool:
    return reading.quality in TRUSTED and fix.mode >= 2 and fix.status not in GUESSED
