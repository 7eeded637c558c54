"""Whether a unit would hear its neighbours: the key's file, the interfaces, who is heard now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.broker import must_be_private
from agent.config import Config
from agent.doctor.finding import Finding, Level
from agent.neighbours import keyfile, packet
from agent.neighbours.radio import interfaces, is_loopback, is_multicast
from agent.settings.neighbours import NeighboursConfig

PART = "unit"


def findings(config: Config, told: dict[str, Any] | None) -> Iterator[Finding]:
    """Nothing where `[neighbours]` is not enabled.  `told`: what a running agent says of them."""
    if not config.neighbours.enabled:
        return
    yield _key(config)
    yield from _interfaces(config.neighbours)
    if told:
        yield _heard(told)


def _key(config: Config) -> Finding:
    path = config.neighbours.key_file
    data = {"path": path}
    try:
        key = keyfile.read(config.neighbours, config.unit)
    except OSError as error:
        data["detail"] = error.strerror or str(error)
        return _finding("key_absent", Level.BAD, data)
    except ValueError as error:
        data["detail"] = str(error)
        return _finding("key_malformed", Level.BAD, data)
    try:
        must_be_private(path)
    except ValueError as error:
        data["detail"] = str(error)
        return _finding("key_open", Level.WARN, data)
    return _finding("key", Level.GOOD, data | {"fingerprint": packet.fingerprint(key)})


def _interfaces(config: NeighboursConfig) -> Iterator[Finding]:
    up = interfaces(config.interfaces)
    for name in config.interfaces:
        if name not in up:
            yield _finding("interface_down", Level.BAD, {"name": name})
    for name in up:
        if is_loopback(name):
            # Nobody else is there; whoever asked for it knows that.
            asked = name in config.interfaces
            yield _finding("loopback", Level.NOTE if asked else Level.BAD, {"name": name})
        elif not is_multicast(name):
            level = Level.NOTE if config.peers else Level.BAD
            yield _finding("no_multicast", level, {"name": name})
        else:
            yield _finding("interface", Level.GOOD, {"name": name})


def _heard(told: dict[str, Any]) -> Finding:
    if told.get("detail"):
        return _finding("off", Level.BAD, {"detail": told["detail"]})
    units, refused = told.get("units", ()), dict(told.get("refused", {}))
    if units:
        # Whoever meets is unproved until it has echoed what it heard.
        refused.pop("unproved", None)
    data = {
        "units": ", ".join(units) or "-",
        "refused": ", ".join(f"{code} {count}" for code, count in refused.items()) or "-",
    }
    return _finding("refused" if refused else "heard", Level.WARN if refused else Level.GOOD, data)


def _finding(code: str, level: Level, data: dict[str, Any]) -> Finding:
    return Finding(part=PART, code=f"neighbours_{code}", level=level, data=data)
