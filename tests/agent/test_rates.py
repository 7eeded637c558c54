"""How densely readings become records; alarms see them all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agent.messages import Class, Reading
from agent.rates import Lease, Rates
from agent.settings.rates import RatesConfig, RatesProfile
from drivers import Quality, Sample
from tests.agent.rig import center
from tests.agent.test_every_verb import done, tables
from tests.agent.whole import whole
from tests.mosquitto import Mosquitto
from tests.waiting import until

THIN = RatesProfile(name="thin", period_s=30.0, quantities={"cl2": 5.0})
CONFIG = RatesConfig(profile=(THIN,), least_s=1.0, most_s=60.0)


def rates(config: RatesConfig = CONFIG, *, stands: bool = False) -> Rates:
    return Rates(config, lambda source, quantity: stands)


def one(quantity: str = "temperature", quality: Quality = Quality.GOOD) -> Reading:
    return Reading(source="mast", quantity=quantity, value=1.0, unit="Cel", quality=quality)


def taken(made: Rates, seconds: int, quantity: str = "temperature") -> list[int]:
    return [at for at in range(seconds) if made.takes(one(quantity), float(at))]


def test_each_reading_is_a_record_where_nobody_asks_otherwise() -> None:
    assert taken(rates(), 5) == [0, 1, 2, 3, 4]


def test_a_profile_thins_and_names_some_quantities_otherwise() -> None:
    made = rates()
    assert made.choose("thin", "hq") is THIN
    assert taken(made, 61) == [0, 30, 60]
    assert taken(made, 11, "cl2") == [0, 5, 10]
    assert made.choose("", "hq").name == ""
    with pytest.raises(LookupError, match="there is no profile 'fat'; this unit has: thin"):
        made.choose("fat", "hq")


def test_jitter_does_not_halve_the_rate() -> None:
    made = rates()
    made.ask("a", "temperature", Lease(1.0, 1e9, "hq"))
    times = [number + (0.01 if number % 2 else 0.0) for number in range(6)]
    assert [made.takes(one(), at) for at in times] == [True] * 6


def test_the_densest_of_what_centers_ask_counts_and_leases_end() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    made = Rates(CONFIG, lambda *_: False, lambda event, *_, **data: told.append((event, data)))
    made.ask("city", "temperature", Lease(60.0, 100.0, "a"))
    made.ask("county", "temperature", Lease(10.0, 50.0, "b"))
    assert made.period_s("temperature") == 10.0
    made.tick(50.0)
    assert made.period_s("temperature") == 60.0
    made.give_back("city", "temperature", "a")
    assert made.period_s("temperature") == 0.0
    assert [event for event, _ in told] == ["rate", "rate", "rate_ended", "rate_ended"]
    with pytest.raises(LookupError, match="no rate of 'temperature' is asked for"):
        made.give_back("city", "temperature", "a")


@pytest.mark.parametrize("period_s", [0.5, 61.0])
def test_a_center_keeps_to_the_unit_s_limits(period_s: float) -> None:
    with pytest.raises(ValueError, match="expected a period of 1 to 60 s, read"):
        rates().ask("a", "temperature", Lease(period_s, 1e9, "hq"))


def test_what_an_alarm_stands_on_is_recorded_whole() -> None:
    made = rates(stands=True)
    made.choose("thin", "hq")
    assert taken(made, 5) == [0, 1, 2, 3, 4]


def test_a_change_of_quality_is_a_record() -> None:
    made = rates()
    made.choose("thin", "hq")
    assert made.takes(one(), 0.0)
    assert not made.takes(one(), 1.0)
    assert made.takes(one(quality=Quality.FAULT), 2.0)
    assert not made.takes(one(quality=Quality.FAULT), 3.0)


async def test_a_thinned_unit_still_raises_its_alarm_and_its_link_is_limited(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    given = tables(mosquitto.port, ("rate", "profile"), media=False)
    async with center(mosquitto.port) as heard, whole(tmp_path, given) as made:
        app = made.running
        heard.command("profile", {"name": "thin"}, id="p")
        await done(heard, "p")
        assert app.uplinks[0].channel.ration.allowance.budget.per_day == 5_000_000

        def read(value: float) -> None:
            sample = Sample(quantity="cl2", value=value, unit="ppm", at=time.monotonic())
            app.hub.emit("gas", sample)

        for value in (0.0, 0.1, 0.2, 0.1):
            read(value)
        read(9.0)
        assert "high" in [alarm.code for alarm in app.engine.active()]
        read(9.5)
        await until(
            lambda: (
                [r.body["value"] for r in heard.of(Class.READINGS) if r.body["quantity"] == "cl2"]
                == [0.0, 9.0, 9.5]
            ),
            "the first, and those of the alarm, are records",
        )
        await until(lambda: heard.retained["status"].get("rates") == "thin", "the status tells")
        heard.command("profile", {"name": ""}, id="q")
        await done(heard, "q")
        assert app.uplinks[0].channel.ration.allowance.budget.per_day == 0
