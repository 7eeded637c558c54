"""The report's arithmetic."""

from __future__ import annotations

import pytest

from agent.drill.recorder import LinkChange, Transition
from agent.drill.report import (
    LinkGap,
    Summary,
    UnitReport,
    VideoReport,
    add_up_video,
    count_made,
    find_problems,
    list_alarms,
    list_link_gaps,
    make_table,
)
from agent.messages import Alarm, AlarmState


def transition(
    change: str, seq: int, *, epoch: str = "100-a", unit: str = "ex-a", by: str = ""
) -> Transition:
    return Transition(
        unit=unit,
        epoch=epoch,
        seq=seq,
        t=1000 + seq,
        late=False,
        alarm=Alarm(
            alarm="cl2/cl2/high",
            code="high",
            rank=1,
            change=change,
            state=AlarmState.UNACKNOWLEDGED,
            source="cl2",
            quantity="cl2",
            delay_ms=2.5 if change == "raised" else None,
            by=by,
        ),
    )


def report(
    *, made: int = 100, received: int = 100, missing: int = 0, pending: int = 0,
    video: VideoReport | None = None, agent_exit: int | None = 0,
) -> UnitReport:  # fmt: skip
    return UnitReport(
        name={"zh": "甲", "en": "A"}, made=made, received=received, missing=missing,
        repeated=0, pending=pending, alarms=[], link_gaps=[], video=video, agent_starts=1,
        agent_exit=agent_exit,
    )  # fmt: skip


def test_made_is_the_highest_number_of_each_epoch_that_anybody_told() -> None:
    assert count_made({"1-a": 10, "2-b": 5}, {"1-a": 12}, {"2-b": 3, "3-c": 1}) == 18
    assert count_made() == 0


def test_an_alarm_is_acknowledged_by_whoever_did_it_first_after_it_was_raised() -> None:
    arrived = [
        transition("acknowledged", 9, by="hq/wang"),
        transition("raised", 5),
        transition("returned", 7),
        transition("raised", 20),
        transition("raised", 6, unit="ex-b"),
    ]
    first, second = list_alarms(arrived, "ex-a")
    assert (first.raised_ms, first.delay_ms) == (1005, 2.5)
    assert (first.acknowledged_ms, first.acknowledged_by) == (1009, "hq/wang")
    assert (second.raised_ms, second.acknowledged_ms, second.acknowledged_by) == (1020, None, "")


def test_alarms_stand_in_the_order_of_their_making_over_epochs() -> None:
    arrived = [
        transition("acknowledged", 1, epoch="200-b", by="panel"),
        transition("raised", 900, epoch="100-a"),
    ]
    (only,) = list_alarms(arrived, "ex-a")
    assert only.acknowledged_by == "panel"


def change(state: str, at_ms: int, unit: str = "ex-a") -> LinkChange:
    return LinkChange(unit=unit, path="center", state=state, heard_ms=at_ms)


def test_a_link_gap_is_from_lost_to_up() -> None:
    heard = [
        change("up", 0),
        change("lost", 10_000),
        change("up", 500, "ex-b"),
        change("up", 40_500),
        change("closed", 60_000),
        change("up", 61_000),
        change("lost", 70_000),
    ]
    assert list_link_gaps(heard, "ex-a") == [
        LinkGap(path="center", lost_ms=10_000, back_ms=40_500, seconds=30.5),
        LinkGap(path="center", lost_ms=70_000, back_ms=None, seconds=None),
    ]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (report(), []),
        (report(missing=3), ["ex-a: 3 of 100 records are missing"]),
        (report(pending=2), ["ex-a: 2 records are still on its disk"]),
        (report(received=0, made=0), ["ex-a: nothing arrived"]),
        (report(agent_exit=-9), ["ex-a: its agent ended with -9, expected 0"]),
        (report(video=VideoReport(frames_encoded=9, frames_decoded=9)), []),
        (report(video=VideoReport(frames_encoded=9)), []),
        (
            report(video=VideoReport(frames_encoded=9, frames_decoded=0, detail="no way")),
            ["ex-a: no picture was decoded (no way)"],
        ),
    ],
)
def test_what_makes_a_drill_not_ok(unit: UnitReport, expected: list[str]) -> None:
    assert find_problems({"ex-a": unit}) == expected


def test_pictures_add_up() -> None:
    units = {
        "ex-a": report(video=VideoReport(frames_encoded=10, frames_decoded=8)),
        "ex-b": report(video=VideoReport(frames_encoded=5, frames_decoded=5)),
        "ex-c": report(),
    }
    assert add_up_video(units) == VideoReport(frames_encoded=15, frames_decoded=13)
    assert add_up_video({"ex-c": report()}) == VideoReport()


def summary(units: dict[str, UnitReport]) -> Summary:
    problems = find_problems(units)
    return Summary(
        ok=not problems, problems=problems, mark="exercise", scenario="s",
        title={"zh": "试", "en": "Trial"}, seed=1, speed=1.0, broker="mqtt://x", started_ms=0,
        scenario_s=1, real_s=1, ended="duration", units=units, video=add_up_video(units),
        injects=[],
    )  # fmt: skip


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_table_has_straight_columns(lang: str) -> None:
    units = {"ex-a": report(), "ex-long-name": report(made=123456, missing=1)}
    lines = make_table(summary(units), lang).splitlines()
    columns = [sum(2 if ord(char) > 0x2E7F else 1 for char in line) for line in lines[:3]]
    assert len(set(columns)) == 1
    assert "123456" in lines[2]
    assert lines[4] == "  ex-long-name: 1 of 123456 records are missing"
