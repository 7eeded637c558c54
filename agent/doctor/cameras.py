"""Cameras in the network: what each one sends, and whether it can go out as it is."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util

from agent.doctor.finding import Finding, Level
from agent.media.host import LIBRARIES
from agent.settings.tables import CameraConfig

PART = "unit"
PATIENCE_S = 20.0


async def finding(config: CameraConfig) -> Finding | None:
    """None where the extra that would look is not installed."""
    if any(importlib.util.find_spec(name) is None for name in LIBRARIES):
        return None
    examine = importlib.import_module("agent.media.examine")
    data = {"name": config.name}
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await asyncio.to_thread(examine.look, config)
    except (OSError, ValueError, TimeoutError) as error:
        detail = str(error) or f"nothing within {PATIENCE_S:g} s"
        data["detail"] = detail
        return Finding(part=PART, code="camera_unreachable", level=Level.BAD, data=data)
    data |= {"codec": found.codec, "size": f"{found.width}x{found.height}"}
    if not found.fault:
        return Finding(part=PART, code="camera_passes", level=Level.GOOD, data=data)
    data["detail"] = found.fault
    if config.substream:
        return Finding(part=PART, code="camera_substream", level=Level.GOOD, data=data)
    data["cost"] = f"{found.cost or 0.0:.0%}"
    return Finding(part=PART, code="camera_encoded_again", level=Level.WARN, data=data)
