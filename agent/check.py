"""`outpost check`: what is wrong with a file, whichever kind it is."""

from __future__ import annotations

from pathlib import Path

from agent import config, limits
from agent.toml import ConfigError, Document


def mistakes(path: Path) -> tuple[str, ...]:
    """Every mistake of a configuration, a scenario or a file of set points; empty: good."""
    try:
        document = Document.read(path)
        document.raise_mistakes()
        if document.data.keys() & {"site", "inject"}:
            # The drill is an extra; a kit that does not carry it has no scenarios to check.
            from agent.drill import scenario

            return tuple(scenario.check(path))
        if "limit" in document.data:
            limits.load(path)
        else:
            config.load(path)
    except ConfigError as error:
        return error.mistakes
    return ()
