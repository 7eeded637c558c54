"""A sender, a link that changes and a receiver, in numbers alone: the agent's own estimator, pacer
and feedback around a bottleneck that drops what finds its queue full.  No clock runs."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from agent.media.link import twcc
from agent.media.link.departure import Departure
from agent.media.link.link import Link

STEP_S = 0.002
FPS, SCENE_KBIT_S = 25.0, 1300.0
PAYLOAD = 1150
HEADERS = 28 + 28 + 10
REPORT_S = 0.0625
"""As Chromium reports (measured)."""
BEHIND_S = 0.15
"""A picture that waits so long keeps the next one from being encoded, as in a layer."""
DEBT_S = 0.4
READING_S, READING = 0.2, 330
TICK_S = 0.1


class Way(msgspec.Struct, frozen=True):
    """From a second on."""

    since: float
    kbit_s: float
    delay_s: float = 0.02
    """One way; the way back has the same."""


class Seen(msgspec.Struct):
    """What became of it."""

    pictures: list[float] = []
    """When each that could be decoded was complete."""
    lost: list[float] = []
    """When packets found the queue full."""
    readings: list[tuple[float, float | None]] = []
    """When each left, and for how long it waited in the queue; None: it was dropped."""
    estimates: list[tuple[float, float]] = []

    def longest_gap(self, start: float, end: float) -> float:
        shown = [t for t in self.pictures if start <= t < end]
        return max(b - a for a, b in itertools.pairwise([start, *shown, end]))

    def estimate(self, start: float, end: float) -> list[float]:
        return [kbit_s for t, kbit_s in self.estimates if start <= t < end]

    def waits(self, start: float, end: float) -> list[float | None]:
        return [wait for t, wait in self.readings if start <= t < end]


class Bottleneck:
    def __init__(self, ways: Sequence[Way], queue_s: float) -> None:
        self._ways, self._queue_s = ways, queue_s
        self._backlog = 0.0
        self._at = 0.0

    def way(self, now: float) -> Way:
        return [way for way in self._ways if way.since <= now][-1]

    def carry(self, now: float) -> None:
        """To be called at each step: the rate may have changed."""
        rate = self.way(self._at).kbit_s * 125
        self._backlog = max(0.0, self._backlog - (now - self._at) * rate)
        self._at = now

    def take(self, size: int, now: float) -> float | None:
        """For how long it waits; None: there is no room.  (What waits when the rate changes is
        taken to have gone on at the old one.)"""
        self.carry(now)
        rate = self.way(now).kbit_s * 125
        if self._backlog + size > rate * self._queue_s:
            return None
        self._backlog += size
        return self._backlog / rate


class Loop:
    """One viewer and a unit that says something five times a second."""

    def __init__(self, *ways: Way, queue_s: float = 0.5) -> None:
        self.link = Link(3000, 0.0)
        self.seen = Seen()
        self._bottleneck = Bottleneck(ways, queue_s)
        self._departure = Departure(self.link)
        self._waiting: deque[tuple[float, list[int]]] = deque()
        """Pictures: when they were made, and what of them has not left."""
        self._owed = 0.0
        self._on_the_way: deque[tuple[float, int, bool]] = deque()
        """When it arrives, its number, and whether a picture is complete with it."""
        self._arrived: dict[int, float] = {}
        self._base = 1
        self._reports: deque[tuple[float, bytes]] = deque()

    def run(self, seconds: float) -> Seen:
        acts = (
            (1 / FPS, self._make), (READING_S, self._say),
            (REPORT_S, self._report), (TICK_S, self._tick),
        )  # fmt: skip
        due = [0.0] * len(acts)
        for now in _steps(seconds):
            self._bottleneck.carry(now)
            for n, (every_s, act) in enumerate(acts):
                if now >= due[n]:
                    due[n] += every_s
                    act(now)
            self._send(now)
            while self._on_the_way and self._on_the_way[0][0] <= now:
                self._arrive(*self._on_the_way.popleft())
            while self._reports and self._reports[0][0] <= now:
                self.link.feedback(self._reports.popleft()[1], now)
        return self.seen

    def _make(self, now: float) -> None:
        rate = min(self.link.estimator.kbit_s * 0.9, SCENE_KBIT_S) * 125
        self._owed = max(0.0, self._owed - rate / FPS)
        behind = self._waiting and now - self._waiting[0][0] > BEHIND_S
        if behind or self._owed > rate * DEBT_S:
            return
        # Few and good ones rather than many of nothing.
        size = max(2000, round(rate / FPS))
        self._owed += size
        count = -(-size // PAYLOAD)
        self._waiting.append((now, [size // count] * count))

    def _send(self, now: float) -> None:
        while self._waiting:
            payloads = self._waiting[0][1]
            self._departure.set_pace(now)
            if self._departure.wait_s(payloads[0], now):
                return
            size = payloads.pop(0)
            number = self.link.number(size + 28, now)
            wait_s = self._bottleneck.take(size + HEADERS, now)
            if wait_s is None:
                self.seen.lost.append(now)
            else:
                arrives = now + wait_s + self._bottleneck.way(now).delay_s
                self._on_the_way.append((arrives, number, not payloads))
            if not payloads:
                self._waiting.popleft()

    def _arrive(self, at: float, number: int, complete: bool) -> None:
        self._arrived[number] = at
        if complete:
            self.seen.pictures.append(at)

    def _say(self, now: float) -> None:
        self.seen.readings.append((now, self._bottleneck.take(READING, now)))

    def _report(self, now: float) -> None:
        if self._arrived:
            times = {number: at * 1000 + 5e6 for number, at in self._arrived.items()}
            body = twcc.build(1, 2, 0, self._base, times)[4:]
            self._base = max(self._arrived) + 1
            self._arrived.clear()
            self._reports.append((now + self._bottleneck.way(now).delay_s, body))

    def _tick(self, now: float) -> None:
        self.link.tick(now)
        self.seen.estimates.append((now, self.link.estimator.kbit_s))


def _steps(seconds: float) -> Iterator[float]:
    return (n * STEP_S for n in range(round(seconds / STEP_S)))
