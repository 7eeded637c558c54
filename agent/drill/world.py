"""The drill's world: gas in the wind, units on their ways, what their instruments feel.

Pure and deterministic: time is an argument, all chance comes from the seed.  The world steps on a
grid of its own, so that the same seed gives the same world however often it is looked at; each
process of chance has its own generator, so that one more instrument changes no other.
"""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

import msgspec

from agent.drill import plume
from agent.drill.cell import Cell
from agent.drill.plume import Air
from agent.drill.route import Route
from agent.drill.scenario import Instrument, Scenario, Source, UnitSpec, Wind

STEP_S = 0.5
SEMI_MAJOR_M, E2 = 6_378_137.0, 0.00669437999014
"""WGS-84's ellipsoid."""
INLET_M = 1.5
"""Height at which instruments draw their air."""
OXYGEN_PER_CENT = 20.9
CO2_PPM = 420.0
MEANDER_TAU_S = 45.0
GUST_SIGMA_LN = 0.6
"""Spread of the logarithm of short-time concentration about its mean."""
GUST_TAU_S = 7.0
LEL_PER_CENT = {"ch4": 5.0, "h2": 4.0, "co": 12.5, "nh3": 15.0, "h2s": 4.0, "c2h4": 2.7}

BEFORE_S = 3600.0
"""A source that is active at the start has been so for this long."""

_NORMAL = NormalDist()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a unit is; WGS-84."""

    lat: float
    lon: float
    alt_m: float
    speed_m_s: float
    track_deg: float


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """Ground on which the mean exceeds a level; an estimate, for the instructor."""

    source: str
    level: str
    ppm: float
    polygon: list[tuple[float, float]]
    """(lat, lon)."""


class _Swing:
    """A first-order autoregressive process: mean 0, standard deviation 1, memory `tau_s`."""

    def __init__(self, random: Random, tau_s: float) -> None:
        self._random = random
        self._keep = math.exp(-STEP_S / tau_s)
        self._fresh = math.sqrt(1.0 - self._keep**2)
        self.value = random.gauss(0.0, 1.0)

    def step(self) -> float:
        self.value = self._keep * self.value + self._fresh * self._random.gauss(0.0, 1.0)
        return self.value


class _Release:
    """A source and its history."""

    def __init__(self, spec: Source) -> None:
        self.spec = spec
        self.begun_s: float | None = -BEFORE_S if spec.active else None
        self.ended_s: float | None = None

    @property
    def active(self) -> bool:
        return self.begun_s is not None and self.ended_s is None

    def kg_m3(self, air: Air, t_s: float, x_m: float, y_m: float) -> float:
        """Mean concentration at the inlets' height."""
        if self.begun_s is None or x_m <= 0.0:
            return 0.0
        age_s, height_m = t_s - self.begun_s, self.spec.height_m
        if self.spec.mass_kg is not None:
            return plume.puff_kg_m3(self.spec.mass_kg, air, age_s, x_m, y_m, INLET_M, height_m)
        assert self.spec.rate_kg_s is not None
        share = plume.arrived(air, age_s, x_m)
        if self.ended_s is not None:
            share -= plume.arrived(air, t_s - self.ended_s, x_m)
        steady = plume.plume_kg_m3(self.spec.rate_kg_s, air, x_m, y_m, INLET_M, height_m)
        return steady * max(share, 0.0)


class _Body:
    """A unit in the world."""

    def __init__(self, spec: UnitSpec, seed: str) -> None:
        self.spec = spec
        self.route = Route(spec.route.points, spec.route.speed_m_s, spec.route.ending)
        self.gust = _Swing(Random(f"{seed}/gust"), GUST_TAU_S)
        self.gate = _Swing(Random(f"{seed}/gate"), GUST_TAU_S)
        self.cells: dict[str, list[Cell]] = {
            instrument.name: _make_cells(instrument, f"{seed}/{instrument.name}")
            for instrument in spec.instrument
        }


def _make_cells(instrument: Instrument, seed: str) -> list[Cell]:
    return [
        Cell(quantity, Random(f"{seed}/{quantity}"), instrument.t90_s)
        for quantity in instrument.quantities
    ]


class World:
    """Advance it, look at it, change its sources and its wind."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.t_s = 0.0
        self.wind = scenario.wind
        """The mean; the true wind swings about it."""
        self._steps = 0
        self._meander = _Swing(Random(f"{seed}/meander"), MEANDER_TAU_S)
        self._releases = {source.id: _Release(source) for source in scenario.source}
        self._bodies = {unit.id: _Body(unit, f"{seed}/{unit.id}") for unit in scenario.unit}
        self._step()

    # -- time --------------------------------------------------------------------------------

    def advance(self, t_s: float) -> None:
        """Go on to `t_s` on the scenario's clock; never back."""
        while self._steps * STEP_S <= t_s:
            self._step()
        self.t_s = max(self.t_s, t_s)

    def _step(self) -> None:
        t_s = self._steps * STEP_S
        self.t_s = max(self.t_s, t_s)
        self._steps += 1
        self._meander.step()
        for body in self._bodies.values():
            body.gust.step()
            body.gate.step()
            for cells in body.cells.values():
                for cell in cells:
                    cell.step(self._truth(body, cell, t_s), STEP_S)

    # -- what happens ------------------------------------------------------------------------

    def start_source(self, source: str) -> None:
        """Gas gets out from now on.  KeyError: there is no such source."""
        release = self._releases[source]
        if not release.active:
            release.begun_s, release.ended_s = self.t_s, None

    def stop_source(self, source: str) -> None:
        """No more gets out; what is in the air blows away.  KeyError: no such source."""
        release = self._releases[source]
        if release.active:
            release.ended_s = self.t_s

    def set_wind(self, speed_m_s: float | None = None, from_deg: float | None = None) -> None:
        """The mean wind from now on.  The whole plume turns at once: a simplification."""
        self.wind = Wind(
            speed_m_s=self.wind.speed_m_s if speed_m_s is None else speed_m_s,
            from_deg=self.wind.from_deg if from_deg is None else from_deg,
            meander_deg=self.wind.meander_deg,
        )

    # -- what is to be seen ------------------------------------------------------------------

    def place(self, unit: str) -> Place:
        """Where a unit is now."""
        motion = self._bodies[unit].route.at(self.t_s)
        lat, lon = self.to_wgs84(motion.east_m, motion.north_m)
        return Place(
            lat=lat,
            lon=lon,
            alt_m=self.scenario.site.alt_m + INLET_M,
            speed_m_s=motion.speed_m_s,
            track_deg=motion.track_deg,
        )

    def felt(self, unit: str, instrument: str) -> dict[str, float]:
        """What the cells of an instrument show now, by quantity."""
        cells = self._bodies[unit].cells[instrument]
        return {cell.quantity: cell.shown for cell in cells if cell.shown is not None}

    def is_active(self, source: str) -> bool:
        return self._releases[source].active

    def mean_ppm(self, gas: str, east_m: float, north_m: float) -> float:
        """Mean concentration at the inlets' height, without turbulence and meander."""
        air, t_s = self._air(), self.t_s
        total = 0.0
        for release in self._releases.values():
            if release.spec.gas == gas:
                x_m, y_m = self._in_wind(release.spec, east_m, north_m, self.wind.from_deg)
                total += release.kg_m3(air, t_s, x_m, y_m)
        return air.to_ppm(total, gas)

    def footprint(self) -> list[Footprint]:
        """AEGL areas of the active sources in the mean wind, the widest first."""
        found = []
        for release in self._releases.values():
            spec = release.spec
            if not release.active or spec.rate_kg_s is None:
                continue
            for number, ppm in enumerate(plume.AEGL_60_MIN_PPM.get(spec.gas, ()), start=1):
                if ppm is None:
                    continue
                ring = plume.outline(
                    spec.rate_kg_s, self._air(), spec.gas, ppm, INLET_M, spec.height_m
                )
                if ring:
                    polygon = [self._on_map(spec, x_m, y_m) for x_m, y_m in ring]
                    found.append(
                        Footprint(source=spec.id, level=f"aegl{number}", ppm=ppm, polygon=polygon)
                    )
        return found

    def to_wgs84(self, east_m: float, north_m: float) -> tuple[float, float]:
        """(lat, lon) of a place east and north of the site; good to a millimetre over a km."""
        site = self.scenario.site
        lat = math.radians(site.lat)
        w = math.sqrt(1.0 - E2 * math.sin(lat) ** 2)
        meridian_m, prime_m = SEMI_MAJOR_M * (1.0 - E2) / w**3, SEMI_MAJOR_M / w
        return (
            site.lat + math.degrees(north_m / meridian_m),
            site.lon + math.degrees(east_m / (prime_m * math.cos(lat))),
        )

    # -- how it comes about --------------------------------------------------------------------

    def _air(self) -> Air:
        spec = self.scenario.air
        return Air(
            wind_m_s=self.wind.speed_m_s,
            stability=spec.stability,
            terrain=spec.terrain,
            temperature_cel=spec.temperature_cel,
            pressure_hpa=spec.pressure_hpa,
        )

    def _from_deg(self) -> float:
        """Where the wind comes from at this moment."""
        return (self.wind.from_deg + self.wind.meander_deg * self._meander.value) % 360.0

    @staticmethod
    def _in_wind(
        source: Source, east_m: float, north_m: float, from_deg: float
    ) -> tuple[float, float]:
        """(downwind, across) of a place, seen from a source."""
        towards = math.radians(from_deg + 180.0)
        east, north = east_m - source.at[0], north_m - source.at[1]
        return (
            east * math.sin(towards) + north * math.cos(towards),
            east * math.cos(towards) - north * math.sin(towards),
        )

    def _on_map(self, source: Source, x_m: float, y_m: float) -> tuple[float, float]:
        towards = math.radians(self.wind.from_deg + 180.0)
        east = source.at[0] + x_m * math.sin(towards) + y_m * math.cos(towards)
        north = source.at[1] + x_m * math.cos(towards) - y_m * math.sin(towards)
        return self.to_wgs84(east, north)

    def _gas_ppm(self, body: _Body, t_s: float) -> dict[str, float]:
        """What a unit's instruments draw in at this moment, with gusts and gaps.

        The gate lets gas through more seldom towards the plume's edge, and more of it then: over
        10 minutes the mean is the plume's."""
        motion = body.route.at(t_s)
        air, from_deg = self._air(), self._from_deg()
        gust = math.exp(GUST_SIGMA_LN * body.gust.value - GUST_SIGMA_LN**2 / 2)
        found: dict[str, float] = {}
        for release in self._releases.values():
            x_m, y_m = self._in_wind(release.spec, motion.east_m, motion.north_m, from_deg)
            mean = release.kg_m3(air, t_s, x_m, y_m)
            if mean <= 0.0:
                continue
            sigma_y, _ = air.sigma(x_m)
            often = min(max(0.9 - 0.2 * abs(y_m) / sigma_y, 0.3), 0.9)
            if _NORMAL.cdf(body.gate.value) < often:
                ppm = air.to_ppm(mean * gust / often, release.spec.gas)
                found[release.spec.gas] = found.get(release.spec.gas, 0.0) + ppm
        return found

    def _truth(self, body: _Body, cell: Cell, t_s: float) -> float:
        quantity = cell.quantity
        if (weather := self._weather(body, quantity)) is not None:
            return weather
        gases = self._gas_ppm(body, t_s)
        if quantity == "o2":
            return OXYGEN_PER_CENT * max(0.0, 1.0 - sum(gases.values()) / 1e6)
        if quantity in ("combustible", "ch4"):
            burning = LEL_PER_CENT if quantity == "combustible" else {"ch4": LEL_PER_CENT["ch4"]}
            return sum(gases.get(gas, 0.0) / (lel * 1e4) * 100.0 for gas, lel in burning.items())
        background = CO2_PPM if quantity == "co2" else 0.0
        crossed = sum(share * gases.get(gas, 0.0) for gas, share in cell.kind.cross.items())
        return background + gases.get(quantity, 0.0) + crossed

    def _weather(self, body: _Body, quantity: str) -> float | None:
        air = self.scenario.air
        match quantity:
            case "wind_speed":
                return self.wind.speed_m_s * (1.0 + 0.15 * body.gust.value)
            case "wind_direction":
                return self._from_deg()
            case "temperature":
                return air.temperature_cel
            case "humidity":
                return air.humidity_rh
            case "pressure":
                return air.pressure_hpa
            case "noise":
                return air.noise_db
            case "pm1" | "pm2_5":
                return air.pm2_5_ug_m3
            case "pm10":
                return air.pm10_ug_m3
            case "illuminance":
                return air.illuminance_lx
            case "radiation":
                return air.radiation_w_m2
            case "rain":
                return air.rain_mm
            case _:
                return None
