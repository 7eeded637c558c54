"""The tables of a configuration as types; config/agent.toml is their manual."""

from __future__ import annotations

import datetime as dt
import errno
import ipaddress
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent import signing, topics
from agent.alarms.engine import OWN, PANEL
from agent.alarms.setpoints import Override
from agent.broker import Broker, Tls
from agent.media import wire
from agent.messages import Class, Mark
from agent.settings import hosts as places
from agent.settings.authority import DEFAULT_VERBS, VERBS
from agent.settings.calibration import Calibration
from agent.settings.record import RecordConfig
from agent.settings.toml import did_you_mean
from agent.settings.voice import LimitsConfig, VoiceConfig
from agent.settings.ways import IceConfig, WhepConfig, WhipConfig
from drivers import ports

Slug = Annotated[
    str,
    msgspec.Meta(pattern=topics.SLUG.pattern, description="1 to 63 of a-z, 0-9 and inner hyphens"),
]
INCIDENT = r"\A(?:[A-Za-z0-9][A-Za-z0-9._:-]{0,63})?\Z"
"""An incident's id, or none."""
PersonName = Annotated[str, msgspec.Meta(max_length=64, description="at most 64 characters")]
Positive = Annotated[float, msgspec.Meta(gt=0, description="a number above 0")]
Seconds = Annotated[float, msgspec.Meta(ge=0, description="0 or more seconds")]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535, description="1 to 65535")]
HostName = Annotated[str, msgspec.Meta(min_length=1, description="a host's name or address")]
KeepAlive = Annotated[int, msgspec.Meta(ge=2, le=600, description="2 to 600 seconds")]
Day = Annotated[dt.date, msgspec.Meta(description="a day, as 2026-05-31")]
Days = Annotated[float, msgspec.Meta(gt=0, le=3660, description="a number of days, up to 3660")]
Bauds = Annotated[int, msgspec.Meta(ge=50, le=4_000_000, description="50 to 4000000 bits/s")]

_CEILING = "0 (no ceiling) to 1000000 kbit/s"
_THIN = "an even number from 64 to 1280"
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
    division: Annotated[
        str,
        msgspec.Meta(pattern=r"\A([1-9]\d{5})?\Z", description="six digits (GB/T 2260), as 420100"),
    ] = ""
    parent: Annotated[
        str,
        msgspec.Meta(
            pattern=rf"\A\Z|{topics.SLUG.pattern}", description="the id of another unit, or nothing"
        ),
    ] = ""
    incident: Annotated[
        str, msgspec.Meta(pattern=INCIDENT, description="1 to 64 of A-Z, a-z, 0-9, . _ : -")
    ] = ""

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
        if self.parent == self.id:
            yield "parent", f"{self.parent!r} is the unit itself"
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
    thin_width: Annotated[int, msgspec.Meta(ge=64, le=1280, multiple_of=2, description=_THIN)] = 320
    thin_fps: Annotated[float, msgspec.Meta(ge=1, le=30, description="1 to 30 pictures/s")] = 5.0
    thin_kbit_s: Annotated[int, msgspec.Meta(ge=30, le=1000, description="30 to 1000 kbit/s")] = 80
    substream: Annotated[
        str, msgspec.Meta(pattern=r"\A(rtsps?://.+)?\Z", description="an address as rtsp://...")
    ] = ""
    format: Literal["auto", "h264", "mjpeg", "raw"] = "auto"

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.thin_kbit_s >= self.bitrate_kbit_s:
            yield (
                "thin_kbit_s",
                f"expected less than bitrate_kbit_s ({self.bitrate_kbit_s}), "
                f"read {self.thin_kbit_s}",
            )


class MediaConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    max_kbit_s: Annotated[int, msgspec.Meta(ge=0, le=1_000_000, description=_CEILING)] = 0
    voice: VoiceConfig = VoiceConfig()
    limits: LimitsConfig = LimitsConfig()
    ice: IceConfig = IceConfig()
    whip: tuple[WhipConfig, ...] = ()
    whep: WhepConfig = WhepConfig()
    record: RecordConfig = RecordConfig()


_NOT_NEGATIVE = msgspec.Meta(ge=0, description="0 or more; 0: no limit")
LINK_RATE_KBIT_S = {"wired": 0.0, "4g": 0.0, "satellite": 64.0}
LINK_BUDGET_MB = {"wired": 0.0, "4g": 1000.0, "satellite": 50.0}
"""What a kind of link bears where nothing else is given: a slow terminal, usual tariffs."""


Fingerprint = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}\Z")]


class UplinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: Slug
    host: HostName
    hosts: tuple[HostName, ...] = ()
    """Tried in this order where `host` does not answer; on the same port where they name none."""
    port: PortNumber = 8883
    tls: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    pins: tuple[Fingerprint, ...] = ()
    """SHA-256 of certificates of which the broker's chain must hold one; empty: any that is
    trusted."""
    transport: Literal["tcp", "websocket"] = "tcp"
    path: Annotated[str, msgspec.Meta(pattern=r"\A/[!-~]*\Z")] = "/mqtt"
    """Of a WebSocket."""
    proxy: Annotated[str, msgspec.Meta(pattern=r"\A(http://[^/\s]+)?\Z")] = ""
    """http://[user:password@]host:port, where nothing else leads out."""
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
    kind: Literal["wired", "4g", "satellite"] = "wired"
    rate_kbit_s: Annotated[float, _NOT_NEGATIVE] | None = None
    """Sent at most; 0: no limit; None: as its kind has it."""
    budget_mb_per_day: Annotated[float, _NOT_NEGATIVE] | None = None
    """Both ways, by UTC's days; 0: no limit; None: as its kind has it."""
    compress: Literal["off", "zstd"] = "off"
    """Of the records; over MQTT 5 alone."""
    history: Literal["oldest", "newest"] = "oldest"
    """Which of the backlog comes first."""
    history_records_per_s: Positive = 2000.0
    relay: bool = True
    """What this unit relays goes to this center too."""
    relay_units: tuple[Slug, ...] = ()
    """Of the relayed units; empty: all."""
    relay_verbs: tuple[str, ...] = DEFAULT_VERBS
    """Commands for relayed units that are handed on from this center."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        named = (places.split(one, self.port)[0] for one in (self.host, *self.hosts))
        open_hosts = [host for host in named if not is_loopback(host)]
        if not self.tls and not self.local and open_hosts:
            yield (
                "tls",
                (
                    "without TLS only a broker on loopback or one marked local may be used, "
                    f"but the host is {open_hosts[0]!r}"
                ),
            )
        yield from (("hosts", said) for host in self.hosts if (said := places.mistake(host)))
        if len({self.host, *self.hosts}) <= len(self.hosts):
            yield "hosts", f"a host is named twice: {self.host!r}, then {list(self.hosts)}"
        if self.pins and not self.tls:
            yield "pins", "given without tls"
        if self.key_file and not self.cert_file:
            yield "key_file", "given without cert_file"
        for klass in (Class.ALARMS, Class.ACK):
            if klass not in self.classes:
                yield "classes", f"{klass.value!r} goes to every center and cannot be left out"
        if self.quantities and Class.READINGS not in self.classes:
            yield "quantities", "given where classes leaves all readings out"
        for key, verbs in (("verbs", self.verbs), ("relay_verbs", self.relay_verbs)):
            for verb in verbs:
                if verb not in VERBS:
                    hint = did_you_mean(verb, VERBS) or f"; known are {', '.join(VERBS)}"
                    yield key, f"there is no verb {verb!r}{hint}"
        for signer in self.signers:
            if sentence := signing.mistake(signer):
                yield "signers", sentence

    @property
    def most_kbit_s(self) -> float:
        """The rate in force; 0: no limit."""
        return LINK_RATE_KBIT_S[self.kind] if self.rate_kbit_s is None else self.rate_kbit_s

    @property
    def budget_bytes(self) -> int:
        """The budget in force, a day; 0: none."""
        budget_mb = self.budget_mb_per_day
        return round((LINK_BUDGET_MB[self.kind] if budget_mb is None else budget_mb) * 1e6)

    def brokers(self) -> list[Broker]:
        """All, in the order in which they are tried; as `broker`."""
        first = self.broker()
        others = [places.split(one, self.port) for one in self.hosts]
        return [first, *(msgspec.structs.replace(first, host=h, port=p) for h, p in others)]

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
            Tls(
                ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file,
                pins=self.pins,
            )
            if self.tls
            else None
        )  # fmt: skip
        return Broker(
            host=self.host, port=self.port, tls=tls, username=self.username, password=password,
            keepalive_s=self.keepalive_s, proxy=self.proxy,
            websocket_path=self.path if self.transport == "websocket" else "",
        )  # fmt: skip


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
