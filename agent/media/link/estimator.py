"""How much one viewer's link bears: GCC's delay and loss sides (draft-ietf-rmcat-gcc-02), REMB and
receiver reports, a standing queue, and silence.  Pure: time is an argument, in seconds.

Three things differ from the draft.  A queue that stands (some 200 ms above the least delay) counts
as overuse, because a thin link carries too few packets a second for a slope.  On a clean path the
rate grows by 30 % a second, not 8 %, until it has once been too much.  When feedback that was due
stays away the rate is halved: then the queue is longer than we can see.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from agent.media.link.trend import Standing, Trend, Usage

START_KBIT_S = 800.0
LEAST_KBIT_S = 10.0
BETA = 0.85
GROWTH_CLEAN, GROWTH = 0.30, 0.08
"""A second."""
NEAR = 1.25
"""Times the rate at which it was too much: below this growth is by steps."""
NEAR_S = 8.0
"""So long a rate that was too much is remembered."""
APP_LIMIT, APP_MARGIN_KBIT_S = 1.5, 30.0
"""An estimate is no more than this times what was seen to arrive, plus this."""
DRAIN = 0.6
STEEP_MS = 60.0
"""More than jitter adds from packet to packet."""
RISING_MS = 30.0
"""Less is what a busy machine at either end adds."""
DELAY_LEAST_KBIT_S = 30.0
"""A queue alone leaves so much, a thin picture: else little would be sent, and little be learnt."""
PAUSE_S, PAUSE = 0.6, 2.0
"""At most, when a queue stands; and times the queue that is seen, for more has been sent since."""
UNCHANGED = (0.7, 1.5)
"""Times the queue of the last pause: it did not help, so another one would not."""
HOLD_S = 0.125
"""A report takes so much longer than the way at most: Chromium's come each 62 ms, and one may be
lost."""
FAR_S = 0.25
FAR_LOSS, NEAR_LOSS = 0.02, 0.01
"""A way so long that asking for what was lost takes longer than anybody waits, and so lossy."""
LOSS_MEMORY = 0.2
QUEUE_MS = 200.0
LOSS_HIGH, LOSS_LOW = 0.10, 0.02
LOSS_PACKETS, LOSS_S = 40, 2.0
"""Losses are judged over so many packets, or so long: a burst of three is not a tenth."""
RATE_WINDOW_S = 0.6
STALL_MS = 250.0
"""Two packets that arrive so much farther apart than they left: a rate over that gap is none."""
SHORT_WINDOW_S = 0.25
"""When it is too much, what arrived last counts: the longer window still remembers better times."""
FEEDBACK_S = 0.25
"""Chromium sends it each 50 to 250 ms."""
MOVED_S = 4.0
"""Chromium reports over a path that has died for up to 3.7 s (measured)."""
CLEAN_S = 3.0
LONGER_S = 2.5
"""A queue that never shrank for so long, for all that was cut, is none: the way is longer now."""


class Result(NamedTuple):
    """What became of one packet."""

    sent_s: float
    size: int
    arrived_s: float | None
    """By the receiver's clock."""
    rested: bool = False
    """The first after a time in which nothing could leave."""


class Estimator:
    """One path."""

    def __init__(self, start_kbit_s: float, most_kbit_s: float) -> None:
        self.kbit_s = start_kbit_s
        self.most_kbit_s = most_kbit_s
        self.rtt_s = 0.2
        self.way_s = 0.2
        """A round trip without the queue."""
        self._usual_way_s = 0.2
        """What it was before a queue was seen."""
        self.loss = 0.0
        """Of the last judged packets."""
        self.usual_loss = 0.0
        self.jitter_s = 0.0
        self._heard_kbit_s = 0.0
        """What it was when a report came last."""
        self._moved_at = -MOVED_S
        self.acked_kbit_s: float | None = None
        self.pause_until = float("-inf")
        """Nothing should be sent before: a queue that alarms have to pass shall drain."""
        self.feedback_at: float | None = None
        """When transport-wide feedback came last."""
        self._trend = Trend()
        self._standing = Standing()
        self._arrived: deque[tuple[float, int]] = deque()
        """By a clock that stands while nothing could arrive."""
        self._arrived_bytes = 0
        self._idle_s = 0.0
        self._grown_at: float | None = None
        self.cut_at = float("-inf")
        self._stands_since: float | None = None
        self._paused_at_ms = 0.0
        """The queue of the last pause; 0: it is gone."""
        self._paused_from = float("-inf")
        self._drained_at = float("-inf")
        self._is_far = False
        self._too_much: tuple[float, float] | None = None
        """Rate and time of the last cut."""
        self._lost = self._seen = 0
        self._loss_since: float | None = None
        self._troubled_at = float("-inf")
        self._remb_kbit_s: float | None = None

    @property
    def queue_ms(self) -> float:
        return self._standing.queue_ms

    def is_clean(self, now: float) -> bool:
        """No queue, no loss worth the word for some seconds."""
        return now - self._troubled_at > CLEAN_S

    @property
    def is_lossy_and_far(self) -> bool:
        """A repair that has to be asked for comes too late."""
        least = NEAR_LOSS if self._is_far else FAR_LOSS
        self._is_far = self.usual_loss > least and self.way_s > FAR_S
        return self._is_far

    # What is heard.

    def feedback(self, results: Sequence[Result], now: float) -> None:
        """A message of transport-wide feedback; packets in the order in which they were sent."""
        self.feedback_at = now
        queues, arrived = [self.queue_ms], list[Result]()
        sent_s, rested = now, False
        lost = count = 0
        for result in results:
            # What left before the last cut was lost for what was too much then.
            later = result.sent_s > self.cut_at
            count += later
            rested = rested or result.rested
            if result.arrived_s is None:
                lost += later
                continue
            arrived.append(result)
            queues.append(self._take(result.sent_s, result.arrived_s, result.size, rested))
            sent_s, rested = result.sent_s, False
        before_ms, *met = queues
        if met:
            self._times(now - sent_s, met)
            self._measure()
        self._losses(lost, count, now)
        if queues[-1] - before_ms > STEEP_MS and is_swamped(arrived, queues, self.kbit_s):
            self._pause(queues[-1], sent_s, now)
        self._decide(min(met, default=0.0), sent_s, now)
        self._heard_kbit_s = self.kbit_s

    def report(self, fraction_lost: float, rtt_s: float | None, now: float) -> None:
        """A receiver report: all there is where nothing transport-wide comes."""
        if rtt_s is not None:
            self.rtt_s += 0.3 * (rtt_s - self.rtt_s)
        if self.feedback_at is not None and now - self.feedback_at < 2.0:
            return
        self.loss = fraction_lost
        if fraction_lost > LOSS_HIGH:
            self._cut(self.kbit_s * (1 - 0.5 * fraction_lost), now)
        elif fraction_lost < LOSS_LOW:
            self._grow(now, self.most_kbit_s)
        self._bound()

    def remb(self, kbit_s: float) -> None:
        """The receiver's own estimate, a limit."""
        self._remb_kbit_s = kbit_s
        self._bound()

    def sent(self, kbit_s: float) -> None:
        """What was sent lately, where nothing says what arrived: growth needs evidence."""
        if self.feedback_at is None:
            self.acked_kbit_s = kbit_s

    def moved(self, now: float) -> None:
        """Another path: at the rate that the one before bore while it was heard of, if that is no
        more than one begins with, and without a report for as long as one may take."""
        self.kbit_s = max(self.kbit_s, min(self._heard_kbit_s, START_KBIT_S))
        self._moved_at = now
        self._bound()

    def silence(self, oldest_unheard_s: float, now: float) -> None:
        """The oldest packet without any feedback is so old.  To be called a few times a second."""
        if self.feedback_at is None or now - self._moved_at < MOVED_S:
            return
        due_s = 2 * self.rtt_s + 2 * FEEDBACK_S + 0.25
        # Of a pause of ours nothing is heard either.
        paused = now - self._drained_at < due_s / 2
        if oldest_unheard_s > due_s and now - self.cut_at > 0.5 and not paused:
            self._cut(self.kbit_s * 0.5, now)
            self.pause_until = now + PAUSE_S / 2
            self._bound()

    def probed(self, kbit_s: float, now: float) -> None:
        """A burst came through at this rate."""
        if now - self.cut_at > self.rtt_s + 0.3 and kbit_s > self.kbit_s:
            self.kbit_s = kbit_s * 0.9
            self._bound()

    def patience_s(self, now: float) -> float:
        """How long a packet may remain unheard of before nothing more should leave."""
        if self.feedback_at is None or now - self._moved_at < MOVED_S:
            return float("inf")
        return self._usual_way_s + HOLD_S

    def troubled(self, now: float) -> None:
        """Reports stay away: for some time nothing is to leave in bursts."""
        self._troubled_at = now

    # What it means.

    def _take(self, sent_s: float, arrived_s: float, size: int, rested: bool) -> float:
        """The queue that a packet met, ms."""
        sent_ms, arrived_ms = sent_s * 1000, arrived_s * 1000
        back_ms = (self.way_s - self._usual_way_s) * 1000
        # The way back has become longer, too: it is no queue of others that this packet met.
        if rested and back_ms > QUEUE_MS / 2:
            if self._standing.remains(sent_ms, arrived_ms) > QUEUE_MS:
                self._standing.begin_again(sent_ms, arrived_ms)
                self._usual_way_s = self.way_s = self.way_s + back_ms / 1000
                self._stands_since, self._paused_at_ms = None, 0.0
        before_ms = self._standing.queue_ms
        queue_ms = self._standing.add(sent_ms, arrived_ms)
        if self._arrived and (rested or queue_ms - before_ms > STALL_MS):
            # In the gap before this one nothing could arrive, which says nothing of the rate.
            self._idle_s = arrived_s - self._arrived[-1][0]
            size = 0
        self._arrived.append((arrived_s - self._idle_s, size))
        self._arrived_bytes += size
        self._trend.add(sent_ms, arrived_ms)
        return queue_ms

    def _times(self, rtt_s: float, queues: Sequence[float]) -> None:
        self.rtt_s += 0.2 * (rtt_s - self.rtt_s)
        spread_s = (max(queues) - min(queues)) / 1000
        self.jitter_s += 0.1 * (spread_s - self.jitter_s)
        self.way_s += 0.5 * (max(0.0, rtt_s - queues[-1] / 1000) - self.way_s)
        if queues[-1] <= QUEUE_MS:
            # It rises slowly: reports of what left before a way became long are late, too.
            share = 0.05 if self.way_s > self._usual_way_s else 0.5
            self._usual_way_s += share * (self.way_s - self._usual_way_s)

    def _measure(self) -> None:
        last = self._arrived[-1][0]
        while last - self._arrived[0][0] > RATE_WINDOW_S and len(self._arrived) > 8:
            self._arrived_bytes -= self._arrived.popleft()[1]
        span_s = max(last - self._arrived[0][0], 0.1)
        # The first packet's bytes came before the span began.
        size = self._arrived_bytes - self._arrived[0][1]
        if len(self._arrived) > 4:
            self.acked_kbit_s = size / span_s / 125

    def _acked_lately(self) -> float:
        if self.acked_kbit_s is None:
            return self.kbit_s
        last = self._arrived[-1][0]
        lately = [(at, n) for at, n in self._arrived if last - at <= SHORT_WINDOW_S]
        if len(lately) < 5:
            return self.acked_kbit_s
        span_s = max(last - lately[0][0], 0.05)
        return min(self.acked_kbit_s, sum(n for _, n in lately[1:]) / span_s / 125)

    def _losses(self, lost: int, count: int, now: float) -> None:
        self._lost += lost
        self._seen += count
        if self._loss_since is None:
            self._loss_since = now
        if self._seen < LOSS_PACKETS and (self._seen < 10 or now - self._loss_since < LOSS_S):
            return
        self.loss = self._lost / self._seen
        if self._stands_since is None:
            # What a full queue drops is no property of the way.
            self.usual_loss += LOSS_MEMORY * (self.loss - self.usual_loss)
        self._lost = self._seen = 0
        self._loss_since = now
        if self.loss > LOSS_LOW:
            self._troubled_at = now
        if self.loss > LOSS_HIGH:
            least = 0.0 if self.acked_kbit_s is None else self.acked_kbit_s * DRAIN
            self._cut(max(self.kbit_s * (1 - 0.5 * self.loss), least), now)

    def _decide(self, queue_ms: float, sent_s: float, now: float) -> None:
        if queue_ms <= QUEUE_MS:
            self._stands_since = None
            self._paused_at_ms = 0.0
        elif self._stands_since is None:
            self._stands_since = now
        elif now - self._stands_since > LONGER_S and self._standing.is_steady(QUEUE_MS / 2):
            self._standing.forget()
            queue_ms, self._stands_since = 0.0, None
        # A big picture among small ones looks like a slope; a queue is one for every packet.
        rising = self._trend.usage is Usage.OVER and queue_ms > RISING_MS
        over = rising or queue_ms > QUEUE_MS
        if over:
            self._troubled_at = now
            acked = self._acked_lately()
            # A long queue must drain, not only stop growing; in a pause it does.
            beta = BETA if queue_ms < 2 * QUEUE_MS or now < self.pause_until else DRAIN
            if self.kbit_s > acked * beta and now - self.cut_at > self.rtt_s / 2 + 0.1:
                self._too_much = (acked, now)
                self._cut(max(acked * beta, min(self.kbit_s, DELAY_LEAST_KBIT_S)), now)
            if queue_ms > QUEUE_MS:
                self._pause(queue_ms, sent_s, now)
            self._grown_at = now
        elif self._trend.usage is not Usage.UNDER and queue_ms < QUEUE_MS / 2:
            if self.loss <= LOSS_HIGH:
                self._grow(now, self._evidence())
        else:
            self._grown_at = now
        self._bound()

    def _pause(self, queue_ms: float, sent_s: float, now: float) -> None:
        """Alarms have to pass what stands.  Where a pause does not help the way has become longer
        or the queue is another's, and pictures need not stand still for it."""
        if sent_s < self._paused_from:
            # Still of what the pause is for; and this packet says how much that was.
            until = min(sent_s + queue_ms / 1000, now + PAUSE_S)
        else:
            least, most = UNCHANGED
            if self._paused_at_ms and least < queue_ms / self._paused_at_ms < most:
                return
            self._paused_at_ms, self._paused_from = queue_ms, now
            until = now + min(PAUSE * queue_ms / 1000, PAUSE_S)
        self.pause_until = max(self.pause_until, until)
        self._drained_at = self.pause_until

    def _evidence(self) -> float:
        if self.acked_kbit_s is None:
            return self.kbit_s
        return self.acked_kbit_s * APP_LIMIT + APP_MARGIN_KBIT_S

    def _grow(self, now: float, limit_kbit_s: float) -> None:
        step_s = min(now - self._grown_at, 1.0) if self._grown_at is not None else 0.0
        self._grown_at = now
        near = self._too_much is not None and now - self._too_much[1] < NEAR_S
        if near and self._too_much is not None and self.kbit_s > self._too_much[0] / NEAR:
            grown = self.kbit_s + step_s * 9.6 / (self.rtt_s + 0.1)
        else:
            rate = GROWTH_CLEAN if self.is_clean(now) else GROWTH
            grown = self.kbit_s * (1 + rate) ** step_s
        self.kbit_s = max(self.kbit_s, min(grown, limit_kbit_s))

    def _cut(self, kbit_s: float, now: float) -> None:
        self.kbit_s = min(self.kbit_s, kbit_s)
        self.cut_at = self._grown_at = self._troubled_at = now

    def _bound(self) -> None:
        most = self.most_kbit_s
        if self._remb_kbit_s is not None and self.feedback_at is None:
            most = min(most, self._remb_kbit_s)
        self.kbit_s = max(LEAST_KBIT_S, min(self.kbit_s, most))


def is_swamped(arrived: Sequence[Result], queues_ms: Sequence[float], kbit_s: float) -> bool:
    """A report says that the link now bears less than half of this: each packet waited about as
    long as the one before it or longer, which no jitter does, and they came so much slower (a burst
    comes at the link's rate).  `queues_ms` has that of the report before in front."""
    steps = [b - a for a, b in itertools.pairwise(queues_ms)]
    if len(steps) < 3 or min(steps) < -5.0:
        return False
    span_s = max((arrived[-1].arrived_s or 0.0) - (arrived[0].arrived_s or 0.0), 0.001)
    return sum(result.size for result in arrived[1:]) / span_s / 125 < kbit_s / 2
