"""How the unit is set up: `config.get`, `config.set`, `config.confirm`, `restart`.

What is done is agent/settings/reconfigure.py's.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class ConfigGetArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the configuration; empty: all of it."""

    table: str = ""


class ConfigSetArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Path (`uplink.center.host`, `alarms.override.cl2.high`) -> value; null takes a former change
    back.  It is in force until it is confirmed, or rolled back."""

    changes: Annotated[dict[str, Any], msgspec.Meta(min_length=1, max_length=100)]
    confirm_within_s: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 120.0


class ConfigConfirmArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `change` of the ack of `config.set`."""

    change: str


class RestartArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "config.get": ConfigGetArgs,
    "config.set": ConfigSetArgs,
    "config.confirm": ConfigConfirmArgs,
    "restart": RestartArgs,
}
