"""Puts the summary together from what the units told and what the far side heard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.drill.fleet import Unit
from agent.drill.recorder import Recorder
from agent.drill.report import (
    Summary,
    UnitReport,
    VideoReport,
    add_up_video,
    count_made,
    find_problems,
    list_alarms,
    list_link_gaps,
)

if TYPE_CHECKING:
    from agent.drill.director import Director
    from agent.drill.play import Drill


def make_summary(drill: Drill, director: Director, recorder: Recorder) -> Summary:
    """After the agents have ended."""
    units = {unit.id: _report_unit(drill, unit, recorder) for unit in drill.units.values()}
    problems = find_problems(units)
    if recorder.transitions_left_out:
        problems.append(f"{recorder.transitions_left_out} alarms were too many to list")
    title = drill.scenario.title
    return Summary(
        ok=not problems,
        problems=problems,
        mark="exercise",
        scenario=drill.name,
        title={"zh": title.zh, "en": title.en},
        seed=drill.seed,
        speed=director.speed,
        broker=str(recorder.broker),
        started_ms=int(drill.started * 1000),
        scenario_s=round(director.t_s, 1),
        real_s=round(time.time() - drill.started, 1),
        ended=director.reason or "interrupted",
        units=units,
        video=add_up_video(units),
        injects=director.log,
    )


def _report_unit(drill: Drill, unit: Unit, recorder: Recorder) -> UnitReport:
    counts = recorder.counts(unit.id)
    status = recorder.statuses.get(unit.id)
    told = {epoch.epoch: epoch.last for epoch in status.epochs} if status is not None else {}
    pending = unit.pending or 0
    if status is not None and status.state == "stopped":
        pending = status.pending
    name = unit.kit.spec.name
    return UnitReport(
        name={"zh": name.zh, "en": name.en},
        made=count_made(unit.made, told),
        received=counts.received,
        missing=max(0, counts.missing - pending),
        repeated=counts.repeated,
        pending=pending,
        alarms=list_alarms(recorder.transitions, unit.id),
        link_gaps=list_link_gaps(recorder.links, unit.id),
        video=_report_video(drill, unit),
        agent_starts=unit.starts,
        agent_exit=drill.exits.get(unit.id),
    )


def _report_video(drill: Drill, unit: Unit) -> VideoReport | None:
    if not drill.video or not unit.kit.spec.camera:
        return None
    viewer = drill.viewers.get(unit.id)
    if not drill.args.headless:
        return VideoReport(frames_encoded=unit.frames_encoded)
    return VideoReport(
        frames_encoded=unit.frames_encoded,
        frames_decoded=viewer.frames_decoded if viewer is not None else 0,
        detail=viewer.detail if viewer is not None else "the unit never told of a camera",
    )
