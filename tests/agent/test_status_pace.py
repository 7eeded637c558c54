"""A status, and pictures, over a link that may not carry much."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.status_pace import (
    AT_ONCE,
    DAY_S,
    PERIOD_S,
    SHARE,
    SOON_SHARE,
    StatusPace,
    per_day,
    period_s,
)
from agent.messages import SourceStatus, Status
from agent.uplink import Uplink
from tests.agent.rig import Unit, center, connected, settled, unit, uplink_config, values
from tests.mosquitto import Mosquitto
from tests.waiting import until

SIZE = 3_000
MB = 1e6


def status(**over: Any) -> bytes:
    body = {"unit": "ex-cv-01", "state": "running", "t": 1, "sources": [], **over}
    return msgspec.json.encode(body)


def told(pace: StatusPace, day_bytes: float, states: list[bytes], each_s: float) -> int:
    return sum(
        pace.due(state, SIZE, day_bytes, each_s * number) for number, state in enumerate(states)
    )


def test_without_a_limit_every_status_goes() -> None:
    pace = StatusPace()
    assert per_day(0, 0) == float("inf")
    assert told(pace, per_day(0, 0), [status()] * 10, 30.0) == 10
    assert period_s(SIZE, float("inf")) == PERIOD_S[0]


@pytest.mark.parametrize("mb", [1000.0, 50.0, 20.0])
def test_of_a_day_s_budget_unchanged_ones_take_a_fiftieth(mb: float) -> None:
    """One each 30 s, in which the numbers change as they do."""
    states = [status(t=30 * number, pending=number % 7) for number in range(round(DAY_S / 30))]
    count = told(StatusPace(), mb * MB, states, 30.0)
    assert count * SIZE <= max(SHARE * mb * MB, 0) + SIZE
    assert count * SIZE > 0.8 * min(SHARE * mb * MB, SIZE * DAY_S / 30)


def test_one_comes_at_least_each_hour_however_small_the_budget() -> None:
    states = [status(t=number) for number in range(round(DAY_S / 30))]
    assert told(StatusPace(), 10_000, states, 30.0) == 24


def test_the_rate_limits_it_where_there_is_no_budget() -> None:
    assert per_day(0, 1200) == 1200 * DAY_S
    assert per_day(50 * MB, 1e9) == 50 * MB
    assert period_s(SIZE, per_day(0, 8000)) == PERIOD_S[0], "64 kbit/s bear one each 30 s"
    assert period_s(SIZE, per_day(0, 1200)) == pytest.approx(125.0)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": [{"name": "gas", "state": "down"}]}, {"person": {"discreet": True}},
        {"limits": [{"quantity": "cl2", "high": 2.0}]}, {"incident": "wh-2026-017"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_is_new_goes_at_once(change: dict[str, Any]) -> None:
    pace = StatusPace()
    before = {"limits": [{"quantity": "cl2", "high": 1.0}]}
    assert pace.due(status(**before), SIZE, 5 * MB, 0.0)
    assert not pace.due(status(**before, t=2, pending=9), SIZE, 5 * MB, 1.0)
    assert pace.due(status(**before | change), SIZE, 5 * MB, 2.0)
    assert not pace.due(status(**before | change), SIZE, 5 * MB, 3.0)
    assert pace.due(status(**before), SIZE, 5 * MB, 4.0), "and that it is over, too"


def test_what_changes_for_ever_does_not_eat_the_link() -> None:
    """A source that comes and goes each ten seconds, all day."""
    pace = StatusPace()
    flutter = itertools.cycle(["up", "down"])
    states = [status(source=next(flutter)) for _ in range(round(DAY_S / 10))]
    count = told(pace, 5 * MB, states, 10.0)
    assert count * SIZE <= (SHARE + SOON_SHARE) * 5 * MB + AT_ONCE * SIZE
    end = DAY_S + 1
    # What was held back is said when there is room again.
    assert not pace.due(status(source="broken"), SIZE, 5 * MB, end)
    assert pace.due(status(source="broken"), SIZE, 5 * MB, end + SIZE / (0.1 * 5 * MB) * DAY_S)


def test_a_new_connection_and_the_end_of_a_unit_are_always_told() -> None:
    pace = StatusPace()
    for number in range(3 * AT_ONCE):
        pace.begin()
        assert pace.due(status(), SIZE, 10_000, float(number))
    assert pace.due(status(state="stopped"), SIZE, 10_000, 99.0)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from("abc")), min_size=1, max_size=60),
    st.floats(0.1, 100.0),
)
def test_the_newest_is_never_older_than_an_hour(said: list[tuple[int, str]], mb: float) -> None:
    pace, now, last, shown = StatusPace(), 0.0, 0.0, ""
    for after_s, word in said:
        now += after_s
        if pace.due(status(source=word), SIZE, mb * MB, now):
            last, shown = now, word
        assert now - last < PERIOD_S[1]
        assert shown == word or (pace._room is not None and pace._room < SIZE)


# -- a real broker ---------------------------------------------------------------------------------


class Changing(Unit):
    """A unit with a source that can go down."""

    down = False

    def status(self, uplink: Uplink) -> Status:
        source = SourceStatus(name="gas", driver="winsen", state="down" if self.down else "up")
        return msgspec.structs.replace(super().status(uplink), sources=(source,))


async def test_over_satellite_a_status_goes_when_it_says_something(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.agent.rig.Unit", Changing)
    link = uplink_config(mosquitto.port, kind="satellite", budget_mb_per_day=5.0)
    async with center(mosquitto.port) as heard, unit(tmp_path / "store", link) as made:
        await connected(made)
        await until(lambda: "status" in heard.retained, "the first one comes")
        assert made.uplink.status_s > 60
        for _ in range(20):
            made.read(1)
            assert made.uplink.publish_status() is None
        made.down = True  # type: ignore[attr-defined]
        assert made.uplink.publish_status() is not None
        await until(
            lambda: heard.retained["status"]["sources"][0]["state"] == "down", "what is new comes"
        )
        await settled(made)
        statuses = [one for one in heard.messages if one.topic.endswith("/status")]
        assert len(statuses) == 2


@pytest.mark.parametrize("budget_mb", [0.0, 5.0])
async def test_pictures_take_what_is_left_over(
    mosquitto: Mosquitto, tmp_path: Path, budget_mb: float
) -> None:
    """Twenty of 30 kB; alarms and readings go all the same."""
    link = uplink_config(mosquitto.port, rate_kbit_s=0.0, budget_mb_per_day=budget_mb)
    async with center(mosquitto.port) as heard, unit(tmp_path / "store", link) as made:
        await connected(made)
        await settled(made)

        def stills() -> int:
            return sum(one.topic.endswith("/still/front") for one in heard.messages)

        def asked() -> int:
            made.uplink.publish("still/front", b"x" * 30_000, qos=0)
            return stills()

        await until(lambda: asked() > 0, "a first one goes")
        before = stills()
        for _ in range(20):
            asked()
            made.read(1)
            await settled(made)
        # What comes after them has come.
        await until(lambda: len(values(heard, "gas1")) == 20, "all records are there")
        assert heard.missing == 0
        assert stills() >= before + 20 if not budget_mb else stills() <= 2
