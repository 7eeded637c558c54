"""The table `[neighbours]`: units that hear each other without a broker."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated

import msgspec

from agent.messages import Mark

GROUPS = {Mark.ACTUAL: "239.255.77.1", Mark.EXERCISE: "239.255.77.2", Mark.TEST: "239.255.77.3"}
"""Of the administratively scoped block (RFC 2365): an exercise is on an address of its own."""

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535, description="1 to 65535")]


class NeighboursConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    key_file: str = ""
    group: str = ""
    """Empty: by the unit's mark, as `GROUPS`."""
    port: PortNumber = 5377
    interfaces: tuple[str, ...] = ()
    """Empty: all that are up."""
    peers: tuple[str, ...] = ()
    """`ADDRESS` or `ADDRESS:PORT` of units or of a network's broadcast."""
    sound: bool = True

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.enabled and not self.key_file:
            yield "key_file", "missing; neighbours believe only what is sealed with a common key"
        if self.group and not _is_multicast(self.group):
            yield (
                "group",
                f"expected an IPv4 multicast address, as 239.255.77.1, read {self.group!r}",
            )
        for peer in self.peers:
            try:
                self.address(peer)
            except ValueError as error:
                yield "peers", str(error)

    def address(self, peer: str) -> tuple[str, int]:
        """ValueError: no ADDRESS or ADDRESS:PORT."""
        host, colon, port = peer.partition(":")
        try:
            ipaddress.IPv4Address(host)
            number = int(port) if colon else self.port
            if not 1 <= number <= 65535:
                raise ValueError
        except ValueError:
            raise ValueError(f"expected ADDRESS or ADDRESS:PORT (IPv4), read {peer!r}") from None
        return host, number

    def group_of(self, mark: Mark) -> str:
        return self.group or GROUPS[mark]


def _is_multicast(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text).is_multicast
    except ValueError:
        return False
