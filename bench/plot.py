"""The shaped link as a picture: SVG, by hand, so that nothing has to be installed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, GAP = 1000, 620, 70, 30, 40
PANEL = (HEIGHT - TOP - 3 * GAP) / 3
INK = {"link": "#999", "video": "#1f6fb2", "frames": "#2b8a3e", "readings": "#d9480f"}

Point = tuple[float, float]


class _Panel:
    """One set of axes; y is logarithmic where `log` says so."""

    def __init__(self, number: int, title: str, end: float, low: float, high: float, log: bool):
        self.top = TOP + number * (PANEL + GAP)
        self._title, self._end, self._low, self._high, self._log = title, end, low, high, log

    def x(self, t: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * t / self._end

    def y(self, value: float) -> float:
        low, high, value = self._low, self._high, min(max(value, self._low), self._high)
        if self._log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.top + PANEL * (1 - (value - low) / (high - low))

    def frame(self, ticks: Sequence[float]) -> str:
        out = [
            f'<text x="{LEFT}" y="{self.top - 6:.0f}" font-weight="bold">{self._title}</text>',
            f'<rect x="{LEFT}" y="{self.top:.0f}" width="{WIDTH - LEFT - 20}" '
            f'height="{PANEL:.0f}" fill="none" stroke="#ccc"/>',
        ]
        for tick in ticks:
            y = self.y(tick)
            out.append(
                f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{tick:g}</text>'
                f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
            )
        return "".join(out)

    def line(self, points: Sequence[Point], ink: str) -> str:
        text = " ".join(f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in points)
        return f'<polyline points="{text}" fill="none" stroke="{ink}" stroke-width="1.5"/>'

    def dots(self, points: Sequence[Point], ink: str) -> str:
        return "".join(
            f'<circle cx="{self.x(t):.1f}" cy="{self.y(v):.1f}" r="1.6" fill="{ink}"/>'
            for t, v in points
        )


def svg(phases: Sequence[Any], rates: Sequence[Point], frames: Sequence[float],
        delays: Sequence[Point]) -> str:  # fmt: skip
    """Times from the first phase's start, s; rates in kbit/s; delays in ms."""
    start = phases[0].start
    end = phases[-1].end - start
    link = [(t - start, p.shape.kbit_s) for p in phases for t in (p.start, p.end)]
    rate = _Panel(0, "kbit/s: link (grey), video received (blue)", end, 10, 3000, log=True)
    shown = _Panel(1, "s between two pictures", end, 0.02, 10, log=True)
    late = _Panel(2, "ms from instrument to center: readings", end, 5, 10_000, log=True)
    gaps = [(b, b - a) for a, b in itertools.pairwise(frames)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        rate.frame((16, 64, 256, 1000, 2000)), rate.line(link, INK["link"]),
        rate.line(rates, INK["video"]),
        shown.frame((0.04, 0.2, 1, 2, 5)), shown.dots(gaps, INK["frames"]),
        late.frame((10, 100, 1000, 5000)), late.dots(delays, INK["readings"]),
    ]  # fmt: skip
    for phase in phases:
        x = rate.x(phase.start - start)
        parts.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP}" y2="{HEIGHT - 20}" stroke="#bbb" '
            f'stroke-dasharray="3 3"/><text x="{x + 3:.0f}" y="{HEIGHT - 6}">{phase.name}</text>'
        )
    return "".join(parts) + "</svg>\n"
