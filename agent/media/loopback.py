"""Makes WebRTC work on a machine that has no address but loopback.

aioice never gathers 127.0.0.1, so that a laptop with every network off would have no candidate at
all.  Where it finds nothing else it is given loopback.
"""

from __future__ import annotations

from aioice import ice

LOOPBACK = "127.0.0.1"

_listed_by_aioice = ice.get_host_addresses


def host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """What aioice lists; loopback only where that is nothing."""
    addresses = _listed_by_aioice(use_ipv4, use_ipv6)
    return addresses or ([LOOPBACK] if use_ipv4 else [])


def install() -> None:
    """For this process.  May be called twice."""
    ice.get_host_addresses = host_addresses
