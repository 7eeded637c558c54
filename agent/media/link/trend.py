"""Is a queue growing somewhere on the path?  GCC's delay side (draft-ietf-rmcat-gcc-02 with the
trendline filter that replaced its Kalman filter).  Pure: times are arguments, in milliseconds.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

BURST_MS = 5.0
"""Packets sent within this are one group."""
WINDOW = 20
SMOOTHING = 0.9
GAIN = 4.0
MAX_DELTAS = 60
OVERUSE_MS = 10.0
THRESHOLD_MS = 12.5
THRESHOLD_RANGE_MS = (6.0, 600.0)
K_UP, K_DOWN = 0.0087, 0.039
"""How fast the threshold follows, so that a rival's TCP does not starve us (section 5.4)."""
BASE_WINDOW_MS = 30_000.0
STEADY_MS = 2_000.0


class Usage(Enum):
    UNDER = "under"
    NORMAL = "normal"
    OVER = "over"


class Trend:
    """The slope of one-way delay over the last groups of packets."""

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        self._group: tuple[float, float, float] | None = None
        """First sent, last sent, last arrived."""
        self._before: tuple[float, float] | None = None
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._deltas = 0
        self._sum_ms = 0.0
        self._smooth_ms = 0.0
        self._threshold_ms = THRESHOLD_MS
        self._over_ms = 0.0
        self._slope_before = 0.0
        self._looked_ms: float | None = None

    def add(self, sent_ms: float, arrived_ms: float) -> None:
        """Packets in the order in which they were sent."""
        group = self._group
        if group is not None and sent_ms - group[0] <= BURST_MS:
            self._group = (group[0], sent_ms, max(group[2], arrived_ms))
            return
        if group is not None:
            self._close(group[1], group[2])
        self._group = (sent_ms, sent_ms, arrived_ms)

    def _close(self, sent_ms: float, arrived_ms: float) -> None:
        before, self._before = self._before, (sent_ms, arrived_ms)
        if before is None:
            return
        sent_delta = sent_ms - before[0]
        self._deltas += 1
        self._sum_ms += arrived_ms - before[1] - sent_delta
        self._smooth_ms = SMOOTHING * self._smooth_ms + (1 - SMOOTHING) * self._sum_ms
        self._points.append((arrived_ms, self._smooth_ms))
        if len(self._points) == WINDOW:
            self._judge(self._slope(), sent_delta, arrived_ms)

    def _slope(self) -> float:
        """In one pass: this is done for each picture of each viewer."""
        start = self._points[0][0]
        x_sum = y_sum = xx_sum = xy_sum = 0.0
        for at, y in self._points:
            x = at - start
            x_sum += x
            y_sum += y
            xx_sum += x * x
            xy_sum += x * y
        n = len(self._points)
        spread = n * xx_sum - x_sum * x_sum
        return (n * xy_sum - x_sum * y_sum) / spread if spread else self._slope_before

    def _judge(self, slope: float, sent_delta_ms: float, now_ms: float) -> None:
        trend_ms = min(self._deltas, MAX_DELTAS) * slope * GAIN
        if trend_ms > self._threshold_ms:
            self._over_ms += sent_delta_ms
            if self._over_ms > OVERUSE_MS and slope >= self._slope_before:
                self._over_ms = 0.0
                self.usage = Usage.OVER
        else:
            self._over_ms = 0.0
            self.usage = Usage.UNDER if trend_ms < -self._threshold_ms else Usage.NORMAL
        self._slope_before = slope
        self._adapt(abs(trend_ms), now_ms)

    def _adapt(self, size_ms: float, now_ms: float) -> None:
        looked, self._looked_ms = self._looked_ms, now_ms
        if looked is None or size_ms > self._threshold_ms + 15:
            return
        k = K_DOWN if size_ms < self._threshold_ms else K_UP
        step = k * (size_ms - self._threshold_ms) * min(now_ms - looked, 100.0)
        low, high = THRESHOLD_RANGE_MS
        self._threshold_ms = min(max(self._threshold_ms + step, low), high)


class Standing:
    """How long packets now wait in queues: the one-way delay above the least of the last half
    minute.  Few packets a second tell no slope, but they tell this."""

    def __init__(self) -> None:
        self.queue_ms = 0.0
        self._least: deque[tuple[float, float]] = deque()
        self._lately: deque[tuple[float, float]] = deque()

    def is_steady(self, queue_ms: float) -> bool:
        """For some seconds no packet met less than this: it is the way that has become longer, for
        a queue drains once less is sent."""
        if not self._lately or self._lately[-1][0] - self._lately[0][0] < 0.8 * STEADY_MS:
            return False
        return min(delay for _, delay in self._lately) - self._least[0][1] > queue_ms

    def forget(self) -> None:
        """The least of the last seconds is the way itself."""
        least = min(self._lately, key=lambda point: point[1])
        self._least = deque([least])
        self.queue_ms = self._lately[-1][1] - least[1]

    def remains(self, sent_ms: float, arrived_ms: float) -> float:
        """How much longer than the least this packet took, if all before it had gone on when it was
        sent, so that it is not for what we sent; else 0."""
        if not self._lately:
            return 0.0
        least = self._least[0][1]
        is_alone = sent_ms >= self._lately[-1][0] - least
        return arrived_ms - sent_ms - least if is_alone else 0.0

    def begin_again(self, sent_ms: float, arrived_ms: float) -> None:
        """This packet met no queue; the way is what has become longer."""
        self._least = deque([(arrived_ms, arrived_ms - sent_ms)])
        self._lately.clear()

    def add(self, sent_ms: float, arrived_ms: float) -> float:
        """The queue that this packet met."""
        delay_ms = arrived_ms - sent_ms
        while self._least and self._least[-1][1] >= delay_ms:
            self._least.pop()
        self._least.append((arrived_ms, delay_ms))
        while arrived_ms - self._least[0][0] > BASE_WINDOW_MS:
            self._least.popleft()
        self._lately.append((arrived_ms, delay_ms))
        while arrived_ms - self._lately[0][0] > STEADY_MS:
            self._lately.popleft()
        self.queue_ms = delay_ms - self._least[0][1]
        return self.queue_ms
