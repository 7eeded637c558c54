"""`outpost check`: what is wrong with a file, whichever kind it is; how sure its sources are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent import config
from agent.neighbours import keyfile, packet
from agent.settings import evidence, limits
from agent.settings.toml import ConfigError, Document
from drivers import modbus_map, router_map


def mistakes(path: Path) -> tuple[str, ...]:
    """Every mistake of a configuration, a scenario, a file of set points or a map of an instrument
    or a router; empty: good."""
    try:
        document = Document.read(path)
        document.raise_mistakes()
        if document.data.keys() & {"site", "inject"}:
            # The drill is an extra; a kit that does not carry it has no scenarios to check.
            from agent.drill import scenario

            return tuple(scenario.check(path))
        if "limit" in document.data:
            limits.load(path)
        elif "quantity" in document.data:
            modbus_map.parse(document.data, str(path))
        elif "signal" in document.data:
            router_map.parse(document.data, str(path))
        else:
            config.load(path)
    except ConfigError as error:
        return error.mistakes
    except (modbus_map.MapError, router_map.RouterMapError) as error:
        return tuple(str(error).splitlines())
    return ()


def remarks(path: Path) -> Iterator[str]:
    """A line for each source of a configuration without mistakes: how sure its driver is, and what
    is known of its calibration; one of how many limits a person has compared with print, and one of
    the key that neighbours share, as it is on this machine."""
    document = Document.read(path)
    if "unit" not in document.data or document.data.keys() & {"site", "inject"}:
        return
    settings = config.load(path)
    if any(map(evidence.is_gas_instrument, settings.sources)):
        yield _limits(settings)
    if settings.neighbours.enabled:
        yield _neighbours(settings)
    for source in settings.sources:
        table = source.table
        line = f"source {table.name}: {table.driver}, {evidence.how_sure(source)}"
        if table.accept_unverified:
            line += ", accepted unverified"
        if gases := evidence.gases(source):
            line += f"; {', '.join(gases)}"
            if table.calibrated is None:
                line += ", no calibration is known"
        if table.calibrated is not None:
            by = f" by {table.calibrated_by}" if table.calibrated_by else ""
            line += f"; calibrated {table.calibrated}{by}, due {table.calibration.due}"
        yield line


def _limits(settings: config.Config) -> str:
    points = [*settings.set_points.values(), *settings.own_points.values()]
    return (
        f"limits {Path(settings.alarms.limits).stem}: a person has compared "
        f"{sum(point.sure for point in points)} of {len(points)} quantities with the printed source"
    )


def _neighbours(settings: config.Config) -> str:
    try:
        key = keyfile.read(settings.neighbours, settings.unit)
    except OSError as error:
        return f"neighbours: {settings.neighbours.key_file}: {error.strerror}, not on this machine"
    except ValueError as error:
        return f"neighbours: {settings.neighbours.key_file}: {error}"
    return f"neighbours: key {packet.fingerprint(key)}, the same at all units of the group"
