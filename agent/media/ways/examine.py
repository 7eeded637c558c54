"""Looks at the servers of a configuration as doctor does: nothing is published, no path is kept."""

from __future__ import annotations

import time

from agent.broker import Tls
from agent.media.ways.config import IceServerTable, WhipConfig, read_token
from agent.media.ways.gather import Servers, reach
from agent.media.ways.servers import Address, IceServer
from agent.media.ways.whip_http import SDP, Exchange, WhipError

PATIENCE_S = 5.0


async def ice_server(table: IceServerTable, url: str, unit: str) -> str:
    """The address that it sees us at (STUN) or would relay from (TURN).  OSError: why none."""
    server = table.server(unit, time.time())
    alone = IceServer(urls=(url,), username=server.username, credential=server.credential)
    trusted = {Address.parse(url).host: table.ca_file} if table.ca_file else {}
    return await reach(Servers(servers=(alone,), gather_s=PATIENCE_S, ca_files=trusted))


async def whip_endpoint(config: WhipConfig) -> bool:
    """Whether it says that it takes offers.  OSError: it does not answer, or refuses."""
    token = read_token(config.token_file) if config.token_file else ""
    tls = Tls(ca_file=config.ca_file).context() if config.ca_file else None
    try:
        async with Exchange(
            config.url, token=token, token_hosts=config.token_hosts, tls=tls
        ) as exchange:
            return SDP in await exchange.options()
    except WhipError as error:
        raise OSError(str(error)) from error
