"""`[relay]`: whose records a vehicle keeps and hands on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from agent.relay.presence import PATH as PRESENCE
from agent.settings.tables import Positive, Slug, UnitConfig, UplinkConfig


class RelayConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    uplink: str = ""
    """The `[[uplink]]` at whose broker the kits are; empty: the only one that is `local`."""
    units: tuple[Slug, ...] = ()
    """Empty: every unit of the same organisation."""
    close_gaps: bool = True
    """Ask kits again for what is missing here."""
    retention_days: Positive = 8.0
    max_mb: Annotated[int, msgspec.Meta(ge=16, description="16 MB or more")] = 1024

    def broker_of(self, uplinks: Sequence[UplinkConfig]) -> UplinkConfig | None:
        """The uplink at whose broker the kits are; None where that cannot be told."""
        named = [one for one in uplinks if (one.name == self.uplink if self.uplink else one.local)]
        return named[0] if len(named) == 1 else None

    def mistakes_in(
        self, unit: UnitConfig, uplinks: Sequence[UplinkConfig]
    ) -> Iterator[tuple[str, str]]:
        """What only shows beside the other tables."""
        if not self.enabled:
            return
        names = ", ".join(repr(one.name) for one in uplinks) or "none"
        source = self.broker_of(uplinks)
        if source is None and self.uplink:
            yield "uplink", f"there is no uplink {self.uplink!r}; the uplinks are {names}"
        elif source is None:
            yield (
                "uplink",
                "missing; expected the name of the uplink at whose broker the kits are, where not "
                f"exactly one is marked local (the uplinks are {names})",
            )
        elif not [one for one in uplinks if one.relay and one is not source]:
            yield (
                "enabled",
                f"what is heard at {source.name!r} has no other uplink with relay = true to go to",
            )
        if source is not None and source.name == PRESENCE:
            yield "uplink", f"an uplink to the kits' broker cannot be named {PRESENCE!r}"
        for name in self.units:
            if name == unit.id:
                yield "units", f"{name!r} is this unit itself; name those that it relays"
            elif name.startswith("ex-") != unit.exercise:
                yield (
                    "units",
                    f"{name!r} cannot be relayed by {unit.id!r}: exercise and actual never mix",
                )


def same_broker(one: UplinkConfig, other: UplinkConfig) -> bool:
    """Both go to the same place: what is heard at one would come back over the other."""
    return (one.host, one.port) == (other.host, other.port)
