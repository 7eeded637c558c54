"""What is ready: each rule by a table, no unit needed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from agent.alarms.setpoints import SetPoint
from agent.messages import Clock, Reading
from agent.messages.selftest import BumpTest, SelftestItem
from agent.selftest import words
from agent.selftest.bump import Bump, BumpRun
from agent.selftest.judge import NOT_READY, READY, WARNINGS, Facts, Zero, judge, overdue, result
from agent.settings.calibration import Calibration
from agent.settings.selftest import SelftestConfig
from drivers import Quality

TODAY = dt.date(2026, 11, 24)
NOW = int(dt.datetime(2026, 11, 24, 9, tzinfo=dt.UTC).timestamp() * 1000)
DAY = 86_400_000
CL2 = ("gas1", "cl2")


def reading(value: float | None = 0.0, **over: Any) -> Reading:
    given = {"source": "gas1", "quantity": "cl2", "unit": "ppm", "quality": Quality.GOOD}
    return Reading(**{**given, "value": value, **over})


def bump(**over: Any) -> BumpTest:
    given = {"source": "gas1", "quantity": "cl2", "unit": "ppm", "concentration": 5.0,
             "value": 4.0, "seconds": 12.0, "passed": True, "by": "Chen",
             "t": NOW - 3600_000}  # fmt: skip
    return BumpTest(**{**given, **over})


def facts(**over: Any) -> Facts:
    """All in order."""
    good = Facts(
        now_ms=NOW, clock=Clock.NTP, required=("gas1",), states={"gas1": "up"}, silent=set(),
        latest=(reading(), reading(80.0, source="ups", quantity="battery", unit="%EL")),
        calibrations={"gas1": Calibration(calibrated=TODAY - dt.timedelta(days=30))},
        resolutions={CL2: 0.1}, zeros={CL2: Zero(value=0.0, unit="ppm")}, bumps={CL2: bump()},
        free_mb=4000.0, cameras={"front": "live"}, pictures=frozenset({"front"}),
        microphone="idle", position="ok", links={"center": "up"},
    )  # fmt: skip
    return msgspec.structs.replace(good, **over)


def points(source: str, quantity: str) -> SetPoint | None:
    held = {"cl2": SetPoint(quantity="cl2", unit="ppm", low=0.5, high=1.0)}
    return held.get(quantity)


def judged(found: Facts, **rules: Any) -> tuple[str, dict[str, SelftestItem]]:
    items = judge(found, SelftestConfig(**rules), points)
    # Every code and item has its words.
    for item in items:
        assert item.code in words.CODES
        assert words.line(item)
    return result(items), {item.item: item for item in items}


def test_all_in_order_is_ready() -> None:
    assert judged(facts())[0] == READY


@pytest.mark.parametrize(
    ("over", "item", "code", "expected"),
    [
        ({"required": (), "states": {}}, "sensor", "no_sensor", NOT_READY),
        ({"states": {"gas1": "down"}}, "sensor", "down", NOT_READY),
        ({"silent": {"gas1"}}, "sensor", "silent", NOT_READY),
        ({"latest": (reading(None, quality=Quality.WARMUP),)}, "sensor", "warmup", NOT_READY),
        ({"latest": (reading(None, quality=Quality.FAULT),)}, "sensor", "fault", NOT_READY),
        ({"latest": ()}, "sensor", "unheard", NOT_READY),
        ({"zeros": None}, "zero", "zero_not_stated", WARNINGS),
        ({"zeros": {}}, "zero", "zero_no_value", NOT_READY),
        ({"zeros": {CL2: Zero(value=None, unit="ppm")}}, "zero", "zero_no_value", NOT_READY),
        # Two steps of 0.1 ppm; a tenth of the low limit would be less.
        ({"zeros": {CL2: Zero(value=0.2, unit="ppm")}}, "zero", "zero_good", READY),
        ({"zeros": {CL2: Zero(value=0.21, unit="ppm")}}, "zero", "zero_off", NOT_READY),
        ({"zeros": {CL2: Zero(value=-0.3, unit="ppm")}}, "zero", "zero_off", NOT_READY),
        ({"bumps": {}}, "bump", "bump_missing", WARNINGS),
        ({"bumps": {CL2: bump(t=NOW - DAY)}}, "bump", "bump_overdue", WARNINGS),
        ({"bumps": {CL2: bump(t=NOW - DAY + 1)}}, "bump", "bump_good", READY),
        ({"bumps": {CL2: bump(t=NOW + 2 * DAY)}}, "bump", "bump_overdue", WARNINGS),
        ({"bumps": {CL2: bump(passed=False)}}, "bump", "bump_failed", NOT_READY),
        ({"clock": Clock.FREE}, "bump", "bump_undated", WARNINGS),
        ({"clock": Clock.FREE}, "calibration", "calibration_undated", WARNINGS),
        ({"clock": Clock.FREE}, "clock", "clock_free", WARNINGS),
        ({"calibrations": {"gas1": Calibration()}}, "calibration", "calibration_unknown", WARNINGS),
        (
            {"calibrations": {"gas1": Calibration(calibrated=TODAY - dt.timedelta(days=180))}},
            "calibration", "calibration_overdue", WARNINGS,
        ),
        ({"store_trouble": "disk full"}, "disk", "disk_refuses", NOT_READY),
        ({"free_mb": 10.0}, "disk", "disk_full", WARNINGS),
        ({"free_mb": None}, "disk", "disk_unknown", WARNINGS),
        ({"log_trouble": "disk full"}, "log", "log_refuses", NOT_READY),
        ({"pictures": frozenset()}, "camera", "camera_no_picture", WARNINGS),
        ({"cameras": {"front": "down"}}, "camera", "camera_no_picture", WARNINGS),
        ({"cameras": {}, "pictures": frozenset()}, "camera", "not_fitted", READY),
        ({"microphone": "down"}, "microphone", "microphone_down", WARNINGS),
        ({"microphone": ""}, "microphone", "not_fitted", READY),
        ({"position": "lost"}, "position", "position_lost", WARNINGS),
        ({"position": "none"}, "position", "not_fitted", READY),
        (
            {"position": "none", "position_required": True}, "position", "position_lost", NOT_READY
        ),
        ({"links": {"center": "down"}}, "link", "link_down", WARNINGS),
        ({"links": {}}, "link", "link_none", WARNINGS),
        ({"key_trouble": "cannot be read"}, "signature", "key_unusable", WARNINGS),
    ],
)  # fmt: skip
def test_what_is_not_in_order(over: dict[str, Any], item: str, code: str, expected: str) -> None:
    found, items = judged(facts(**over))
    assert (found, items[item].code) == (expected, code)


@pytest.mark.parametrize(
    ("level", "code", "expected"),
    [(8.0, "battery_critical", NOT_READY), (15.0, "battery_low", WARNINGS),
     (None, "battery_unknown", WARNINGS), (20.0, "battery_good", READY)],
)  # fmt: skip
def test_batteries(level: float | None, code: str, expected: str) -> None:
    battery = reading(level, source="ups", quantity="battery", unit="%EL")
    found, items = judged(facts(latest=(reading(), battery)))
    assert (found, items["battery"].code) == (expected, code)


@pytest.mark.parametrize(
    "over",
    [{"bumps": {}}, {"bumps": {CL2: bump(t=NOW - 2 * DAY)}}, {"clock": Clock.FREE},
     {"calibrations": {"gas1": Calibration(calibrated=TODAY - dt.timedelta(days=400))}}],
)  # fmt: skip
def test_a_lock_out_makes_of_what_is_overdue_not_ready(over: dict[str, Any]) -> None:
    assert judged(facts(**over))[0] == WARNINGS
    assert judged(facts(**over), on_overdue="lock")[0] == NOT_READY


def test_a_tolerance_of_ones_own_and_a_gas_without_any() -> None:
    off = facts(zeros={CL2: Zero(value=0.4, unit="ppm")})
    assert judged(off, zero={"cl2": 0.5})[0] == READY
    none = facts(latest=(reading(source="x", quantity="eto"),), resolutions={},
                 zeros={("x", "eto"): Zero(value=3.0, unit="ppm")})  # fmt: skip
    assert judged(none)[1]["zero"].code == "zero_no_tolerance"


def test_where_no_bump_test_is_asked_for_it_is_said_that_there_is_none() -> None:
    found, items = judged(facts(bumps={}), bump_days=0.0)
    assert (found, items["bump"].state, items["bump"].code) == (READY, "none", "bump_missing")
    assert list(overdue(facts(bumps={}), SelftestConfig(bump_days=0.0), only=True)) == []


# -- test gas ----------------------------------------------------------------------------------


def run(quantity: str = "cl2", concentration: float = 5.0) -> BumpRun:
    return BumpRun("gas1", quantity, "ppm", concentration, "Chen", 100.0, response=0.5, within_s=60)


@pytest.mark.parametrize(
    ("quantity", "concentration", "samples", "state", "seconds"),
    [
        ("cl2", 5.0, [(101, 1.0), (110, 2.4)], Bump.WAITS, None),
        ("cl2", 5.0, [(101, 1.0), (110, 2.5)], Bump.PASSED, 10.0),
        ("cl2", 5.0, [(99, 5.0)], Bump.WAITS, None),
        ("o2", 10.9, [(105, 16.0)], Bump.WAITS, None),
        ("o2", 10.9, [(105, 15.9)], Bump.PASSED, 5.0),
        ("cl2", 5.0, [(101, 2.4), (161, None)], Bump.FAILED, None),
    ],
)
def test_half_of_the_way_from_clean_air(
    quantity: str, concentration: float, samples: list[tuple[float, float | None]],
    state: Bump, seconds: float | None,
) -> None:  # fmt: skip
    made = run(quantity, concentration)
    for at, value in samples:
        made.reading(reading(value, quantity=quantity), at)
        made.tick(at)
    assert made.state is state
    assert made.seconds == seconds


def test_over_range_answers_and_a_fault_or_another_sensor_does_not() -> None:
    made = run()
    made.reading(reading(5.0, quality=Quality.FAULT), 101.0)
    made.reading(reading(5.0, source="gas2"), 102.0)
    assert made.tick(102.0) == "waits"
    made.reading(reading(None, quality=Quality.OVER_RANGE, full_scale=10.0), 103.0)
    assert made.tick(103.0) == "passed"
    assert made.result(NOW).value == 10.0


@pytest.mark.parametrize(("quantity", "concentration"), [("cl2", 0.0), ("o2", 20.9), ("cl2", -1)])
def test_what_is_no_test_gas(quantity: str, concentration: float) -> None:
    with pytest.raises(ValueError, match="is no test gas"):
        run(quantity, concentration)
