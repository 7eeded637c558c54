"""Which limits judge what a unit measures, what none judges, and in which air."""

from __future__ import annotations

import pytest

from agent.alarms.setpoints import SetPoint
from agent.messages import Reading
from agent.settings import in_force, limits, places
from drivers import Quality

POINTS = limits.load(places.named("limits", "responder")).points
OWN = {("gas2", "co"): SetPoint(quantity="co", unit="ppm", low=20, high=60, basis="order 7")}


def point(source: str, quantity: str) -> SetPoint | None:
    return OWN.get((source, quantity), POINTS.get(quantity))


def reading(
    source: str,
    quantity: str,
    unit: str = "ppm",
    value: float | None = 1.0,
    quality: Quality = Quality.GOOD,
) -> Reading:
    return Reading(source=source, quantity=quantity, unit=unit, value=value, quality=quality)


def test_a_limit_is_told_for_what_is_measured_alone() -> None:
    judged, unlimited = in_force.limits([reading("gas1", "cl2")], point)
    (cl2,) = judged
    assert (cl2.quantity, cl2.low, cl2.high, cl2.stel, cl2.twa) == ("cl2", 0.5, 1.0, 0.4, 0.1)
    assert (cl2.source, cl2.basis) == ("", "NIOSH ceiling 0.5; OSHA ceiling 1")
    assert cl2.exposure_basis.startswith("ACGIH TLV")
    assert unlimited == ()


def test_sensors_that_differ_are_told_apart() -> None:
    readings = [reading("gas1", "co"), reading("gas2", "co"), reading("gas3", "co", "mg/m3")]
    judged, unlimited = in_force.limits(readings, point)
    assert [(one.source, one.high, one.basis) for one in judged] == [
        ("gas1", 200, POINTS["co"].basis), ("gas2", 60, "order 7"),
    ]  # fmt: skip
    # Milligrams are not judged by a limit in ppm, and it does not look as if they were.
    assert unlimited == ("gas3/co",)


def test_a_gas_without_a_limit_is_named_and_the_weather_is_not() -> None:
    readings = [
        reading("gas1", "eto"), reading("gas2", "c6h6", value=None, quality=Quality.FAULT),
        reading("mast", "wind_speed", "m/s"),
    ]  # fmt: skip
    assert in_force.limits(readings, point) == ((), ("c6h6", "eto"))


def test_without_a_thermometer_the_air_is_that_of_the_standard() -> None:
    air = in_force.air([reading("gas1", "cl2"), reading("gas2", "combustible", "%LEL")], set())
    assert air is not None
    assert (air.temperature_c, air.pressure_hpa, air.measured) == (20.0, 1013.25, ())
    assert air.mg_m3_per_ppm == {"cl2": pytest.approx(2.9477, abs=2e-4)}


def test_the_weather_station_s_air_is_taken_before_a_warm_head_s() -> None:
    readings = [
        reading("head", "temperature", "Cel", 41.0), reading("gas1", "cl2"),
        reading("mast", "temperature", "Cel", 25.0), reading("mast", "pressure", "hPa", 1013.25),
    ]  # fmt: skip
    air = in_force.air(readings, set())
    assert air is not None
    assert (air.temperature_c, air.measured) == (25.0, ("temperature", "pressure"))
    assert air.mg_m3_per_ppm["cl2"] == pytest.approx(2.8982, abs=1e-4)
    silent = in_force.air(readings, {"mast"})
    assert silent is not None
    assert (silent.temperature_c, silent.measured) == (41.0, ("temperature",))


@pytest.mark.parametrize(
    "wrong",
    [reading("mast", "temperature", "Cel", 25.0, Quality.FAULT),
     reading("mast", "temperature", "Cel", 250.0),
     reading("mast", "temperature", "Cel", None), reading("mast", "temperature", "K", 298.0)],
)  # fmt: skip
def test_a_thermometer_that_cannot_be_believed_is_left_out(wrong: Reading) -> None:
    air = in_force.air([reading("gas1", "cl2"), wrong], set())
    assert air is not None
    assert (air.temperature_c, air.measured) == (20.0, ())


def test_where_no_gas_is_measured_there_is_no_air() -> None:
    assert in_force.air([reading("mast", "temperature", "Cel", 25.0)], set()) is None
