"""What the console knows of units: each message, and its bounds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent import topics
from agent.center.gap_closer import PATIENCE_S
from agent.center.receiver import Gap
from agent.console import units as units_module
from agent.console.units import SERIES_MS, Units
from tests.console.wire import (
    ALARM,
    EPOCH,
    UNIT,
    active,
    batch,
    encode,
    link,
    position,
    reading,
    status,
    topic,
)

OLDER = "1700000000000-zzzz"


@pytest.fixture
def units() -> Units:
    return Units(since=0)


def shown(units: Units) -> dict[str, Any]:
    """The unit as a page gets it."""
    state: dict[str, Any] = msgspec.json.decode(encode(units.state(UNIT)))
    return state


def test_a_status_is_told_and_an_older_one_is_not(units: Units) -> None:
    (update,) = units.feed(topic("status"), status(version=2, pending=7))
    assert (update["type"], update["unit"], update["status"].pending) == ("status", UNIT, 7)
    assert units.feed(topic("status"), status(version=1)) == []
    assert units.feed(topic("status"), b"") == [], "a drill that tidies up"
    assert shown(units)["status"]["version"] == 2


def test_readings_become_latest_and_series(units: Units) -> None:
    (update,) = units.feed(topic("readings"), batch(reading(1, 0.0), reading(2, 1.5)))
    assert update["type"] == "records"
    assert [record["value"] for record in update["records"]] == [0.0, 1.5]
    assert "raw" not in update["records"][0], "a frame's bytes are not for every page"
    state = shown(units)
    assert state["latest"]["gas1/cl2"]["value"] == 1.5
    assert state["series"]["gas1/cl2"] == [[1_800_000_001_000, 0.0], [1_800_000_002_000, 1.5]]
    assert units.feed(topic("readings"), batch(reading(2, 1.5))) == [], "a repeat is not told"


def test_what_comes_late_finds_its_place_and_replaces_nothing_newer(units: Units) -> None:
    units.feed(topic("readings"), batch(reading(5, 5.0)))
    units.feed(topic("readings"), batch(reading(3, 3.0, late=True), reading(4, 4.0, late=True)))
    state = shown(units)
    assert state["latest"]["gas1/cl2"]["value"] == 5.0
    assert [value for _, value in state["series"]["gas1/cl2"]] == [3.0, 4.0, 5.0]


def test_a_series_keeps_ten_minutes(units: Units) -> None:
    start = 1_800_000_000_000
    for seq in range(1, 700):
        units.feed(topic("readings"), batch(reading(seq, float(seq), t=start + seq * 1000)))
    points = shown(units)["series"]["gas1/cl2"]
    assert points[-1][0] - points[0][0] == SERIES_MS
    assert len(points) == 601


def test_series_and_quantities_are_bounded(units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units_module, "MAX_POINTS", 10)
    monkeypatch.setattr(units_module, "MAX_QUANTITIES", 3)
    records = [reading(seq, t=1000 + seq) for seq in range(1, 31)]
    records += [reading(31 + n, quantity=f"q{n}") for n in range(10)]
    units.feed(topic("readings"), batch(*records))
    state = shown(units)
    assert len(state["series"]["gas1/cl2"]) == 10
    assert len(state["latest"]) == len(state["series"]) == 3


def test_a_clock_that_was_set_back_does_not_freeze_the_curve(units: Units) -> None:
    units.feed(topic("readings"), batch(reading(1, 1.0, t=4_000_000_000_000)))
    units.feed(topic("readings"), batch(reading(2, 2.0, t=1_800_000_000_000)))
    state = shown(units)
    assert state["series"]["gas1/cl2"] == [[1_800_000_000_000, 2.0]]
    assert state["latest"]["gas1/cl2"]["value"] == 2.0


def test_fixes_become_a_track_and_one_without_a_place_does_not(units: Units) -> None:
    units.feed(topic("readings"), batch(position(1, 30.5, 114.3), position(2, 30.6, 114.4)))
    nowhere = reading(3, source="gnss", quantity="position", fix={"mode": 1})
    units.feed(topic("readings"), batch(nowhere))
    state = shown(units)
    assert [point[1:] for point in state["track"]] == [[30.5, 114.3], [30.6, 114.4]]
    assert state["fix"]["mode"] == 1, "that the position is lost must be seen"
    assert state["fix"]["source"] == "gnss"
    assert state["latest"] == {}


def test_links_follow_the_newest_epoch_and_version(units: Units) -> None:
    units.feed(topic("link", "center"), link("up"))
    (update,) = units.feed(topic("link", "center"), link("lost"))
    assert update == {"type": "link", "unit": UNIT, "path": "center", "state": "lost", "t": 5}
    assert units.feed(topic("link", "center"), link("up", epoch=OLDER)) == []
    assert shown(units)["links"] == {"center": "lost"}
    units.feed(topic("link", "center"), b"")
    assert shown(units)["links"] == {}


def test_who_is_heard_through_a_vehicle_is_lost_with_it(units: Units) -> None:
    kit = topics.Topic(exercise=True, org="hubei", unit="ex-kit-01", path=("link", UNIT))
    through = {**msgspec.json.decode(link("up")), "unit": "ex-kit-01", "path": UNIT}
    units.feed(kit, encode(through))
    units.feed(topic("link", "center"), link("up"))
    units.feed(topic("link", "satellite"), link("up"))
    assert len(units.feed(topic("link", "center"), link("lost"))) == 1, "one way is left"
    own, behind = units.feed(topic("link", "satellite"), link("lost"))
    assert own["unit"] == UNIT
    assert behind == {
        "type": "link", "unit": "ex-kit-01", "path": UNIT, "state": "lost", "t": 5
    }  # fmt: skip
    (again,) = units.feed(kit, encode(through))
    assert again["state"] == "up", "the vehicle says it at each connection"


def test_active_alarms_follow_the_newest_version(units: Units) -> None:
    (update,) = units.feed(topic("alarms", "active"), active(2, ALARM))
    assert update["type"] == "active"
    assert units.feed(topic("alarms", "active"), active(1)) == []
    assert [alarm["alarm"] for alarm in shown(units)["alarms"]] == ["gas1/cl2/high"]


def test_alarms_events_and_acks_are_told_one_by_one(units: Units) -> None:
    envelope = {"prev": 0, "t": 7, "clock": "gnss"}
    ack = {"id": "c1", "verb": "alarm.ack", "outcome": "done"}
    told = [
        *units.feed(topic("alarms"), batch({"seq": 1} | envelope | ALARM)),
        *units.feed(topic("events"), batch({"seq": 2} | envelope | {"event": "started"})),
        *units.feed(topic("ack"), batch({"seq": 3} | envelope | ack)),
    ]
    assert [update["type"] for update in told] == ["alarm", "event", "ack"]
    assert told[2]["record"]["id"] == "c1"
    assert [event["event"] for event in shown(units)["events"]] == ["started"]


def test_the_dose_of_each_minute_does_not_push_out_what_has_happened(units: Units) -> None:
    envelope = {"t": 1_800_000_000_000, "clock": "ntp"}
    for seq, name in enumerate(["started", "exposure", "exposure_closed"], 1):
        event = {"seq": seq, "prev": seq - 1} | envelope | {"event": name}
        told = units.feed(topic("events"), batch(event))
        assert len(told) == (0 if name == "exposure" else 1)
    assert [event["event"] for event in shown(units)["events"]] == ["started", "exposure_closed"]


def test_the_last_fifty_events_are_kept_in_order(units: Units) -> None:
    for seq in range(1, 81):
        event = {"seq": seq, "prev": 0, "t": seq, "clock": "gnss", "event": "source_up"}
        units.feed(topic("events"), batch(event))
    assert [event["t"] for event in shown(units)["events"]] == list(range(31, 81))


def test_counts_are_told_once_a_second_and_gaps_asked_for(units: Units) -> None:
    units.feed(topic("link", "center"), link("up"))
    units.feed(topic("readings"), batch(reading(1), reading(4)))
    updates, wanted = units.tick(0.0)
    assert updates == [
        {"type": "counts", "unit": UNIT, "counts": {"received": 2, "repeated": 0, "missing": 2}}
    ]
    assert wanted == []
    updates, wanted = units.tick(PATIENCE_S)
    assert updates == [], "nothing has changed"
    assert wanted == [(UNIT, Gap(EPOCH, 2, 3))]


def test_a_unit_whose_link_is_lost_is_asked_when_it_is_back(units: Units) -> None:
    units.feed(topic("link", "center"), link("lost"))
    units.feed(topic("readings"), batch(reading(1), reading(4)))
    for second in range(600):
        assert units.tick(float(second))[1] == []
    units.feed(topic("link", "center"), link("up"))
    units.tick(600.0)
    assert units.tick(600.0 + PATIENCE_S)[1] == [(UNIT, Gap(EPOCH, 2, 3))]


def test_a_status_tells_of_records_that_never_came(units: Units) -> None:
    units.feed(topic("readings"), batch(reading(1)))
    units.feed(topic("status"), status(epochs=[{"epoch": EPOCH, "last": 3}]))
    updates, _ = units.tick(0.0)
    assert updates[0]["counts"]["missing"] == 2


@pytest.mark.parametrize(
    ("path", "payload", "sentence"),
    [
        (("status",), b"[]", "ex-cv-01/status: expected a Status"),
        (("alarms", "active"), b"{}", "ex-cv-01/alarms/active: expected ActiveAlarms"),
        (("link", "a"), link("up", epoch="x"), "an epoch is"),
        (("link", "a"), link("up").replace(b"exercise", b"actual"), "does not belong"),
        (("link", "a"), link("up").replace(b"ex-cv-01", b"ex-cv-99"), "names unit 'ex-cv-99'"),
    ],
)
def test_bad_messages_are_refused_and_make_no_unit(
    units: Units, path: tuple[str, ...], payload: bytes, sentence: str
) -> None:
    with pytest.raises(ValueError, match="ex-cv-01") as caught:
        units.feed(topic(*path), payload)
    assert sentence in str(caught.value)
    assert UNIT not in units


def test_units_are_bounded(units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units_module, "MAX_UNITS", 1)
    units.feed(topic("status"), status())
    other = status().replace(b'"unit":"ex-cv-01"', b'"unit":"ex-cv-02"')
    with pytest.raises(ValueError, match="at most 1 units"):
        units.feed(topic("status", unit="ex-cv-02"), other)
