"""What is drawn over pictures is never older than it looks."""

from __future__ import annotations

import asyncio

import pytest

from agent import overlay
from agent.messages import Alarm, AlarmState, FixBody, Mark, Reading
from agent.overlay import READINGS_MAX, Overlay
from agent.settings.tables import Profile, UnitConfig
from drivers import Quality

UNIT = UnitConfig(
    id="ex-rs-01", org="hubei", profile=Profile.SOLDIER, mark=Mark.EXERCISE,
    name={"zh": "救援员01", "en": "Rescuer 01"},
)  # fmt: skip


def reading(
    quantity: str, value: float | None, unit: str, quality: Quality = Quality.GOOD
) -> Reading:
    return Reading(source="gas", quantity=quantity, value=value, unit=unit, quality=quality)


def alarm(code: str, quantity: str, source: str = "gas") -> Alarm:
    return Alarm(
        alarm=f"{source}/{quantity}/{code}", code=code, rank=1, change="stands",
        state=AlarmState.UNACKNOWLEDGED, source=source, quantity=quantity,
    )  # fmt: skip


def test_values_with_units_and_what_they_are_worth() -> None:
    drawn = Overlay(UNIT)
    drawn.reading(reading("o2", 20.9, "/100"))
    drawn.reading(reading("temperature", -3.25, "Cel"))
    drawn.reading(reading("cl2", 0.1, "ppm", Quality.WARMUP))
    drawn.reading(reading("co", None, "ppm", Quality.FAULT))
    message = drawn.message(1234)
    assert message.readings == [
        "O2 20.9 %", "TEMPERATURE -3.25 °C", "CL2 0.1 ppm WARMUP", "CO -- ppm FAULT",
    ]  # fmt: skip
    assert (message.unit, message.mark, message.time_ms) == ("救援员01", "exercise", 1234)


def test_who_is_silent_shows_no_old_value() -> None:
    drawn = Overlay(UNIT)
    drawn.reading(reading("cl2", 0.1, "ppm"))
    fix = FixBody(mode=3, lat=30.123456, lon=114.5)
    drawn.reading(Reading(source="gnss", quantity="position", quality=Quality.GOOD, fix=fix))
    assert drawn.message(0).place == "30.12346 114.50000"
    drawn.alarms((alarm("silent", "cl2"), alarm("silent", "position", "gnss")))
    message = drawn.message(0)
    assert (message.readings, message.place) == (["CL2 --"], "--")
    assert message.alarms == ["SILENT CL2", "SILENT POSITION"]
    drawn.alarms(())
    assert drawn.message(0).readings == ["CL2 0.1 ppm"]


def test_only_so_many_lines_fit() -> None:
    drawn = Overlay(UNIT)
    for number in range(READINGS_MAX + 3):
        drawn.reading(reading(f"q{number}", 1.0, "ppm"))
    drawn.alarms(tuple(alarm("high", f"q{number}") for number in range(9)))
    message = drawn.message(0)
    assert len(message.readings) == READINGS_MAX
    assert message.alarms == ["HIGH Q0", "HIGH Q1", "HIGH Q2", "HIGH Q3"]


async def test_news_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "PERIOD_S", 0.0)
    drawn = Overlay(UNIT)
    waiting = asyncio.create_task(drawn.changed())
    done, _ = await asyncio.wait({waiting}, timeout=0.02)
    assert not done
    drawn.reading(reading("cl2", 1.0, "ppm"))
    await asyncio.wait_for(waiting, 5)
