"""One viewer's path: numbers what is sent, takes feedback, keeps the estimate."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aiortc import RTCDtlsTransport

from agent.media.link import twcc
from agent.media.link.estimator import START_KBIT_S, Estimator, Result
from agent.media.link.flight import Flight

OVERHEAD_BYTES = 28 + 10
"""IPv4 and UDP headers, SRTP's tag."""
MAX_SENT = 8192
PROBE_EVERY_S, PROBE_SOON_S, PROBE_SELDOM_S = 1.5, 0.3, 6.0
"""Soon after one that came through, less and less often where they do not."""
PROBE_PACKETS, PROBE_LEAST, PROBE_S = 12, 4, 0.1
"""Packets of a probe: as many as leave in that time, within bounds."""
PROBE_PASSED = 0.8
"""Of the rate at which it was sent."""
PROBE_FACTOR = 2.5
"""A probe goes out so much faster than the estimate."""


class Probe:
    """A burst of copies that finds out whether the path bears more than is sent."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self._arrived: list[float] = []
        self._size = 0

    def take(self, seq: int, size: int, arrived_s: float) -> float | None:
        """Kilobits a second, once there is enough to say."""
        if not self.first <= seq <= self.last:
            return None
        if self._arrived:
            self._size += size
        self._arrived.append(arrived_s)
        span_s = self._arrived[-1] - self._arrived[0]
        enough = len(self._arrived) > (self.last - self.first) * 0.8
        return self._size / max(span_s, 0.005) / 125 if enough else None


class Link:
    """Shared by all that goes over one transport."""

    def __init__(self, most_kbit_s: float, now: float) -> None:
        self.most_kbit_s = most_kbit_s
        self.estimator = Estimator(min(START_KBIT_S, most_kbit_s), most_kbit_s)
        self.bytes_sent = 0
        self._sent: dict[int, tuple[float, int, bool]] = {}
        """When, how large, and whether it was the first after a rest."""
        self._flight = Flight()
        self._next = 1
        self._unwrap = twcc.Unwrapper()
        self._probe: Probe | None = None
        self._probed_at = now
        self._probe_kbit_s = 0.0
        self._probe_every_s = PROBE_EVERY_S

    def attach(self, transport: RTCDtlsTransport) -> None:
        """aiortc reads transport-wide feedback as lists of lost packets; so it is read before."""
        handle: Callable[[bytes], Awaitable[None]] = transport._handle_rtcp_data

        async def handle_rtcp(data: bytes) -> None:
            rest = len(data)
            for body in twcc.messages(data):
                self.feedback(body, time.monotonic())
                rest -= twcc.HEAD_BYTES + len(body)
            # Ten times a second there is nothing else in it.
            if rest:
                await handle(data)

        transport._handle_rtcp_data = handle_rtcp  # type: ignore[method-assign]

    def number(self, size: int, now: float) -> int:
        """A packet of `size` RTP bytes leaves now; its transport-wide number."""
        seq, self._next = self._next, self._next + 1
        rested = self._flight.left(seq, now)
        self._sent[seq] = (now, size + OVERHEAD_BYTES, rested)
        self.bytes_sent += size + OVERHEAD_BYTES
        if len(self._sent) > MAX_SENT:
            del self._sent[next(iter(self._sent))]
        return seq

    def hold_s(self, now: float) -> float:
        """0 where a packet may leave, as far as reports say; else when to ask again."""
        estimator = self.estimator
        wait_s = self._flight.hold_s(estimator.patience_s(now), estimator.pause_until, now)
        if self._flight.is_held:
            estimator.troubled(now)
        return wait_s

    def feedback(self, body: bytes, now: float) -> None:
        """What is no feedback is ignored: it comes from outside."""
        try:
            message = twcc.parse(body)
        except twcc.FeedbackError:
            return
        base = self._unwrap.unwrap(message.base)
        results = []
        for seq, arrived_ms in enumerate(message.arrivals_ms, base):
            sent = self._sent.pop(seq, None)
            if sent is None:
                continue
            arrived_s = None if arrived_ms is None else arrived_ms / 1000
            results.append(Result(sent[0], sent[1], arrived_s, rested=sent[2]))
            if self._probe is not None and arrived_s is not None:
                self._judge(self._probe, seq, sent[1], arrived_s, now)
        self._flight.heard(base + len(message.arrivals_ms) - 1)
        if results:
            self.estimator.feedback(results, now)

    def moved(self, now: float) -> None:
        """Another path from now on: what went over the one before says nothing of it, and a
        receiver goes on reporting over the old one until it has noticed too."""
        self._sent.clear()
        self._flight.forget()
        self._probe = None
        self.estimator.moved(now)

    def _judge(self, probe: Probe, seq: int, size: int, arrived_s: float, now: float) -> None:
        if (kbit_s := probe.take(seq, size, arrived_s)) is not None:
            self._probe = None
            if kbit_s >= self._probe_kbit_s * PROBE_PASSED:
                self._probe_every_s = PROBE_SOON_S
            self.estimator.probed(kbit_s, now)

    def tick(self, now: float) -> None:
        """A few times a second."""
        if (oldest_s := self._flight.oldest_s(now)) is not None:
            self.estimator.silence(oldest_s, now)

    def probe_is_due(self, wanted_kbit_s: float, now: float) -> bool:
        """The estimate is below what could be used, and nothing speaks against more."""
        estimator = self.estimator
        # What was too much before a cut says nothing about what is now.
        cut = estimator.cut_at > self._probed_at
        since_s = now - max(self._probed_at, estimator.cut_at)
        every_s = PROBE_EVERY_S if cut else self._probe_every_s
        return (
            estimator.feedback_at is not None
            and estimator.kbit_s < min(wanted_kbit_s, estimator.most_kbit_s)
            and estimator.queue_ms < 50
            and now > estimator.pause_until
            and since_s > max(every_s, 2 * estimator.way_s)
        )

    def probing(self, packets: int, now: float) -> float:
        """The next `packets` numbers are a probe; at how many kbit/s they shall leave."""
        self._probed_at = now
        self._probe = Probe(self._next, self._next + packets - 1)
        # Until this one has come through.
        self._probe_every_s = min(max(self._probe_every_s * 2, PROBE_EVERY_S), PROBE_SELDOM_S)
        self._probe_kbit_s = self.estimator.kbit_s * PROBE_FACTOR
        return self._probe_kbit_s
