"""The configuration of a unit: TOML to frozen structs.  config/agent.toml is its manual."""

from __future__ import annotations

import datetime as dt
import errno
import importlib
import ipaddress
import pkgutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

import drivers
from agent import evidence, set_points, signing, topics
from agent.alarms.engine import OWN, PANEL
from agent.alarms.setpoints import Override, SetPoint
from agent.broker import Broker, Tls
from agent.calibration import Calibration
from agent.media import wire
from agent.messages import Class, Mark
from agent.toml import Document, build, did_you_mean
from drivers import DriverConfig, DriverModule, Instrument, ports
from drivers.panel import PanelConfig

DEFAULT_VERBS = ("alarm.ack", "resend", "sos.confirm", "video.start", "video.stop")
VERBS = (
    *DEFAULT_VERBS, "air.clean", "wearer", "config.get", "config.set", "config.confirm", "restart",
)  # fmt: skip
"""What an uplink can be allowed."""

Slug = Annotated[
    str,
    msgspec.Meta(pattern=topics.SLUG.pattern, description="1 to 63 of a-z, 0-9 and inner hyphens"),
]
PersonName = Annotated[str, msgspec.Meta(max_length=64, description="at most 64 characters")]
Positive = Annotated[float, msgspec.Meta(gt=0, description="a number above 0")]
Seconds = Annotated[float, msgspec.Meta(ge=0, description="0 or more seconds")]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535, description="1 to 65535")]
HostName = Annotated[str, msgspec.Meta(min_length=1, description="a host's name or address")]
KeepAlive = Annotated[int, msgspec.Meta(ge=2, le=600, description="2 to 600 seconds")]
Day = Annotated[dt.date, msgspec.Meta(description="a day, as 2026-05-31")]
Days = Annotated[float, msgspec.Meta(gt=0, le=3660, description="a number of days, up to 3660")]
Bauds = Annotated[int, msgspec.Meta(ge=50, le=4_000_000, description="50 to 4000000 bits/s")]

_EVEN = "an even number from 64 to 3840"
_RATE = "30 to 20000 kbit/s"


class Profile(StrEnum):
    VEHICLE = "vehicle"
    SOLDIER = "soldier"
    MONITOR = "monitor"
    LAPTOP = "laptop"


class UnitConfig(msgspec.Struct, frozen=True, kw_only=True):
    id: Slug
    org: Slug
    profile: Profile
    mark: Mark = Mark.ACTUAL
    name: dict[str, str] = {}
    wearer: PersonName = ""
    wearer_id: PersonName = ""

    @property
    def exercise(self) -> bool:
        return self.mark is Mark.EXERCISE

    def mistakes(self) -> Iterator[tuple[str, str]]:
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
            yield "id", f"{self.id!r} has a meaning of its own in topics; choose another"


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True):
    dir: str = "/var/lib/outpost"
    retention_days: Positive = 8.0
    max_mb: Annotated[int, msgspec.Meta(ge=16, description="16 MB or more")] = 4096
    shutdown_drain_s: Seconds = 2.0


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
    incident_mb: Annotated[int, msgspec.Meta(ge=1, le=1024, description="1 to 1024 MB")] = 8
    incident_files: Annotated[int, msgspec.Meta(ge=2, le=9999, description="2 to 9999")] = 64


class SourceTable(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that every `[[source]]` may have; the rest are its driver's."""

    name: Slug
    driver: Annotated[str, msgspec.Meta(description="a driver's name (drivers/README.md)")]
    port: Annotated[str, msgspec.Meta(description="a device's path or tcp://HOST:PORT")] = ""
    """Empty where the driver has no wire."""
    baudrate: Bauds | None = None
    bytesize: Literal[5, 6, 7, 8] | None = None
    parity: Literal["N", "E", "O", "M", "S"] | None = None
    stopbits: Literal[1, 2] | None = None
    silent_s: Positive = 10.0
    same_s: Seconds = 0.0
    place: str = ""
    serial: str = ""
    calibrated: Day | None = None
    calibrated_by: str = ""
    calibration_days: Days = 180.0
    accept_unverified: bool = False

    @property
    def calibration(self) -> Calibration:
        return Calibration(calibrated=self.calibrated, days=self.calibration_days)

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.name == PANEL:
            yield "name", f"{PANEL!r} is the name of the unit's own buttons; choose another"
        elif self.name in OWN:
            yield "name", f"{self.name!r} is the name of the unit itself; choose another"
        if 0 < self.same_s <= self.silent_s:
            yield (
                "same_s",
                f"expected 0, or more than silent_s ({self.silent_s:g}), read {self.same_s:g}",
            )
        if sentence := ports.mistake(self.port):
            yield "port", sentence


LINE_KEYS = ("baudrate", "bytesize", "parity", "stopbits")
"""The keys of a source that say how its line is set."""
BUS_KEYS = (*LINE_KEYS, "driver", "transport")
"""The keys in which all sources on one port agree."""


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


class AlarmsConfig(msgspec.Struct, frozen=True, kw_only=True):
    limits: str = "responder"
    override: tuple[Override, ...] = ()


class CameraConfig(wire.CameraConfig, frozen=True, kw_only=True):
    """A `[[camera]]`: what the media process is told, checked."""

    name: Slug
    source: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(scene\Z|v4l2:/.|file:.|rtsps?://.)",
            description="scene, v4l2:/dev/video0, file:PATH or rtsp://...",
        ),
    ]
    width: Annotated[int, msgspec.Meta(ge=64, le=3840, multiple_of=2, description=_EVEN)] = 1280
    height: Annotated[int, msgspec.Meta(ge=64, le=3840, multiple_of=2, description=_EVEN)] = 720
    fps: Annotated[float, msgspec.Meta(ge=1, le=60, description="1 to 60 pictures/s")] = 25.0
    bitrate_kbit_s: Annotated[int, msgspec.Meta(ge=30, le=20_000, description=_RATE)] = 1500


class MediaConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True


class UplinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: Slug
    host: HostName
    hosts: tuple[HostName, ...] = ()
    """Tried in this order, on the same port, where `host` does not answer."""
    port: PortNumber = 8883
    tls: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password_file: str = ""
    keepalive_s: KeepAlive = 15
    local: bool = False
    verbs: tuple[str, ...] = DEFAULT_VERBS
    classes: tuple[Class, ...] = tuple(Class)
    """What this center gets; alarms and acks it always gets."""
    quantities: tuple[str, ...] = ()
    """Of the readings; empty: all."""
    signers: tuple[str, ...] = ()
    """Public keys; where there is one, every command must be signed by one of them."""
    history_records_per_s: Positive = 2000.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        open_hosts = [host for host in (self.host, *self.hosts) if not _is_loopback(host)]
        if not self.tls and not self.local and open_hosts:
            yield (
                "tls",
                (
                    "without TLS only a broker on loopback or one marked local may be used, "
                    f"but the host is {open_hosts[0]!r}"
                ),
            )
        if len({self.host, *self.hosts}) <= len(self.hosts):
            yield "hosts", f"a host is named twice: {self.host!r}, then {list(self.hosts)}"
        if self.key_file and not self.cert_file:
            yield "key_file", "given without cert_file"
        for klass in (Class.ALARMS, Class.ACK):
            if klass not in self.classes:
                yield "classes", f"{klass.value!r} goes to every center and cannot be left out"
        if self.quantities and Class.READINGS not in self.classes:
            yield "quantities", "given where classes leaves all readings out"
        for verb in self.verbs:
            if verb not in VERBS:
                hint = did_you_mean(verb, VERBS) or f"; known are {', '.join(VERBS)}"
                yield "verbs", f"there is no verb {verb!r}{hint}"
        for signer in self.signers:
            if sentence := signing.mistake(signer):
                yield "signers", sentence

    def brokers(self) -> list[Broker]:
        """All, in the order in which they are tried; as `broker`."""
        first = self.broker()
        return [first, *(msgspec.structs.replace(first, host=host) for host in self.hosts)]

    def broker(self) -> Broker:
        """The first.  OSError where the password's file cannot be read."""
        password = ""
        if self.password_file:
            try:
                text = Path(self.password_file).read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise OSError(errno.EILSEQ, "it is not UTF-8 text") from error
            password = text.rstrip("\r\n")
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
    """By quantity."""
    own_points: dict[tuple[str, str], SetPoint]
    """By source and quantity, in place of the former."""
    limit_changes: tuple[tuple[Override, SetPoint | None], ...]
    """What this unit sets differently, each with what held before."""
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
    document.raise_mistakes()
    assert file is not None, "what has no mistake was built"
    return Config(
        unit=file.unit, store=file.store, log=file.log, alarms=file.alarms,
        set_points=points.points, own_points=points.own, limit_changes=points.changes,
        sources=tuple(source for source in sources if source is not None), panel=file.panel,
        cameras=file.camera, media=file.media, uplinks=file.uplink,
    )  # fmt: skip


def _tables(document: Document, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Those of `[[key]]` that are tables, so that one mistake does not hide another."""
    found = document.data.get(key)
    for index, table in enumerate(found if isinstance(found, list) else []):
        if isinstance(table, dict):
            yield index, table


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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
