"""A scenario: TOML to frozen structs, with every mistake of the file in one go.  Pure but for
`load` and `check`, which read the file.

Places are metres east and north of `[site]`.  Times `at_s` are on the scenario's clock, which
`--speed` drives; durations `for_s` are real seconds, because wires and links run in real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from agent import topics
from agent.drill.cell import CELLS
from agent.drill.plume import MOLAR_MASS_G_MOL, Stability, Terrain
from agent.drill.route import Ending
from agent.settings import places
from agent.settings.toml import ConfigError, Document, build, did_you_mean

WEATHER = (
    "wind_speed", "wind_direction", "humidity", "temperature", "noise", "pm2_5", "pm10",
    "pressure", "illuminance", "rain", "radiation",
)  # fmt: skip
"""What an all-in-one weather station measures."""

Mistakes = Iterator[tuple[str, str]]


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Words(_Table, frozen=True, kw_only=True):
    """A text for people, in both languages."""

    zh: str
    en: str


class Site(_Table, frozen=True, kw_only=True):
    """The point from which all places are measured; WGS-84."""

    lat: float
    lon: float
    alt_m: float = 0.0

    def mistakes(self) -> Mistakes:
        if not -80.0 <= self.lat <= 80.0:
            yield "lat", f"expected -80 to 80 degrees, read {self.lat:g}"
        if not -180.0 <= self.lon <= 180.0:
            yield "lon", f"expected -180 to 180 degrees, read {self.lon:g}"


class Wind(_Table, frozen=True, kw_only=True):
    """At the height of the release.  `from_deg` as meteorologists say it: 90 is an east wind."""

    speed_m_s: float = 3.0
    from_deg: float = 0.0
    meander_deg: float = 10.0
    """One standard deviation of the slow swing about `from_deg`."""

    def mistakes(self) -> Mistakes:
        yield from _between("speed_m_s", self.speed_m_s, 0.5, 40.0, "m/s")
        yield from _between("from_deg", self.from_deg, 0.0, 360.0, "degrees")
        yield from _between("meander_deg", self.meander_deg, 0.0, 60.0, "degrees")


class AirSpec(_Table, frozen=True, kw_only=True):
    """The weather that does not change during a drill."""

    stability: Stability = Stability.D
    terrain: Terrain = Terrain.URBAN
    temperature_cel: float = 25.0
    humidity_rh: float = 60.0
    pressure_hpa: float = 1013.2
    noise_db: float = 58.0
    pm2_5_ug_m3: float = 35.0
    pm10_ug_m3: float = 60.0
    illuminance_lx: float = 20_000.0
    radiation_w_m2: float = 250.0
    rain_mm: float = 0.0

    def mistakes(self) -> Mistakes:
        yield from _between("temperature_cel", self.temperature_cel, -40.0, 60.0, "degrees Celsius")
        yield from _between("humidity_rh", self.humidity_rh, 0.0, 100.0, "per cent")
        yield from _between("pressure_hpa", self.pressure_hpa, 500.0, 1100.0, "hPa")


class Source(_Table, frozen=True, kw_only=True):
    """Where gas gets out: for as long as it is active, or all at once."""

    id: str
    gas: str
    at: tuple[float, ...] = (0.0, 0.0)
    height_m: float = 0.0
    rate_kg_s: float | None = None
    mass_kg: float | None = None
    """Released at once, in place of `rate_kg_s`."""
    active: bool = False
    """Has been giving off gas since before the start."""

    def mistakes(self) -> Mistakes:
        if self.gas not in MOLAR_MASS_G_MOL:
            hint = did_you_mean(self.gas, MOLAR_MASS_G_MOL)
            known = ", ".join(sorted(MOLAR_MASS_G_MOL))
            yield "gas", f"expected one of {known}, read {self.gas!r}{hint}"
        if len(self.at) != 2:
            yield "at", f"expected [east, north] in m, read {list(self.at)}"
        if (self.rate_kg_s is None) == (self.mass_kg is None):
            yield "rate_kg_s", "expected either rate_kg_s or mass_kg, read both or none"
        for key, value in (("rate_kg_s", self.rate_kg_s), ("mass_kg", self.mass_kg)):
            if value is not None:
                yield from _between(key, value, 1e-6, 1e5, "kg/s" if "rate" in key else "kg")


class RouteSpec(_Table, frozen=True, kw_only=True):
    """`points`: [east, north] or [east, north, seconds to wait there]."""

    points: list[tuple[float, ...]]
    speed_m_s: float = 1.2
    ending: Ending = Ending.LOOP

    def mistakes(self) -> Mistakes:
        if not self.points:
            yield "points", "expected at least one point, read none"
        for point in self.points:
            if len(point) not in (2, 3) or (len(point) == 3 and point[2] < 0):
                yield "points", f"expected [east, north] or [east, north, wait], read {list(point)}"
        yield from _between("speed_m_s", self.speed_m_s, 0.01, 60.0, "m/s")


class Instrument(_Table, frozen=True, kw_only=True):
    """A twin on a pty, and the `[[source]]` by which the agent reads it."""

    name: str
    driver: Literal["nmea", "winsen", "modbus"]
    gas: str = ""
    """winsen: what the cell measures."""
    module: str = "ze03"
    """winsen: the module's family."""
    map: Literal["", "six_in_one", "weather_station"] = ""
    """modbus: the register map."""
    gases: tuple[str, ...] = ()
    """modbus six_in_one: one a head, at addresses 1, 2, 3 ..."""
    place: str = ""
    t90_s: float | None = None
    """In place of the usual time to 90 % of such a cell."""

    @property
    def quantities(self) -> tuple[str, ...]:
        """What its cells measure; a positioning receiver has none."""
        if self.driver == "winsen":
            return (self.gas,)
        if self.driver == "modbus":
            return self.gases if self.map == "six_in_one" else WEATHER
        return ()

    def mistakes(self) -> Mistakes:
        if not topics.is_slug(self.name):
            yield "name", f"expected 1 to 63 of a-z, 0-9 and inner hyphens, read {self.name!r}"
        if self.driver == "winsen":
            yield from _cell("gas", self.gas)
        elif self.driver == "modbus" and not self.map:
            yield "map", "missing; expected one of six_in_one, weather_station"
        if self.map == "six_in_one" and not 1 <= len(self.gases) <= 6:
            yield "gases", f"expected 1 to 6 gases, read {len(self.gases)}"
        for gas in self.gases:
            yield from _cell("gases", gas)
        if self.t90_s is not None:
            yield from _between("t90_s", self.t90_s, 0.1, 3600.0, "s")


class Camera(_Table, frozen=True, kw_only=True):
    """As in a unit's configuration."""

    name: str = "front"
    source: str = "scene"
    width: int = 1280
    height: int = 720
    fps: int = 25
    bitrate_kbit_s: int = 1500


class UnitSpec(_Table, frozen=True, kw_only=True):
    """One unit: an ordinary agent with its instruments."""

    id: str
    name: Words
    route: RouteSpec
    profile: Literal["vehicle", "soldier", "monitor", "laptop"] = "soldier"
    limits: str = "responder"
    panel: bool = True
    instrument: tuple[Instrument, ...] = ()
    camera: tuple[Camera, ...] = ()
    voice: bool = False
    """A microphone and a speaker, which are files: who leads listens and talks on the page."""

    def mistakes(self) -> Mistakes:
        if not topics.is_slug(self.id) or not self.id.startswith(topics.EXERCISE_PREFIX):
            expected = f"{topics.EXERCISE_PREFIX!r} and a-z, 0-9, hyphens"
            why = "an exercise's unit can never be taken for a real one"
            yield "id", f"expected {expected} ({why}), read {self.id!r}"


class Kind(StrEnum):
    """What may be injected."""

    SOURCE_START = "source_start"
    SOURCE_STOP = "source_stop"
    WIND = "wind"
    SOS = "sos"
    ACK = "ack"
    SILENCE = "silence"
    UNPLUG = "unplug"
    GARBAGE = "garbage"
    CUT_FRAME = "cut_frame"
    BAD_CHECKSUM = "bad_checksum"
    RESTORE = "restore"
    LINK_DROP = "link_drop"
    LINK_BLACKHOLE = "link_blackhole"
    KILL_AGENT = "kill_agent"
    KILL_BROKER = "kill_broker"


class _Needs(msgspec.Struct, frozen=True):
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_UNIT, _SOURCE = frozenset({"unit"}), frozenset({"source"})
_LINE = frozenset({"unit", "instrument"})
_FOR, _COUNT = frozenset({"for_s"}), frozenset({"count"})
NEEDS: dict[Kind, _Needs] = {
    Kind.SOURCE_START: _Needs(_SOURCE),
    Kind.SOURCE_STOP: _Needs(_SOURCE),
    Kind.WIND: _Needs(frozenset(), frozenset({"speed_m_s", "from_deg"})),
    Kind.SOS: _Needs(_UNIT, _FOR),
    Kind.ACK: _Needs(_UNIT, _FOR),
    Kind.SILENCE: _Needs(_LINE, _FOR),
    Kind.UNPLUG: _Needs(_LINE, _FOR),
    Kind.GARBAGE: _Needs(_LINE, _COUNT),
    Kind.CUT_FRAME: _Needs(_LINE, _COUNT),
    Kind.BAD_CHECKSUM: _Needs(_LINE, _COUNT),
    Kind.RESTORE: _Needs(_LINE),
    Kind.LINK_DROP: _Needs(_UNIT | _FOR),
    Kind.LINK_BLACKHOLE: _Needs(_UNIT | _FOR),
    Kind.KILL_AGENT: _Needs(_UNIT),
    Kind.KILL_BROKER: _Needs(),
}
_DETAILS = ("unit", "instrument", "source", "for_s", "count", "speed_m_s", "from_deg")


class Inject(_Table, frozen=True, kw_only=True):
    """Something that happens: at its time, or when the instructor asks for it."""

    id: str
    kind: Kind
    label: Words
    at_s: float | None = None
    """On the scenario's clock; without it only the instructor brings it about."""
    unit: str = ""
    instrument: str = ""
    source: str = ""
    for_s: float | None = None
    """Real seconds; a fault without it lasts until it is restored, or the scenario ends."""
    count: int | None = None
    """Frames to spoil."""
    speed_m_s: float | None = None
    from_deg: float | None = None

    def mistakes(self) -> Mistakes:
        needs = NEEDS[self.kind]
        for key in _DETAILS:
            given = getattr(self, key) not in ("", None)
            if given and key not in needs.required | needs.optional:
                yield key, f"a {self.kind} has no {key}"
            if not given and key in needs.required:
                yield key, f"missing; a {self.kind} needs it"
        if self.kind is Kind.WIND and self.speed_m_s is None and self.from_deg is None:
            yield "from_deg", "missing; a wind needs from_deg or speed_m_s"
        if self.for_s is not None:
            yield from _between("for_s", self.for_s, 0.1, 3600.0, "s")
        if self.count is not None:
            yield from _between("count", self.count, 1, 1000, "frames")
        if self.at_s is not None:
            yield from _between("at_s", self.at_s, 0.0, 86_400.0, "s")
        if self.speed_m_s is not None:
            yield from _between("speed_m_s", self.speed_m_s, 0.5, 40.0, "m/s")
        if self.from_deg is not None:
            yield from _between("from_deg", self.from_deg, 0.0, 360.0, "degrees")


class Scenario(_Table, frozen=True, kw_only=True):
    """A whole drill."""

    title: Words
    site: Site
    unit: tuple[UnitSpec, ...]
    duration_s: float = 300.0
    seed: int = 1
    org: str = "drill"
    wind: Wind = Wind()
    air: AirSpec = AirSpec()
    source: tuple[Source, ...] = ()
    inject: tuple[Inject, ...] = ()

    def mistakes(self) -> Mistakes:
        if not topics.is_slug(self.org):
            yield "org", f"expected 1 to 63 of a-z, 0-9 and inner hyphens, read {self.org!r}"
        if not self.unit:
            yield "unit", "expected at least one [[unit]], read none"
        yield from _between("duration_s", self.duration_s, 1.0, 86_400.0, "s")


def find(name: str) -> Path:
    """The file of a scenario, given by its path or by its name in config/scenarios.

    FileNotFoundError names what there is."""
    path = places.named("scenarios", name)
    if path.is_file():
        return path
    if path == Path(name):
        raise FileNotFoundError(f"{name}: there is no such scenario file")
    known = places.names("scenarios")
    raise FileNotFoundError(
        f"no scenario is called {name!r}{did_you_mean(name, known)}; there are "
        f"{', '.join(known) or 'none'} in {path.parent}, or give the path of a .toml file"
    )


def parse(document: Document) -> Scenario:
    """ConfigError with all mistakes of the document."""
    scenario = None
    if not document.mistakes:
        scenario = build(document, Scenario, document.data, ())
        _check_names(document)
        _check_references(document)
    document.raise_mistakes()
    assert scenario is not None
    return scenario


def load(path: Path) -> Scenario:
    """ConfigError with all mistakes of the file."""
    return parse(Document.read(path))


def check(path: Path) -> list[str]:
    """The mistakes of a scenario file, one sentence each; none if it can be played."""
    try:
        load(path)
    except ConfigError as error:
        return list(error.mistakes)
    return []


def _between(key: str, value: float, low: float, high: float, unit: str) -> Mistakes:
    if not low <= value <= high:
        yield key, f"expected {low:g} to {high:g} {unit}, read {value:g}"


def _cell(key: str, gas: str) -> Mistakes:
    if gas not in CELLS:
        known = ", ".join(sorted(CELLS))
        yield key, f"expected one of {known}, read {gas!r}{did_you_mean(gas, CELLS)}"


def _tables(data: object, key: str) -> list[tuple[int, dict[str, object]]]:
    """The tables of an array that may be malformed in any way."""
    items = data.get(key) if isinstance(data, dict) else None
    if not isinstance(items, list):
        return []
    return [(index, item) for index, item in enumerate(items) if isinstance(item, dict)]


def _check_names(document: Document) -> None:
    """Names that must be told apart."""
    for key, word in (("unit", "id"), ("source", "id"), ("inject", "id")):
        _check_distinct(document, (), document.data, key, word)
    for index, unit in _tables(document.data, "unit"):
        for key in ("instrument", "camera"):
            _check_distinct(document, ("unit", index), unit, key, "name")


def _check_distinct(
    document: Document, where: tuple[str | int, ...], data: object, key: str, word: str
) -> None:
    seen: set[str] = set()
    for index, table in _tables(data, key):
        name = table.get(word)
        if isinstance(name, str):
            if name in seen:
                document.mistake((*where, key, index, word), f"{name!r} is there already")
            seen.add(name)


def _check_references(document: Document) -> None:
    """What injects speak of must be there.  Works on the raw tables, so that a mistake elsewhere
    does not hide these."""
    units = {str(table.get("id")): table for _, table in _tables(document.data, "unit")}
    sources = {str(table.get("id")) for _, table in _tables(document.data, "source")}
    for index, inject in _tables(document.data, "inject"):
        where = ("inject", index)
        unit, source = inject.get("unit"), inject.get("source")
        if isinstance(unit, str) and unit not in units:
            _unknown(document, (*where, "unit"), "unit", unit, units)
        elif isinstance(unit, str):
            _check_unit_part(document, where, inject, units[unit])
        if isinstance(source, str) and source not in sources:
            _unknown(document, (*where, "source"), "source", source, sources)


def _check_unit_part(
    document: Document, where: tuple[str | int, ...], inject: dict[str, object],
    unit: dict[str, object],
) -> None:  # fmt: skip
    instrument = inject.get("instrument")
    names = {str(table.get("name")) for _, table in _tables(unit, "instrument")}
    if isinstance(instrument, str) and instrument not in names:
        kind = f"instrument of {unit.get('id')}"
        _unknown(document, (*where, "instrument"), kind, instrument, names)
    if inject.get("kind") in (Kind.SOS, Kind.ACK) and unit.get("panel") is False:
        document.mistake((*where, "unit"), f"{unit.get('id')} has no panel to press")


def _unknown(
    document: Document, where: tuple[str | int, ...], kind: str, read: str,
    known: dict[str, dict[str, object]] | set[str],
) -> None:  # fmt: skip
    there = ", ".join(sorted(known)) or "none"
    hint = did_you_mean(read, known)
    document.mistake(where, f"unknown {kind}: read {read!r}, expected one of {there}{hint}")
