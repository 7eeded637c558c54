"""`outpost run --dry-run`: what would start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.config import Config, SourceConfig
from drivers import ports
from drivers.address import without_secrets


def describe(config: Config) -> str:
    """A line for each part, in start order."""
    return "".join(f"{line}\n" for line in _lines(config))


def _lines(config: Config) -> Iterator[str]:
    unit = config.unit
    yield f"unit {unit.id} of {unit.org}, profile {unit.profile.value}, mark {unit.mark.value}"
    store = config.store
    yield f"store {store.dir}, {store.retention_days:g} days, {store.max_mb} MB"
    for source in config.sources:
        yield (
            f"source {source.name}: {source.table.driver} on {_port(source)}, "
            f"silent after {source.table.silent_s:g} s"
        )
    yield f"alarms {config.alarms.limits}: {', '.join(sorted(config.set_points))}"
    if config.panel is not None:
        yield f"panel {config.panel.factory}"
    for camera in config.cameras:
        state = "" if config.media.enabled else " (media is off)"
        yield f"camera {camera.name}: {without_secrets(camera.source)}{state}"
    for uplink in config.uplinks:
        secure = "TLS" if uplink.tls else "no TLS"
        hosts = ", then ".join((uplink.host, *uplink.hosts))
        yield f"uplink {uplink.name}: {hosts}:{uplink.port}, {secure}"


def _port(source: SourceConfig) -> str:
    line, name = source.line, source.table.port
    if line.wire == "none":
        return "no port"
    settings = f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits}"
    if ports.is_network(name):
        return f"{name}, {settings}" if name.startswith("rfc2217:") else name
    return f"{name}{'' if Path(name).exists() else ' (not there now)'}, {settings}"
