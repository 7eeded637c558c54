"""What an instrument's cell makes of the air around it: lag, noise, drift.  Pure.

Numbers are those of common electrochemical and optical cells' data sheets; `t90_s` is the time to
90 % of a step.  A cell recovers half as slowly again as it responds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

import msgspec

T90_TO_TAU = 1.0 / math.log(10.0)
RECOVERY = 1.5


class CellKind(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind of cell behaves, in the unit of its quantity."""

    t90_s: float
    noise: float = 0.0
    """One standard deviation."""
    drift: float = 0.0
    """One standard deviation of the zero after an hour (a random walk)."""
    cross: Mapping[str, float] = {}
    """What it shows per ppm of another gas."""


# Toxic gases and co2 in ppm, o2 in per cent of volume, ch4 and combustible in %LEL.
CELLS: dict[str, CellKind] = {
    "cl2": CellKind(t90_s=60.0, noise=0.02, drift=0.05, cross={"no2": 1.0}),
    "co": CellKind(t90_s=15.0, noise=0.3, drift=1.0, cross={"h2": 0.4}),
    "h2s": CellKind(t90_s=25.0, noise=0.1, drift=0.3),
    "nh3": CellKind(t90_s=75.0, noise=0.4, drift=1.0),
    "no2": CellKind(t90_s=30.0, noise=0.03, drift=0.1, cross={"cl2": 1.0}),
    "so2": CellKind(t90_s=30.0, noise=0.05, drift=0.1, cross={"no2": -1.0}),
    "hcn": CellKind(t90_s=60.0, noise=0.1, drift=0.2),
    "hcl": CellKind(t90_s=60.0, noise=0.1, drift=0.2),
    "hf": CellKind(t90_s=60.0, noise=0.05, drift=0.1),
    "ph3": CellKind(t90_s=30.0, noise=0.02, drift=0.05),
    "o3": CellKind(t90_s=30.0, noise=0.01, drift=0.02),
    "eto": CellKind(t90_s=60.0, noise=0.1, drift=0.3),
    "c2h4": CellKind(t90_s=60.0, noise=0.1, drift=0.3),
    "ch2o": CellKind(t90_s=60.0, noise=0.02, drift=0.05),
    "h2": CellKind(t90_s=30.0, noise=2.0, drift=5.0),
    "o2": CellKind(t90_s=15.0, noise=0.02, drift=0.05),
    "co2": CellKind(t90_s=30.0, noise=5.0, drift=10.0),
    "ch4": CellKind(t90_s=30.0, noise=0.1, drift=0.2),
    "combustible": CellKind(t90_s=12.0, noise=0.1, drift=0.3),
    "pm1": CellKind(t90_s=10.0, noise=0.5),
    "pm2_5": CellKind(t90_s=10.0, noise=0.7),
    "pm10": CellKind(t90_s=10.0, noise=1.0),
    "temperature": CellKind(t90_s=60.0, noise=0.03),
    "humidity": CellKind(t90_s=30.0, noise=0.2),
    "pressure": CellKind(t90_s=1.0, noise=0.05),
    "wind_speed": CellKind(t90_s=2.0, noise=0.1),
    "wind_direction": CellKind(t90_s=2.0, noise=1.5),
    "noise": CellKind(t90_s=1.0, noise=0.8),
    "illuminance": CellKind(t90_s=1.0, noise=60.0),
    "radiation": CellKind(t90_s=10.0, noise=1.0),
    "rain": CellKind(t90_s=1.0),
}

CIRCULAR = frozenset({"wind_direction"})
"""Degrees: 359 and 1 are two apart."""
SIGNED = frozenset({"temperature"})
"""May be below zero, besides gas cells, whose zero may drift there."""
NOT_GAS = frozenset({
    "temperature", "humidity", "pressure", "wind_speed", "wind_direction", "noise",
    "illuminance", "radiation", "rain", "pm1", "pm2_5", "pm10",
})  # fmt: skip


class Cell:
    """One cell: feed it the truth, read what it shows."""

    def __init__(self, quantity: str, random: Random, t90_s: float | None = None) -> None:
        self.quantity = quantity
        self.kind = CELLS[quantity]
        self.tau_s = (self.kind.t90_s if t90_s is None else t90_s) * T90_TO_TAU
        self.shown: float | None = None
        self._felt: float | None = None
        self._zero = 0.0
        self._random = random

    def step(self, truth: float, dt_s: float) -> float:
        """`dt_s` later, in air where the quantity is `truth`."""
        if self._felt is None:
            self._felt = truth
        else:
            self._felt += self._towards(truth) * (1.0 - math.exp(-dt_s / self._tau(truth)))
        if self.quantity in CIRCULAR:
            self._felt %= 360.0
        self._zero += self._random.gauss(0.0, self.kind.drift * math.sqrt(dt_s / 3600.0))
        self.shown = self._limited(self._felt + self._zero + self._random.gauss(0, self.kind.noise))
        return self.shown

    def _towards(self, truth: float) -> float:
        assert self._felt is not None
        if self.quantity in CIRCULAR:
            return (truth - self._felt + 180.0) % 360.0 - 180.0
        return truth - self._felt

    def _tau(self, truth: float) -> float:
        assert self._felt is not None
        clearing = truth > self._felt if self.quantity == "o2" else truth < self._felt
        recovering = self.quantity not in NOT_GAS and clearing
        return max(self.tau_s * (RECOVERY if recovering else 1.0), 1e-6)

    def _limited(self, value: float) -> float:
        if self.quantity in CIRCULAR:
            return value % 360.0
        if self.quantity in NOT_GAS and self.quantity not in SIGNED:
            return max(value, 0.0)
        return value
