"""The servers that pictures go by: STUN and TURN, and the media servers, asked from here."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable

from agent.config import Config
from agent.doctor.finding import Finding, Level
from agent.media.host import LIBRARIES
from agent.media.ways.config import IceServerTable, WhipConfig
from drivers.address import without_secrets

PART = "unit"


async def findings(config: Config) -> list[Finding]:
    """Each is asked at the same time; none where the extra that would ask is not installed."""
    if any(importlib.util.find_spec(name) is None for name in LIBRARIES):
        return []
    asked: list[Awaitable[Finding]] = [
        _ice(table, url, config.unit.id) for table in config.media.ice.server for url in table.urls
    ]
    return await asyncio.gather(*asked, *(_whip(way) for way in config.media.whip))


async def _ice(table: IceServerTable, url: str, unit: str) -> Finding:
    examine = importlib.import_module("agent.media.ways.examine")
    data = {"url": url}
    try:
        data["address"] = await examine.ice_server(table, url, unit)
    except OSError as error:
        data["detail"] = str(error)
        return Finding(part=PART, code="ice_unreachable", level=Level.BAD, data=data)
    code = "stun_answers" if url.startswith("stun:") else "turn_relays"
    return Finding(part=PART, code=code, level=Level.GOOD, data=data)


async def _whip(way: WhipConfig) -> Finding:
    examine = importlib.import_module("agent.media.ways.examine")
    data = {"name": way.name, "url": without_secrets(way.url)}
    try:
        takes = await examine.whip_endpoint(way)
    except (OSError, ValueError) as error:
        data["detail"] = without_secrets(str(error))
        return Finding(part=PART, code="whip_unreachable", level=Level.BAD, data=data)
    if not takes:
        return Finding(part=PART, code="whip_odd", level=Level.WARN, data=data)
    return Finding(part=PART, code="whip_answers", level=Level.GOOD, data=data)
