"""The configuration of a unit: TOML to frozen structs.  config/agent.toml is its manual."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

import drivers
from agent.alarms.setpoints import Override, SetPoint
from agent.settings import evidence, set_points
from agent.settings.neighbours import NeighboursConfig
from agent.settings.person import PersonConfig
from agent.settings.rates import RatesConfig
from agent.settings.record import RecordConfig
from agent.settings.relay import RelayConfig
from agent.settings.tables import (
    BUS_KEYS,
    LINE_KEYS,
    AlarmsConfig,
    CameraConfig,
    LogConfig,
    MediaConfig,
    SourceTable,
    StoreConfig,
    UnitConfig,
    UplinkConfig,
)
from agent.settings.toml import Document, build, did_you_mean
from drivers import DriverConfig, DriverModule, Instrument
from drivers.panelconfig import PanelConfig


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True):
    table: SourceTable
    options: DriverConfig
    module: Any
    """The driver's module (`DriverModule`)."""

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def line(self) -> Instrument:
        """The instrument's line settings, with what the table overrides."""
        given = {key: value for key in LINE_KEYS if (value := getattr(self.table, key)) is not None}
        instrument: Instrument = self.module.INSTRUMENT
        return msgspec.structs.replace(instrument, **given)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    unit: UnitConfig
    store: StoreConfig
    log: LogConfig
    sources: tuple[SourceConfig, ...]
    alarms: AlarmsConfig
    set_points: dict[str, SetPoint]
    """By quantity."""
    own_points: dict[tuple[str, str], SetPoint]
    """By source and quantity, in place of the former."""
    limit_changes: tuple[tuple[Override, SetPoint | None], ...]
    """What this unit sets differently, each with what held before."""
    panel: PanelConfig | None
    cameras: tuple[CameraConfig, ...]
    media: MediaConfig
    person: PersonConfig
    neighbours: NeighboursConfig
    rates: RatesConfig
    relay: RelayConfig
    uplinks: tuple[UplinkConfig, ...]

    @property
    def recording(self) -> RecordConfig:
        """`[media.record]`, with the folder that it means."""
        return self.media.record.placed(self.store.dir)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    unit: UnitConfig
    store: StoreConfig = StoreConfig()
    log: LogConfig = LogConfig()
    source: tuple[dict[str, Any], ...] = ()
    alarms: AlarmsConfig = AlarmsConfig()
    panel: PanelConfig | None = None
    camera: tuple[CameraConfig, ...] = ()
    media: MediaConfig = MediaConfig()
    person: PersonConfig = PersonConfig()
    neighbours: NeighboursConfig = NeighboursConfig()
    rates: RatesConfig = RatesConfig()
    uplink: tuple[UplinkConfig, ...] = ()
    relay: RelayConfig = RelayConfig()


def driver_names() -> list[str]:
    """Every module of `drivers` that reads an instrument (its text defines INSTRUMENT)."""
    folders = [Path(folder) for folder in drivers.__path__]
    return sorted(
        module.name
        for module in pkgutil.iter_modules(drivers.__path__)
        if any(
            "\nINSTRUMENT" in (folder / f"{module.name}.py").read_text(encoding="utf-8")
            for folder in folders
            if (folder / f"{module.name}.py").is_file()
        )
    )


def load(path: Path) -> Config:
    """Read and check a configuration.  ConfigError holds every mistake, in the file's order."""
    return parse(Document.read(path))


def parse(document: Document) -> Config:
    """The same for what has been read."""
    document.raise_mistakes()
    file = build(document, _File, document.data, ())
    sources = [
        _source(document, table, ("source", index)) for index, table in _tables(document, "source")
    ]
    for key in ("source", "camera", "uplink"):
        _once(document, key, "name")
    _port_once(document)
    if None not in sources:
        for index, sentence in evidence.unverified([source for source in sources if source]):
            document.mistake(("source", index, "driver"), sentence)
    points = set_points.of_unit(
        document,
        build(document, AlarmsConfig, document.data.get("alarms", {}), ("alarms",)),
        file.unit.profile if file else None,
        [source for source in sources if source],
    )
    if file is not None:
        _whip(document, file.media, file.camera)
        for name in file.media.record.cameras:
            if name not in [camera.name for camera in file.camera]:
                document.mistake(("media", "record", "cameras"), f"there is no camera {name!r}")
        for key, sentence in file.relay.mistakes_in(file.unit, file.uplink):
            document.mistake(("relay", key), sentence)
        names = [table.get("name") for _, table in _tables(document, "source")]
        _person(document, file.person, names)
    document.raise_mistakes()
    assert file is not None, "what has no mistake was built"
    return Config(
        unit=file.unit, store=file.store, log=file.log, alarms=file.alarms,
        set_points=points.points, own_points=points.own, limit_changes=points.changes,
        sources=tuple(source for source in sources if source is not None), panel=file.panel,
        cameras=file.camera, media=file.media, person=file.person,
        neighbours=file.neighbours, rates=file.rates,
        uplinks=file.uplink, relay=file.relay,
    )  # fmt: skip


def _tables(document: Document, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Those of `[[key]]` that are tables, so that one mistake does not hide another."""
    found = document.data.get(key)
    for index, table in enumerate(found if isinstance(found, list) else []):
        if isinstance(table, dict):
            yield index, table


def _whip(document: Document, media: MediaConfig, cameras: tuple[CameraConfig, ...]) -> None:
    """Each media server has a name of its own, and a camera that there is."""
    names = [camera.name for camera in cameras]
    for index, target in enumerate(media.whip):
        if target.name in [other.name for other in media.whip[:index]]:
            document.mistake(("media", "whip", index, "name"), f"{target.name!r} is there already")
        if target.camera and target.camera not in names:
            document.mistake(
                ("media", "whip", index, "camera"), f"there is no camera {target.camera!r}"
            )
        if target.voice and not media.voice.microphone:
            document.mistake(("media", "whip", index, "voice"), "given without a microphone")


def _once(document: Document, key: str, word: str) -> None:
    seen: dict[str, int] = {}
    for index, table in _tables(document, key):
        value = table.get(word)
        if not isinstance(value, str):
            continue
        if value in seen:
            line = document.line((key, seen[value], word))
            document.mistake((key, index, word), f"{value!r} is the {word} in line {line} already")
        seen.setdefault(value, index)


def _port_once(document: Document) -> None:
    """One owner a port, but for a bus: its sources take turns, and must want the line set alike."""
    seen: dict[str, tuple[int, dict[str, Any]]] = {}
    for index, table in _tables(document, "source"):
        port = table.get("port")
        if not isinstance(port, str):
            continue
        place, first = seen.setdefault(port, (index, table))
        if place == index:
            continue
        name = first.get("name")
        if not (_on_bus(first) and _on_bus(table)):
            document.mistake(
                ("source", index, "port"), f"{port!r} is the port of source {name!r} already"
            )
            continue
        for key in [key for key in BUS_KEYS if table.get(key) != first.get(key)]:
            document.mistake(
                ("source", index, key),
                f"expected {first.get(key, 'none')!r} as for source {name!r} on the same port, "
                f"read {table.get(key, 'none')!r}",
            )


def _person(document: Document, person: PersonConfig, sources: list[Any]) -> None:
    """Those that the wearer's tables name must be there."""
    for name in person.required:
        if name not in sources:
            document.mistake(("person", "required"), f"there is no source {name!r}")
    name = person.no_motion.source
    if name and name not in sources:
        document.mistake(("person", "no_motion", "source"), f"there is no source {name!r}")


def _on_bus(table: dict[str, Any]) -> bool:
    name = table.get("driver")
    return name in driver_names() and importlib.import_module(f"drivers.{name}").INSTRUMENT.bus


def _source(
    document: Document, table: dict[str, Any], where: tuple[str | int, ...]
) -> SourceConfig | None:
    common = set(SourceTable.__struct_fields__)
    plain = build(document, SourceTable, {k: v for k, v in table.items() if k in common}, where)
    name = table.get("driver")
    if not isinstance(name, str):
        return None
    if name not in driver_names():
        known = driver_names()
        hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
        document.mistake((*where, "driver"), f"there is no driver {name!r}{hint}")
        return None
    module: DriverModule = importlib.import_module(f"drivers.{name}")  # type: ignore[assignment]
    _check_wire(document, module.INSTRUMENT, table, where)
    rest = {key: value for key, value in table.items() if key not in common}
    known = sorted(common | set(module.Config.__struct_fields__))
    for key in [key for key in rest if key not in module.Config.__struct_fields__]:
        hint = did_you_mean(key, known) or f"; known are {', '.join(known)}"
        document.mistake((*where, key), f"unknown key for the driver {name!r}{hint}")
        del rest[key]
    options = build(document, module.Config, rest, where)
    if plain is None or options is None:
        return None
    asks = module.INSTRUMENT.poll or getattr(options, "mode", None) == "query"
    if asks and (period_s := getattr(options, "period_s", 0.0)) >= plain.silent_s:
        document.mistake(
            (*where, "silent_s"),
            f"expected more than period_s ({period_s:g}), read {plain.silent_s:g}",
        )
    return SourceConfig(table=plain, options=options, module=module)


def _check_wire(
    document: Document, instrument: Instrument, table: dict[str, Any], where: tuple[str | int, ...]
) -> None:
    if instrument.wire == "none":
        for key in [key for key in ("port", *LINE_KEYS) if key in table]:
            document.mistake((*where, key), f"the driver {table['driver']!r} has no line; drop it")
    elif table.get("port", "") == "":
        document.mistake((*where, "port"), "missing; expected the path of a serial device")
