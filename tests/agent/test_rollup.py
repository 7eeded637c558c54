"""Roll-ups: the same figures as numpy's, and every number in exactly one."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.ranges import Ranges
from agent.delivery.rollup import MEASURED, Period, Roller
from agent.delivery.rows import Row
from agent.messages import FixBody, Reading
from drivers import Quality

T = 1_795_519_200_000


def row(seq: int, t: int, reading: Reading, epoch: int = 1) -> Row:
    return Row(
        epoch=epoch, seq=seq, klass="readings", prev=seq - 1, t=t, clock="gnss", mono=0,
        body=msgspec.json.encode(reading),
    )  # fmt: skip


readings = st.builds(
    Reading,
    source=st.sampled_from(["gas1", "gas2", "weather"]),
    quantity=st.sampled_from(["cl2", "temperature"]),
    value=st.none() | st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3)),
    unit=st.sampled_from(["ppm", "Cel"]),
    quality=st.sampled_from(list(Quality)),
)
steps = st.lists(st.tuples(readings, st.integers(-2000, 4000), st.booleans()), max_size=60)


def roll(rows: list[Row], period_s: int) -> list[Period]:
    roller = Roller()
    done = [roller.take(one, period_s) for one in rows]
    return [one for one in [*done, roller.end()] if one is not None]


@given(steps, st.sampled_from([1, 10, 60]))
def test_a_roll_up_says_what_numpy_says_and_no_number_is_left_out_or_twice(
    made: list[tuple[Reading, int, bool]], period_s: int
) -> None:
    t, rows, seq = T, [], 0
    for reading, step, hole in made:
        # A number in between is another class's; the clock may go back.
        t, seq = t + step, seq + 1 + hole
        rows.append((row(seq, t, reading), reading))
    periods = roll([one for one, _ in rows], period_s)
    covered = [seq for period in periods for a, b in period.ranges for seq in range(a, b + 1)]
    assert covered == [one.seq for one, _ in rows]
    for period in periods:
        within = [(one, reading) for one, reading in rows if one.seq in period.ranges]
        assert {one.t // (1000 * period_s) for one, _ in within} == {period.t // (1000 * period_s)}
        assert sum(rolled.count for rolled in period.rolled) == len(within)
        for rolled in period.rolled:
            mine = [
                reading for _, reading in within
                if (reading.source, reading.quantity, reading.unit)
                == (rolled.source, rolled.quantity, rolled.unit)
            ]  # fmt: skip
            assert rolled.count == len(mine) == sum(rolled.qualities.values())
            values = np.array(
                [r.value for r in mine if r.value is not None and r.quality in MEASURED]
            )
            if not len(values):
                assert rolled.min is rolled.max is rolled.mean is rolled.last is None
                continue
            assert (rolled.min, rolled.max, rolled.last) == (
                values.min(), values.max(), values[-1],
            )  # fmt: skip
            assert rolled.mean is not None
            scale = max(abs(values).max(), 1e-12)
            assert math.isclose(rolled.mean, values.mean(), rel_tol=1e-6, abs_tol=1e-9 * scale)


def test_a_faulty_figure_does_not_count_and_a_range_that_was_left_does() -> None:
    def of(value: float, quality: Quality) -> Reading:
        return Reading(source="gas1", quantity="cl2", value=value, unit="ppm", quality=quality)

    values = [
        of(1.0, Quality.GOOD), of(99.0, Quality.FAULT), of(20.0, Quality.OVER_RANGE),
        of(3.0, Quality.GOOD),
    ]  # fmt: skip
    (period,) = roll([row(seq, T, one) for seq, one in enumerate(values, 1)], 10)
    (rolled,) = period.rolled
    assert (rolled.min, rolled.max, rolled.mean, rolled.last) == (1.0, 20.0, 8.0, 3.0)
    assert rolled.qualities == {"good": 2, "fault": 1, "over_range": 1}


def test_of_a_position_the_last_stays() -> None:
    fixes = [FixBody(mode=3, lat=30.0 + n, lon=114.0) for n in range(3)]
    rows = [
        row(n, T, Reading(source="gnss", quantity="position", quality=Quality.GOOD, fix=fix))
        for n, fix in enumerate(fixes, 1)
    ]
    (period,) = roll(rows, 60)
    assert period.rolled[0].fix == fixes[-1]
    assert period.rolled[0].mean is None


def test_a_change_of_run_or_of_detail_ends_a_period() -> None:
    one = Reading(source="gas1", quantity="cl2", value=1.0, quality=Quality.GOOD)
    roller = Roller()
    assert roller.take(row(1, T, one), 10) is None
    other = roller.take(row(1, T, one, epoch=2), 10)
    assert other is not None
    assert (other.epoch, other.ranges) == (1, Ranges([(1, 1)]))
    coarser = roller.take(row(2, T, one, epoch=2), 60)
    assert coarser is not None
    assert (coarser.epoch, coarser.period_s) == (2, 10)
    assert roller.end() is not None
    assert roller.end() is None


def test_what_is_no_reading_is_not_taken() -> None:
    roller = Roller()
    whole = row(7, T, Reading(source="a", quantity="b", quality=Quality.GOOD))
    damaged = msgspec.structs.replace(whole, body=b"{")
    with pytest.raises(ValueError, match="seq 7 is no reading"):
        roller.take(damaged, 1)
    assert roller.end() is None
