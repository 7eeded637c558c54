"""Tells the media process what the centers' acknowledgements leave it of the link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from agent.delivery.share import Share
from agent.media.host import MediaHost
from agent.settings.tables import is_loopback
from agent.uplink import Uplink

log = logging.getLogger(__name__)

LOOK_S = 0.25


async def share(media: MediaHost, uplinks: Sequence[Uplink]) -> None:
    """Until cancelled; nothing where no center is far: a broker on this machine is on no link."""
    part = Share()
    far = [uplink for uplink in uplinks if not is_loopback(uplink.config.host)]
    while far:
        await asyncio.sleep(LOOK_S)
        before = part.limit_kbit_s
        now = asyncio.get_running_loop().time()
        late_s = max(uplink.channel.late_s(now) for uplink in far)
        video = sum(
            camera.kbit_s * (camera.viewers - camera.thin_viewers)
            + camera.thin_kbit_s * camera.thin_viewers
            for camera in media.stats.cameras
        )
        if part.look(late_s, video, now) != before:
            log.info("pictures may take %d kbit/s (0: no limit)", part.limit_kbit_s)
            media.limit(part.limit_kbit_s)
