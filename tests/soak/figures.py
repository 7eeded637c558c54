"""What a process holds, over time, and whether it grows."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import msgspec

PAGE = os.sysconf("SC_PAGE_SIZE")
WARM_SHARE = 0.25
"""Of the run: caches fill, every kind of viewer has been there once."""
TOLERATED = {"rss_mb": 6.0, "files": 3.0, "threads": 3.0}
"""Growth over the judged part of a run that is still no growth, and per hour of it:"""
PER_HOUR = {"rss_mb": 12.0, "files": 0.0, "threads": 0.0}


class Sample(msgspec.Struct, frozen=True):
    at_s: float
    rss_mb: float
    files: float
    threads: float


def sample(pid: int, at_s: float) -> Sample:
    """OSError: it has gone."""
    place = Path(f"/proc/{pid}")
    pages = int((place / "statm").read_text(encoding="ascii").split()[1])
    return Sample(
        at_s,
        pages * PAGE / 2**20,
        len(os.listdir(place / "fd")),
        len(os.listdir(place / "task")),
    )


def media_pid(core: int) -> int:
    """ProcessLookupError: the agent has no media process now."""
    for task in Path(f"/proc/{core}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text(encoding="ascii").split():
                if b"agent.media" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    raise ProcessLookupError("no media process")


class Verdict(msgspec.Struct, frozen=True):
    """Of one figure of one process."""

    process: str
    figure: str
    first: float
    last: float
    growth: float
    """By the line of least squares, over the judged part."""
    tolerated: float

    @property
    def grows(self) -> bool:
        return self.growth > self.tolerated

    def line(self) -> str:
        return (
            f"{self.process:8} {self.figure:8} {self.first:9.1f} {self.last:9.1f} "
            f"{self.growth:+9.2f} {self.tolerated:9.2f}  {'GROWS' if self.grows else 'flat'}"
        )


HEAD = f"{'process':8} {'figure':8} {'first':>9} {'last':>9} {'growth':>9} {'allowed':>9}"


def judge(process: str, samples: list[Sample]) -> Iterator[Verdict]:
    """After the warm-up.  `first` and `last` are means of a tenth of what is judged."""
    end_s = samples[-1].at_s
    judged = [one for one in samples if one.at_s >= WARM_SHARE * end_s]
    seconds = judged[-1].at_s - judged[0].at_s
    tenth = max(1, len(judged) // 10)
    for figure, tolerated in TOLERATED.items():
        values = [getattr(one, figure) for one in judged]
        slope = statistics.linear_regression([one.at_s for one in judged], values).slope
        yield Verdict(
            process, figure, statistics.fmean(values[:tenth]), statistics.fmean(values[-tenth:]),
            slope * seconds, tolerated + PER_HOUR[figure] * seconds / 3600,
        )  # fmt: skip
