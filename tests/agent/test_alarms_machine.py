"""No sequence of samples, acknowledgements, restarts and clock jumps leaves a standing high alarm
silent and not acknowledged, or clears a latched one by itself."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.alarms.engine import Engine
from agent.alarms.standing import LATCHING, RANK_HIGHEST, Cause
from agent.alarms.validity import TRUSTED
from agent.annunciator import OFF, SEEN, Annunciator
from agent.messages import Alarm, AlarmState, Reading
from agent.settings import limits, places
from drivers import Quality

POINTS = limits.load(places.named("limits", "responder")).points
UNIT = {"cl2": "ppm", "combustible": "%LEL", "o2": "/100"}
RANGE = {"cl2": 10.0, "combustible": 100.0, "o2": 30.0}
SILENT_S = {"gas": 10.0, "head": 10.0}
FROZEN_S = {"head": 6.0}
SOURCE = {"cl2": "gas", "combustible": "head", "o2": "head"}
VALUES = {
    "cl2": st.sampled_from([-2.0, 0.0, 0.3, 0.5, 0.6, 0.89, 0.9, 1.0, 1.4, 2.8, 9.9, 10.0]),
    "combustible": st.sampled_from([-11.0, 0.0, 7.9, 9.0, 10.0, 18.0, 20.0, 45.0, 100.0]),
    "o2": st.sampled_from([0.0, 8.0, 9.9, 10.2, 15.9, 16.1, 19.4, 20.9, 23.6, 30.0]),
}
QUALITIES = st.sampled_from([*[Quality.GOOD] * 8, *Quality])
SAMPLES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda quantity: st.tuples(st.just(quantity), VALUES[quantity], QUALITIES)
)


class Machine(RuleBasedStateMachine):
    """A unit's engine and horn, as app.py joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0
        self.utc = 1_790_000_000_000
        self.horn = Annunciator()
        self.engine = self.make()
        self.seen: set[str] = set()
        """Alarms that a person has acknowledged since they were raised last."""
        self.confirmed: set[str] = set()
        self.last: dict[str, Reading] = {}

    def make(self) -> Engine:
        return Engine(POINTS, SILENT_S, self.at, frozen_s=FROZEN_S)

    def take(self, changes: list[Alarm]) -> None:
        self.horn.changed(changes)
        for change in changes:
            if change.change in ("raised", "worsened"):
                self.seen.discard(change.alarm)
            if change.state is AlarmState.NORMAL and change.code in LATCHING:
                assert change.alarm in self.seen, f"{change.alarm} went by itself"
                bead = change.alarm == "head/combustible/over_range"
                assert not bead or change.alarm in self.confirmed
            if change.state is AlarmState.NORMAL:
                self.seen.discard(change.alarm)

    @rule(sample=SAMPLES, wait_s=st.sampled_from([0.1, 1.0, 4.0]))
    def measures(self, sample: tuple[str, float, Quality], wait_s: float) -> None:
        self.at += wait_s
        quantity, value, quality = sample
        one = Reading(
            source=SOURCE[quantity], quantity=quantity, value=value, unit=UNIT[quantity],
            quality=quality, full_scale=RANGE[quantity],
        )  # fmt: skip
        judged = self.engine.judged(one, self.at)
        if judged.quality in TRUSTED:
            self.last[quantity] = judged
        self.take(self.engine.reading(judged, self.at, self.utc, self.at))

    @rule(seconds=st.sampled_from([0.5, 5.0, 11.0, 59.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.at += seconds
        self.take(self.engine.tick(self.at, self.utc))

    @rule(jump_ms=st.sampled_from([-(10**12), -3_600_000, 0, 3_600_000, 10**12]))
    def the_clock_is_set(self, jump_ms: int) -> None:
        self.utc += jump_ms

    @rule()
    def the_button_is_pressed(self) -> None:
        for alarm in self.engine.active():
            if alarm.code != "sos":
                self.seen.add(alarm.alarm)
                self.take(self.engine.acknowledge(alarm.alarm, "panel"))
        self.horn.silence(self.engine.active(), self.at)

    @rule(data=st.data())
    @precondition(lambda self: self.engine.active())
    def a_center_acknowledges(self, data: Any) -> None:
        alarm = data.draw(st.sampled_from(self.engine.active()))
        self.seen.add(alarm.alarm)
        self.take(self.engine.acknowledge(alarm.alarm, "hq/wang"))

    @rule()
    def somebody_says_the_air_is_clean(self) -> None:
        for alarm in self.engine.active():
            if alarm.code == "over_range":
                with contextlib.suppress(ValueError):
                    before = set(self.seen)
                    self.seen.add(alarm.alarm)
                    self.confirmed.add(alarm.alarm)
                    changes: list[Alarm] = []
                    try:
                        changes = self.engine.clean_air(alarm.alarm, "panel", self.utc)
                    finally:
                        if not changes:
                            self.seen = before
                            self.confirmed.discard(alarm.alarm)
                    self.take(changes)

    @rule(code=st.sampled_from(["stel", "twa"]), holds=st.booleans())
    def a_mean_is_judged(self, code: str, holds: bool) -> None:
        cause = Cause(source="gas", quantity="cl2", code=code, t=self.utc)
        self.take(self.engine.condition(cause, holds=holds))

    @rule()
    def calls_for_help(self) -> None:
        self.take(self.engine.sos(self.utc))

    @rule()
    @precondition(lambda self: any(a.code == "sos" for a in self.engine.active()))
    def somebody_answers(self) -> None:
        self.seen.add("panel/sos/sos")
        self.take(self.engine.end_sos("hq/wang", self.utc))

    @rule()
    def starts_again(self) -> None:
        before = {alarm.alarm: alarm.state for alarm in self.engine.active()}
        saved = self.engine.save()
        self.engine, self.horn = self.make(), Annunciator()
        self.take(self.engine.restore(saved, self.at, self.utc))
        assert {alarm.alarm: alarm.state for alarm in self.engine.active()} == before

    @invariant()
    def what_nobody_acknowledged_sounds(self) -> None:
        active = self.engine.active()
        open_ones = [a for a in active if a.state is not AlarmState.ACKNOWLEDGED]
        pattern = self.horn.shown(active, self.at).pattern
        if any(alarm.rank == RANK_HIGHEST for alarm in open_ones):
            assert pattern == "high"
        # The button silences a call for help that the caller stands beside, without answering it.
        if any(alarm.code != "sos" for alarm in open_ones):
            assert pattern not in (OFF, SEEN)
        assert (pattern == OFF) is (not active)

    @invariant()
    def what_is_too_high_now_stands(self) -> None:
        codes = {(alarm.quantity, alarm.code) for alarm in self.engine.active()}
        for quantity, reading in self.last.items():
            point, value = POINTS[quantity], reading.value
            assert value is not None
            if point.high is not None and value >= point.high:
                assert (quantity, "high") in codes
            if point.critical is not None and value <= point.critical:
                assert (quantity, "critical") in codes

    @invariant()
    def each_stands_once(self) -> None:
        names = [alarm.alarm for alarm in self.engine.active()]
        assert len(names) == len(set(names))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
