"""Exposure: worked numbers, the independent calculation, gaps, restarts, handover."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alarms.exposure import Saved, Shift, Wearer
from agent.alarms.setpoints import SetPoint
from agent.messages import Dose, Exposure, Reading
from drivers import Quality

T0 = 1_795_000_000_000
START = 5_000.0
HOLD_S = 10.0
CO = SetPoint(quantity="co", unit="ppm", low=35, high=200, stel=100, twa=35, exposure_basis="NIOSH")
CL2 = SetPoint(quantity="cl2", unit="ppm", high=1, stel=0.4, twa=0.1, exposure_basis="ACGIH")
POINTS = {"co": CO, "cl2": CL2}
LI = Wearer(name="李明", id="0417")

Point = tuple[float, float | None, Quality]
"""Seconds since the start, value, quality."""


def shift(hold_s: float = HOLD_S, wearer: Wearer = LI) -> Shift:
    return Shift(wearer, START, T0, lambda _, q: POINTS.get(q), {"gas1": hold_s})


def reading(
    value: float | None, quality: Quality = Quality.GOOD, quantity: str = "co", **over: Any
) -> Reading:
    given: dict[str, Any] = {"source": "gas1", "unit": "ppm", **over}
    return Reading(quantity=quantity, value=value, quality=quality, **given)


def t_of(at: float) -> int:
    return T0 + round((at - START) * 1000)


def reborn(old: Shift, after_s: float, shift_s: float = 0.0) -> Shift:
    """What a restart makes of it, through the bytes that the store keeps."""
    kept = msgspec.msgpack.encode(old.save(START + after_s))
    saved = msgspec.msgpack.decode(kept, type=Saved)
    return Shift.restore(saved, lambda _, q: POINTS.get(q), {"gas1": HOLD_S}, shift_s)


class Played:
    """Readings through a shift; remembers every transition."""

    def __init__(self, made: Shift | None = None) -> None:
        self.shift = made or shift()
        self.changes: list[tuple[float, str, bool]] = []
        self.values: dict[str, float] = {}

    def say(self, after_s: float, what: Reading) -> None:
        at = START + after_s
        self._note(after_s, self.shift.reading(what, at, t_of(at)))

    def wait(self, until_s: float) -> None:
        """Ticks at each minute's end, as the loop does."""
        while (due := self.shift.next_tick()) <= START + until_s:
            self._note(due - START, self.shift.tick(due, t_of(due)))

    def steady(self, value: float, first_s: float, last_s: float, step_s: float = 1.0) -> None:
        """One value each `step_s`, from `first_s` up to and without `last_s`."""
        for number in range(round((last_s - first_s) / step_s)):
            self.wait(first_s + number * step_s)
            self.say(first_s + number * step_s, reading(value))

    def report(self, after_s: float) -> Exposure:
        self.wait(after_s)
        return self.shift.report(START + after_s, t_of(START + after_s))

    def dose(self, after_s: float) -> Dose:
        (one,) = self.report(after_s).doses
        return one

    def _note(self, at: float, changes: list[Any]) -> None:
        for cause, holds in changes:
            self.changes.append((at, cause.code, holds))
            if cause.reading is not None:
                self.values[cause.code] = cause.reading.value


# -- worked numbers ---------------------------------------------------------------------------


def test_fifteen_minutes_at_a_value_are_that_value() -> None:
    played = Played()
    played.steady(60.0, 0, 900)
    dose = played.dose(900)
    assert dose.stel == pytest.approx(60.0)
    assert dose.coverage_15min == dose.coverage == 1.0
    assert dose.mean == dose.mean_15min == 60.0
    # 15 minutes at 60 ppm are 15 ppm h; over eight hours that is 1.875 ppm.
    assert dose.dose == pytest.approx(15.0)
    assert dose.twa == pytest.approx(1.875)


def test_a_shift_of_ten_hours_is_still_divided_by_eight() -> None:
    played = Played(shift(hold_s=60.0))
    played.steady(30.0, 0, 36_000, 60.0)
    assert played.dose(36_000).twa == pytest.approx(30.0 * 10 / 8)
    # 35 ppm x 8 h = 280 ppm h are reached after 9 h 20 min.
    assert played.changes == [(33_600.0, "twa", True)]


def test_stel_is_raised_as_soon_as_it_is_certain_and_goes_behind_its_hysteresis() -> None:
    played = Played()
    played.steady(300.0, 0, 600)
    # 100 ppm x 900 s = 300 ppm x 300 s: the sixth minute need not be waited for.
    assert played.changes == [(300.0, "stel", True)]
    assert played.values["stel"] == pytest.approx(100.0)
    played.steady(0.0, 600, 1500)
    # At most 90 ppm x 900 s are left when only 270 s of the ten minutes are in the ring: the
    # minute that ends at 1260 s still holds 240 s, the one at 1200 s 300 s.
    assert played.changes[1:] == [(1260.0, "stel", False)]


def test_a_dose_only_rises_and_its_alarm_never_goes_by_itself() -> None:
    played = Played(shift(hold_s=60.0))
    played.steady(300.0, 0, 3600, 60.0)
    played.steady(0.0, 3600, 20_000, 60.0)
    assert [change for change in played.changes if change[1] == "twa"] == [(3360.0, "twa", True)]


def test_negative_values_count_nothing_and_cover() -> None:
    played = Played()
    played.steady(-3.0, 0, 900)
    dose = played.dose(900)
    assert (dose.stel, dose.dose, dose.peak, dose.coverage) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "full_scale", "counts"), [(520.0, 500.0, 500.0), (None, 500.0, 500.0),
                                        (480.0, None, 480.0), (None, None, 200.0)],
)  # fmt: skip
def test_over_range_counts_full_scale(
    value: float | None, full_scale: float | None, counts: float
) -> None:
    """And where it is not known, what was shown, or the high limit: at least so much it was."""
    played = Played()
    played.say(0.0, reading(value, Quality.OVER_RANGE, full_scale=full_scale))
    dose = played.dose(5)
    assert dose.dose == pytest.approx(counts * 5 / 3600, rel=1e-5)
    assert (dose.peak, dose.over_range_s) == (counts, 5.0)


@pytest.mark.parametrize("quality", [Quality.WARMUP, Quality.FAULT, Quality.UNDER_RANGE])
def test_what_is_no_measurement_counts_nothing_and_covers_nothing(quality: Quality) -> None:
    played = Played()
    played.steady(50.0, 0, 300)
    played.say(300, reading(999.0, quality))
    dose = played.dose(600)
    assert dose.dose == pytest.approx(50 * 300 / 3600, rel=1e-5)
    assert dose.coverage == dose.coverage_15min == 0.5
    # At least 25 ppm over the ten minutes, and 50 ppm over what was measured.
    assert (dose.mean, dose.peak) == (50.0, 50.0)


def test_a_value_holds_no_longer_than_its_source_may_be_silent() -> None:
    played = Played()
    played.say(0, reading(90.0))
    assert played.dose(600).dose == pytest.approx(90 * HOLD_S / 3600)
    assert played.dose(600).coverage == pytest.approx(HOLD_S / 600, abs=1e-4)


def test_overdue_and_simulated_sensors_count() -> None:
    played = Played()
    played.say(0, reading(90.0, Quality.CAL_DUE))
    played.say(5, reading(90.0, Quality.SIMULATED))
    assert played.dose(10).mean == 90.0


def test_what_is_not_breathed_by_the_million_is_no_dose() -> None:
    played = Played()
    played.say(0, reading(20.9, quantity="o2", unit="/100"))
    played.say(0, reading(5.0, quantity="combustible", unit="%LEL"))
    played.say(0, reading(21.0, quantity="temperature", unit="Cel"))
    assert played.report(10).doses == ()
    played.say(20, reading(1.0, quantity="hcn"))
    # A gas without an exposure limit has a dose, and no alarm.
    (dose,) = played.report(1200).doses
    assert (dose.quantity, dose.stel_limit, dose.twa_limit) == ("hcn", None, None)
    assert played.changes == []


def test_the_same_sensor_in_another_unit_is_not_mixed_in() -> None:
    played = Played()
    played.say(0, reading(10.0, quantity="hcn"))
    played.say(1, reading(900.0, quantity="hcn", unit="mg/m3"))
    assert played.dose(2).peak == 10.0


# -- coverage ---------------------------------------------------------------------------------


def test_low_coverage_is_a_warning_of_its_own() -> None:
    played = Played()
    played.steady(5.0, 0, 600)
    played.wait(900)
    # 609 of 900 seconds, the ten that the last value holds among them.
    assert played.changes == [(900.0, "coverage", True)]
    assert played.dose(900).coverage == pytest.approx(609 / 900, abs=1e-4)
    played.steady(5.0, 900, 3000)
    # Four fifths of the last 15 minutes are measured when the gap reaches back 180 s.
    assert played.changes[1:] == [(1620.0, "coverage", False)]


def test_a_sensor_that_never_measured_warns_too() -> None:
    played = Played()
    played.say(0, reading(None, Quality.FAULT))
    played.wait(900)
    assert played.changes == [(900.0, "coverage", True)]
    assert played.dose(900).mean is None


# -- the independent calculation ----------------------------------------------------------------


def recorded(seed: int, seconds: int) -> list[Point]:
    """A course with plumes, drift below zero, over range, faults, warm-ups and silences."""
    draw = random.Random(seed)
    found: list[Point] = []
    now, level = 0.0, 0.0
    while now < seconds:
        kind = draw.random()
        if kind < 0.001:
            now += draw.uniform(20, 1500)
        elif kind < 0.004:
            level = draw.choice([0.0, 20.0, 90.0, 400.0])
        quality = Quality.GOOD
        if 0.2 < kind < 0.21:
            quality = draw.choice([Quality.WARMUP, Quality.FAULT, Quality.OVER_RANGE])
        value = round(level * draw.uniform(0.5, 1.5) - 1.0, 2)
        found.append((now, value, quality))
        # On the grid of the reference.
        now = round(now + draw.uniform(0.3, 3.0), 2)
    return found


def on_a_grid(series: list[Point], seconds: int, alive: list[tuple[float, float]]) -> Any:
    """(concentration, covered) of each 10 ms, by sample-and-hold, from the series alone."""
    numpy = pytest.importorskip("numpy")
    step = 0.01
    times = (numpy.arange(round(seconds / step)) + 0.5) * step
    starts = numpy.array([point[0] for point in series])
    worth = numpy.array([
        500.0 if q is Quality.OVER_RANGE
        else max(0.0, v or 0.0) if q is Quality.GOOD else numpy.nan
        for _, v, q in series
    ])  # fmt: skip
    last = numpy.searchsorted(starts, times, side="right") - 1
    held = numpy.where(last >= 0, worth[last], numpy.nan)
    held[(last >= 0) & (times - starts[last] > HOLD_S)] = numpy.nan
    run = numpy.searchsorted([begin for begin, _ in alive], times, side="right") - 1
    begin = numpy.array([b for b, _ in alive])[run]
    end = numpy.array([e for _, e in alive])[run]
    # What was held before a restart is not known after it.
    held[(times > end) | (run < 0) | (starts[last] < begin)] = numpy.nan
    return numpy.nan_to_num(held), ~numpy.isnan(held), step


def check(series: list[Point], seconds: int, cuts: list[tuple[float, float]]) -> None:
    """`cuts`: (the power is cut, it is back); what was saved is what there was at the cut."""
    edges = [0.0, *(moment for cut in cuts for moment in cut), float(seconds)]
    alive = list(zip(edges[::2], edges[1::2], strict=True))
    ppm, covered, step = on_a_grid(series, seconds, alive)
    played = Played()
    run = 0
    checked = 0

    def compare(now: float) -> None:
        nonlocal checked
        n = round(now / step)
        window = slice(max(0, n - round(900 / step)), n)
        dose = played.dose(now)
        assert dose.stel == pytest.approx(ppm[window].sum() * step / 900, rel=1e-3, abs=1e-3)
        assert dose.twa == pytest.approx(ppm[:n].sum() * step / 28_800, rel=1e-3, abs=1e-4)
        assert dose.coverage == pytest.approx(covered[:n].mean(), rel=1e-3, abs=2e-3)
        assert dose.coverage_15min == pytest.approx(covered[window].mean(), rel=1e-3, abs=2e-3)
        checked += 1

    minute = 60
    for at, value, quality in series:
        while run + 1 < len(alive) and at >= alive[run][1]:
            played.shift = reborn(played.shift, alive[run][1])
            run += 1
        if not alive[run][0] <= at < alive[run][1]:
            continue
        while minute <= at:
            if any(begin <= minute <= end for begin, end in alive[: run + 1]):
                compare(minute) if minute >= alive[run][0] else None
            minute += 60
        played.wait(at)
        played.say(at, reading(value, quality, full_scale=500.0))
    assert checked > seconds / 60 / 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_stel_and_twa_equal_an_independent_calculation(seed: int) -> None:
    check(recorded(seed, 7200), 7200, [])


def test_and_across_restarts_and_gaps() -> None:
    check(recorded(4, 9000), 9000, [(1000.0, 1003.0), (2500.0, 3100.0), (3200.0, 5200.0)])


def test_a_new_boot_begins_another_axis() -> None:
    played = Played()
    played.steady(60.0, 0, 450)
    # Off for five minutes; the new boot's clock stands at 20 s.
    moved = reborn(played.shift, 450, 20.0 - (START + 450 + 300))
    moved.tick(20.0, T0)
    (dose,) = moved.report(20.0, T0).doses
    assert dose.coverage == pytest.approx(450 / 750)
    # 7.5 minutes at 60 ppm are in the last 15.
    assert dose.stel == pytest.approx(30.0)
    # Off for an hour: nothing of it is in the last 15 minutes, and the dose stays.
    later = reborn(played.shift, 450)
    later.tick(START + 450 + 3600, T0)
    (dose,) = later.report(START + 450 + 3600, T0).doses
    assert dose.stel == 0.0
    assert dose.dose == pytest.approx(7.5)


def test_a_standing_alarm_of_a_dose_is_known_after_a_restart() -> None:
    played = Played()
    played.steady(300.0, 0, 400)
    again = reborn(played.shift, 400)
    assert again.holding() == {"gas1/co/stel"}
    # It is not raised a second time.
    assert again.tick(START + 420, T0) == []


# -- always -------------------------------------------------------------------------------------

SAMPLES = st.lists(
    st.tuples(
        st.floats(0, 400),
        st.one_of(st.none(), st.floats(-50, 1000), st.just(float("nan"))),
        st.sampled_from(list(Quality)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.integers(0, 40))
def test_no_course_makes_a_dose_fall_or_a_coverage_leave_its_bounds(
    samples: list[Point], cut: int
) -> None:
    played = Played()
    now, before = 0.0, 0.0
    for number, (wait_s, value, quality) in enumerate(samples):
        now += wait_s
        played.wait(now)
        played.say(now, reading(value, quality))
        if number == cut:
            played.shift = reborn(played.shift, now)
        dose = played.dose(now)
        assert dose.dose >= before
        assert 0 <= dose.coverage <= 1
        assert 0 <= dose.coverage_15min <= 1
        assert 0 <= dose.stel <= dose.peak + 1e-6
        assert dose.twa == pytest.approx(dose.dose / 8, rel=1e-5)
        before = dose.dose
