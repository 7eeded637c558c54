"""The after-action report: what was made, what arrived, what rang.  Pure: numbers in, JSON out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from agent.drill.recorder import LinkChange, Transition
from agent.messages import epoch_order

RAISING = ("raised", "worsened")


class AlarmReport(msgspec.Struct, kw_only=True):
    """An alarm, from its raising to its acknowledgement."""

    alarm: str
    code: str
    rank: int
    change: str
    """`raised`, or `worsened`."""
    raised_ms: int
    """UTC."""
    delay_ms: float | None
    """From the first byte of the sensor's frame to the alarm, measured in the unit."""
    acknowledged_ms: int | None = None
    acknowledged_by: str = ""
    late: bool = False
    """It had to wait for the link."""


class LinkGap(msgspec.Struct, frozen=True, kw_only=True):
    """A time without the link, as the far side saw it."""

    path: str
    lost_ms: int
    back_ms: int | None
    seconds: float | None


class VideoReport(msgspec.Struct, frozen=True, kw_only=True):
    frames_encoded: int = 0
    """As the agents told last: what one had not told when it was killed is not in it."""
    frames_decoded: int | None = None
    """None where there was no viewer to count."""
    detail: str = ""


class UnitReport(msgspec.Struct, frozen=True, kw_only=True):
    """One unit.  made = received + missing + pending, when all is over."""

    name: dict[str, str]
    made: int
    received: int
    missing: int
    """Made, acknowledged by the broker, and never arrived, after `resend`."""
    repeated: int
    """Arrived more than once, and counted once."""
    pending: int
    """Still on the unit's disk, not acknowledged."""
    alarms: list[AlarmReport]
    link_gaps: list[LinkGap]
    video: VideoReport | None
    agent_starts: int
    agent_exit: int | None
    """Of its last run: 0 in order; negative: the signal; None: it had to be left."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What `--summary` writes."""

    ok: bool
    problems: list[str]
    mark: str
    scenario: str
    title: dict[str, str]
    seed: int
    speed: float
    broker: str
    started_ms: int
    scenario_s: float
    """How far the scenario's clock went."""
    real_s: float
    ended: str
    """`duration`, `instructor`, `real_emergency`, `interrupted`, `failed`."""
    units: dict[str, UnitReport]
    video: VideoReport
    injects: list[dict[str, Any]]


def count_made(*tellings: dict[str, int]) -> int:
    """Records of all epochs, by the highest last number that anybody told of each."""
    last: dict[str, int] = {}
    for telling in tellings:
        for epoch, number in telling.items():
            last[epoch] = max(last.get(epoch, 0), number)
    return sum(last.values())


def list_alarms(transitions: Iterable[Transition], unit: str) -> list[AlarmReport]:
    """Each raising of each alarm of a unit, with the acknowledgement that followed it."""
    ordered = sorted(
        (transition for transition in transitions if transition.unit == unit),
        key=lambda transition: (epoch_order(transition.epoch), transition.seq),
    )
    found: list[AlarmReport] = []
    for transition in ordered:
        alarm = transition.alarm
        if alarm.change in RAISING:
            found.append(
                AlarmReport(
                    alarm=alarm.alarm, code=alarm.code, rank=alarm.rank, change=alarm.change,
                    raised_ms=transition.t, delay_ms=alarm.delay_ms, late=transition.late,
                )
            )  # fmt: skip
        elif alarm.change == "acknowledged":
            for report in found:
                if report.alarm == alarm.alarm and report.acknowledged_ms is None:
                    report.acknowledged_ms = transition.t
                    report.acknowledged_by = alarm.by
    return found


def list_link_gaps(changes: Sequence[LinkChange], unit: str) -> list[LinkGap]:
    """Each time that a unit's link was lost, and when it was back."""
    lost: dict[str, int] = {}
    found: list[LinkGap] = []
    for change in changes:
        if change.unit != unit:
            continue
        if change.state == "lost":
            lost.setdefault(change.path, change.heard_ms)
        elif change.state == "up" and change.path in lost:
            began = lost.pop(change.path)
            seconds = round((change.heard_ms - began) / 1000, 1)
            found.append(
                LinkGap(path=change.path, lost_ms=began, back_ms=change.heard_ms, seconds=seconds)
            )
    found += [
        LinkGap(path=path, lost_ms=began, back_ms=None, seconds=None)
        for path, began in lost.items()
    ]
    return sorted(found, key=lambda gap: gap.lost_ms)


def find_problems(units: dict[str, UnitReport]) -> list[str]:
    """Why a drill is not `ok`, one sentence each."""
    found = []
    for unit, report in units.items():
        if not report.received:
            found.append(f"{unit}: nothing arrived")
        if report.missing:
            found.append(f"{unit}: {report.missing} of {report.made} records are missing")
        if report.pending:
            found.append(f"{unit}: {report.pending} records are still on its disk")
        if report.agent_exit != 0:
            found.append(f"{unit}: its agent ended with {report.agent_exit}, expected 0")
        video = report.video
        if video is not None and video.frames_decoded == 0:
            found.append(
                f"{unit}: no picture was decoded{f' ({video.detail})' * bool(video.detail)}"
            )
    return found


def add_up_video(units: dict[str, UnitReport]) -> VideoReport:
    """Over all units."""
    videos = [report.video for report in units.values() if report.video is not None]
    decoded = [v.frames_decoded for v in videos if v.frames_decoded is not None]
    return VideoReport(
        frames_encoded=sum(video.frames_encoded for video in videos),
        frames_decoded=sum(decoded) if decoded else None,
    )


_HEADINGS = {
    "en": ("unit", "made", "received", "missing", "repeated", "pending", "alarms", "slowest",
           "acked", "link lost", "encoded", "decoded"),
    "zh": ("单元", "生成", "收到", "缺失", "重复", "待发", "告警", "最慢", "已确认", "断链",
           "编码", "解码"),
}  # fmt: skip


def make_table(summary: Summary, lang: str) -> str:
    """The report as lines for a terminal."""
    rows = [_HEADINGS[lang], *(_row(unit, report) for unit, report in summary.units.items())]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            _pad(cell, width, left=column == 0)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    verdict = {
        ("en", True): "ok: nothing missing, nothing left behind",
        ("en", False): "NOT OK",
        ("zh", True): "通过: 无缺失, 无滞留",
        ("zh", False): "未通过",
    }[lang, summary.ok]
    return "\n".join([*lines, verdict, *(f"  {problem}" for problem in summary.problems)])


def _row(unit: str, report: UnitReport) -> tuple[str, ...]:
    delays = [alarm.delay_ms for alarm in report.alarms if alarm.delay_ms is not None]
    acknowledged = sum(alarm.acknowledged_ms is not None for alarm in report.alarms)
    lost_s = sum(gap.seconds or 0.0 for gap in report.link_gaps)
    video = report.video
    return (
        unit,
        str(report.made),
        str(report.received),
        str(report.missing),
        str(report.repeated),
        str(report.pending),
        str(len(report.alarms)),
        f"{max(delays):.1f} ms" if delays else "-",
        str(acknowledged),
        f"{len(report.link_gaps)} ({lost_s:.0f} s)" if report.link_gaps else "-",
        str(video.frames_encoded) if video else "-",
        str(video.frames_decoded) if video and video.frames_decoded is not None else "-",
    )


def _width(text: str) -> int:
    """Columns of a terminal: a Chinese character takes two."""
    return sum(2 if ord(char) > 0x2E7F else 1 for char in text)


def _pad(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text
