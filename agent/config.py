"""The configuration of a unit: TOML to frozen structs.  config/agent.toml is its manual."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from drivers.panel import PanelConfig

import drivers
from agent import limits, places, topics
from agent.alarms.setpoints import SetPoint
from agent.media import wire
from agent.messages import Mark
from agent.mqtt import Broker, Tls
from agent.toml import ConfigError, Document, build, did_you_mean
from drivers import DriverConfig, DriverModule, Instrument

DEFAULT_VERBS = (
    "alarm.ack", "message", "resend", "snapshot", "sos.confirm", "video.start", "video.stop",
)  # fmt: skip


class Profile(StrEnum):
    VEHICLE = "vehicle"
    SOLDIER = "soldier"
    MONITOR = "monitor"
    LAPTOP = "laptop"


class UnitConfig(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    org: str
    profile: Profile
    mark: Mark = Mark.ACTUAL
    name: dict[str, str] = {}

    @property
    def exercise(self) -> bool:
        return self.mark is Mark.EXERCISE

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for key, value in (("id", self.id), ("org", self.org)):
            if not topics.is_slug(value):
                yield key, f"expected 1 to 63 of a-z, 0-9 and inner hyphens, read {value!r}"
        if self.id.startswith(topics.EXERCISE_PREFIX) != self.exercise:
            need = "begin" if self.exercise else "not begin"
            yield (
                "id",
                (
                    f"a unit whose mark is {self.mark.value!r} must {need} with "
                    f"{topics.EXERCISE_PREFIX!r}, read {self.id!r}"
                ),
            )
        if self.id in (topics.ALL_UNITS, topics.DRILL):
            yield "id", f"{self.id!r} is reserved"


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True):
    dir: str = "/var/lib/outpost"
    retention_days: float = 8.0
    max_mb: int = 4096
    shutdown_drain_s: float = 2.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for key in ("retention_days", "max_mb"):
            if getattr(self, key) <= 0:
                yield key, f"expected more than 0, read {getattr(self, key):g}"
        if self.shutdown_drain_s < 0:
            yield "shutdown_drain_s", f"expected 0 or more, read {self.shutdown_drain_s:g}"


class LogFormat(StrEnum):
    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    format: LogFormat = LogFormat.HUMAN
    level: LogLevel = LogLevel.INFO


class SourceTable(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that every `[[source]]` may have; the rest are its driver's."""

    name: str
    driver: str
    port: str
    baudrate: int | None = None
    bytesize: int | None = None
    parity: str | None = None
    stopbits: int | None = None
    silent_s: float = 10.0
    place: str = ""
    serial: str = ""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if not topics.is_slug(self.name):
            yield "name", f"expected 1 to 63 of a-z, 0-9 and inner hyphens, read {self.name!r}"
        if self.silent_s <= 0:
            yield "silent_s", f"expected more than 0 seconds, read {self.silent_s:g}"
        if self.baudrate is not None and self.baudrate <= 0:
            yield "baudrate", f"expected more than 0 bits/s, read {self.baudrate}"
        if not self.port:
            yield "port", "expected the path of a serial device, read ''"


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
        given = {
            key: value
            for key in ("baudrate", "bytesize", "parity", "stopbits")
            if (value := getattr(self.table, key)) is not None
        }
        return msgspec.structs.replace(self.module.INSTRUMENT, **given)


class AlarmsConfig(msgspec.Struct, frozen=True, kw_only=True):
    limits: str = "responder"
    override: tuple[SetPoint, ...] = ()


class CameraConfig(wire.CameraConfig, frozen=True, kw_only=True):
    """A `[[camera]]`: what the media process is told, checked."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if not topics.is_slug(self.name):
            yield "name", f"expected 1 to 63 of a-z, 0-9 and inner hyphens, read {self.name!r}"
        if self.source != "scene" and not self.source.startswith(
            ("v4l2:/", "file:", "rtsp://", "rtsps://")
        ):
            yield (
                "source",
                (
                    "expected scene, v4l2:/dev/video0, file:PATH or rtsp://..., "
                    f"read {self.source!r}"
                ),
            )
        for key, low, high in (
            ("width", 64, 3840), ("height", 64, 2160), ("fps", 1, 60),
            ("bitrate_kbit_s", 30, 20000),
        ):  # fmt: skip
            if not low <= getattr(self, key) <= high:
                yield key, f"expected {low} to {high}, read {getattr(self, key)}"
        if self.width % 2 or self.height % 2:
            yield "width", f"width and height must be even, read {self.width}x{self.height}"


class MediaConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True


class UplinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    host: str
    port: int = 8883
    tls: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password_file: str = ""
    keepalive_s: int = 15
    local: bool = False
    verbs: tuple[str, ...] = DEFAULT_VERBS
    history_records_per_s: float = 2000.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if not topics.is_slug(self.name):
            yield "name", f"expected 1 to 63 of a-z, 0-9 and inner hyphens, read {self.name!r}"
        if not 1 <= self.port <= 65535:
            yield "port", f"expected 1 to 65535, read {self.port}"
        if not 2 <= self.keepalive_s <= 600:
            yield "keepalive_s", f"expected 2 to 600, read {self.keepalive_s}"
        if self.history_records_per_s <= 0:
            yield (
                "history_records_per_s",
                (f"expected more than 0, read {self.history_records_per_s:g}"),
            )
        if not self.tls and not self.local and not _is_loopback(self.host):
            yield (
                "tls",
                (
                    "without TLS only a broker on loopback or one marked local may be used, "
                    f"but the host is {self.host!r}"
                ),
            )
        if self.key_file and not self.cert_file:
            yield "key_file", "given without cert_file"

    def broker(self) -> Broker:
        """OSError where the password's file cannot be read."""
        password = ""
        if self.password_file:
            password = Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        tls = (
            Tls(ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)
            if self.tls
            else None
        )
        return Broker(
            host=self.host, port=self.port, tls=tls, username=self.username, password=password,
            keepalive_s=self.keepalive_s,
        )  # fmt: skip


class Config(msgspec.Struct, frozen=True, kw_only=True):
    unit: UnitConfig
    store: StoreConfig
    log: LogConfig
    sources: tuple[SourceConfig, ...]
    alarms: AlarmsConfig
    set_points: dict[str, SetPoint]
    panel: PanelConfig | None
    cameras: tuple[CameraConfig, ...]
    media: MediaConfig
    uplinks: tuple[UplinkConfig, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    unit: UnitConfig
    store: StoreConfig = StoreConfig()
    log: LogConfig = LogConfig()
    source: tuple[dict[str, Any], ...] = ()
    alarms: AlarmsConfig = AlarmsConfig()
    panel: PanelConfig | None = None
    camera: tuple[CameraConfig, ...] = ()
    media: MediaConfig = MediaConfig()
    uplink: tuple[UplinkConfig, ...] = ()

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for key in ("camera", "uplink"):
            names = [item.name for item in getattr(self, key)]
            for name in {name for name in names if names.count(name) > 1}:
                yield key, f"the name {name!r} is given {names.count(name)} times"


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
    document = Document.read(path)
    document.raise_mistakes()
    file = build(document, _File, document.data, ())
    tables = document.data.get("source", [])
    sources = [
        _source(document, table, ("source", index))
        for index, table in enumerate(tables if isinstance(tables, list) else [])
    ]
    _names_once(document, tables)
    points = _set_points(document, file) if file is not None else {}
    document.raise_mistakes()
    if file is None:
        raise ConfigError([f"{path}: cannot be used"])
    return Config(
        unit=file.unit, store=file.store, log=file.log, alarms=file.alarms, set_points=points,
        sources=tuple(source for source in sources if source is not None), panel=file.panel,
        cameras=file.camera, media=file.media, uplinks=file.uplink,
    )  # fmt: skip


def _names_once(document: Document, tables: Any) -> None:
    seen: set[Any] = set()
    ports: dict[Any, Any] = {}
    for index, table in enumerate(tables if isinstance(tables, list) else []):
        if not isinstance(table, dict):
            continue
        name, port = table.get("name"), table.get("port")
        if name is not None and name in seen:
            document.mistake(("source", index, "name"), f"the name {name!r} is used before")
        if port is not None and port in ports:
            document.mistake(
                ("source", index, "port"), f"{port!r} is the port of source {ports[port]!r} already"
            )
        seen.add(name)
        ports[port] = name


def _source(document: Document, table: Any, where: tuple[str | int, ...]) -> SourceConfig | None:
    if not isinstance(table, dict):
        document.mistake(where, "expected a table")
        return None
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
    rest = {key: value for key, value in table.items() if key not in common}
    known = sorted(common | set(module.Config.__struct_fields__))
    for key in [key for key in rest if key not in module.Config.__struct_fields__]:
        hint = did_you_mean(key, known) or f"; known are {', '.join(known)}"
        document.mistake((*where, key), f"unknown key for the driver {name!r}{hint}")
        del rest[key]
    options = build(document, module.Config, rest, where)
    if plain is None or options is None:
        return None
    return SourceConfig(table=plain, options=options, module=module)


def _set_points(document: Document, file: _File) -> dict[str, SetPoint]:
    path = places.named("limits", file.alarms.limits)
    if not path.is_file():
        known = places.names("limits")
        hint = did_you_mean(file.alarms.limits, known) or f"; known are {', '.join(known)}"
        document.mistake(("alarms", "limits"), f"there is no file {path.name!r}{hint}")
        return {}
    try:
        points = limits.load(path)
    except ConfigError as error:
        document.mistakes.extend(error.mistakes)
        return {}
    return points | {point.quantity: point for point in file.alarms.override}


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
