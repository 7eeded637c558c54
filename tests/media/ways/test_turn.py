"""A real TURN server relays pictures where there is no direct path."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.media import viewer
from agent.media.ways.config import IceConfig, IceServerTable
from agent.media.ways.servers import IceServer
from agent.media.wire import MediaConfig
from agent.messages import Mark
from tests.media.conftest import SMALL, running
from tests.media.test_browser import CHROMIUM, decoded
from tests.media.ways import coturn
from tests.media.ways.coturn import TURNSERVER, Turn
from tests.media.ways.player import player

pytestmark = pytest.mark.skipif(TURNSERVER is None, reason="coturn is not installed")


def config_of(turn: Turn, transport: str, *, relay_only: bool = True) -> MediaConfig:
    table = IceServerTable(
        urls=(turn.url(transport),), secret_file=str(turn.secret), ca_file=str(turn.cert)
    )
    ice = IceConfig(server=(table,), relay_only=relay_only)
    return MediaConfig(unit="ex-cv-01", mark=Mark.EXERCISE, cameras=(SMALL,), ice=ice)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_the_unit_is_watched_through_its_relay_alone(transport: str, tmp_path: Path) -> None:
    async with coturn.running(tmp_path) as turn, running(config_of(turn, transport)) as media:
        seen = ""

        async def exchange(offer: str) -> str:
            nonlocal seen
            seen = (await media.host.offer("viewer", "front", offer)).sdp
            return seen

        stats = await viewer.watch(exchange, seconds=4)
        candidates = [line for line in seen.splitlines() if line.startswith("a=candidate")]
        assert candidates
        assert all("typ relay" in line for line in candidates), candidates
        assert stats.frames_decoded > 10, stats
        assert turn.relayed() >= 1


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_browser_gets_the_servers_and_both_sides_relay(tmp_path: Path) -> None:
    """Direct paths are barred on both sides; the browser uses what an answer named."""
    told: list[IceServer] = []
    async with (
        coturn.running(tmp_path) as turn,
        running(config_of(turn, "udp")) as media,
        player() as page,
    ):

        async def exchange(sdp: str) -> str:
            reply = await media.host.offer(f"browser-{len(told)}", "front", sdp)
            told.extend(reply.ice_servers)
            return reply.sdp

        await page.expose_function("exchange", exchange)
        await page.evaluate("playSignalled({})")
        (server,) = told
        config = {
            "iceTransportPolicy": "relay",
            "iceServers": [
                {
                    "urls": list(server.urls),
                    "username": server.username,
                    "credential": server.credential,
                }
            ],
        }
        await page.evaluate("config => playSignalled(config)", config)
        stats = await decoded(page, 20)
        assert stats["state"] == "connected"
        # Which address the relay itself is seen from is its own affair.
        assert set(stats["kinds"]) <= {"relay", "prflx"}
        assert stats["kinds"][0] == "relay"
        assert turn.relayed() >= 2
