"""A link that exists only in numbers: a rate that changes, a queue that drops, delay, loss."""

from __future__ import annotations

import random

import msgspec

from agent.media.link.estimator import Estimator, Result

FEEDBACK_S = 0.1
RECEIVER_CLOCK_S = 1000.0
"""Ahead of the sender's: nothing may depend on it."""


class Moment(msgspec.Struct, frozen=True):
    t: float
    estimate: float
    """kbit/s"""
    queue_s: float
    """That a packet sent now would wait."""


class Packet(msgspec.Struct):
    sent: float
    size: int
    arrives: float | None


class SyntheticLink:
    """`steps` are (from second, kbit/s); a packet that would wait longer than `queue_s` is lost."""

    def __init__(
        self,
        *steps: tuple[float, float],
        delay_s: float = 0.02,
        loss: float = 0.0,
        queue_s: float = 0.5,
        jitter_s: float = 0.0,
        most: float = 3000,
        start: float = 800,
    ) -> None:
        self.estimator = Estimator(start, most)
        self._steps, self._delay_s, self._loss = steps, delay_s, loss
        self._queue_s, self._jitter_s = queue_s, jitter_s
        self._random = random.Random(1)
        self._free = self._last = 0.0
        self.longer: tuple[float, float] | None = None
        """From that second on the way takes so much longer."""
        self.lost = 0
        self._packets: list[Packet] = []

    def run(self, seconds: float, fps: float = 25) -> list[Moment]:
        """The sender sends just what the estimate says."""
        moments, t, feedback_at = [], 0.0, FEEDBACK_S
        while t < seconds:
            rate = self.estimator.kbit_s
            count = max(1, round(rate * 125 / fps / 1100))
            for n in range(count):
                self._send(t + n * 0.002, round(rate * 125 / fps / count))
            while feedback_at <= t:
                self._feedback(feedback_at)
                feedback_at += FEEDBACK_S
            moments.append(Moment(t, self.estimator.kbit_s, max(0.0, self._free - t)))
            t += 1 / fps
        return moments

    def _send(self, t: float, size: int) -> None:
        rate = [kbit_s for since, kbit_s in self._steps if t >= since][-1]
        begins = max(t, self._free)
        arrives = None
        if begins - t <= self._queue_s and self._random.random() >= self._loss:
            self._free = begins + size / 125 / rate
            way = self._delay_s + self._random.random() * self._jitter_s
            if self.longer is not None and t >= self.longer[0]:
                way += self.longer[1]
            arrives = self._last = max(self._free + way, self._last)
        self.lost += arrives is None
        self._packets.append(Packet(t, size, arrives))

    def _feedback(self, now: float) -> None:
        """Made by the receiver one way ago."""
        seen = now - self._delay_s
        arrived = [
            n for n, p in enumerate(self._packets) if p.arrives is not None and p.arrives <= seen
        ]
        if arrived:
            batch, self._packets = (
                self._packets[: arrived[-1] + 1],
                self._packets[arrived[-1] + 1 :],
            )
            self.estimator.feedback([_result(packet) for packet in batch], now)
        if self._packets:
            self.estimator.silence(now - self._packets[0].sent, now)


def _result(packet: Packet) -> Result:
    arrived = None if packet.arrives is None else packet.arrives + RECEIVER_CLOCK_S
    return Result(packet.sent, packet.size, arrived)
