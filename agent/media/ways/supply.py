"""Equips this process's connections by `[media.ice]`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiortc import RTCPeerConnection

from agent.media.ways.config import IceConfig
from agent.media.ways.gather import Servers
from agent.media.ways.paths import Keeper, equip
from agent.media.ways.servers import Address, IceServer

log = logging.getLogger(__name__)


class Supply:
    """One unit's."""

    def __init__(self, ice: IceConfig, unit: str) -> None:
        self._ice = ice
        self._unit = unit

    def servers(self, more: tuple[IceServer, ...] = ()) -> Servers:
        """With credentials of now, and what an answer named beside.  A file that cannot be read
        leaves its servers out: there may be a path without them."""
        own: list[IceServer] = []
        trusted: dict[str, str] = {}
        for table in self._ice.server:
            try:
                own += IceConfig(server=(table,)).servers(self._unit)
            except OSError as error:
                log.warning("ICE server %s is left out: %s", ", ".join(table.urls), error)
            if table.ca_file:
                trusted |= {Address.parse(url).host: table.ca_file for url in table.urls}
        return Servers(
            servers=(*own, *more),
            relay_only=self._ice.relay_only,
            gather_s=self._ice.gather_s,
            ca_files=trusted,
        )

    def only(self, named: tuple[IceServer, ...]) -> Servers:
        """Those that an answer named, by this unit's rules."""
        return Servers(servers=named, relay_only=self._ice.relay_only, gather_s=self._ice.gather_s)

    def for_viewers(self) -> tuple[IceServer, ...]:
        """What a viewer is told; nothing where a file cannot be read."""
        try:
            return self._ice.for_viewers(self._unit)
        except OSError as error:
            log.warning("viewers are told of no ICE server: %s", error)
            return ()

    def equip(
        self,
        connection: RTCPeerConnection,
        on_replaced: Callable[[], None],
        on_lost: Callable[[], bool] = lambda: False,
    ) -> Keeper | None:
        """Before `setLocalDescription`."""
        return equip(connection, self.servers(), on_lost=on_lost, on_replaced=on_replaced)
