"""WHIP and WHEP over TLS: whom the unit trusts, and that nothing falls back to plain HTTP."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from agent.media import viewer
from agent.media.ways.config import WhepConfig
from agent.media.wire import MediaConfig
from agent.messages import Mark
from tests.media.conftest import SMALL
from tests.media.conftest import running as media_running
from tests.media.ways.coturn import free_port, make_certificate
from tests.media.ways.test_whip import Publishing, frames, publishing
from tests.media.ways.whip_server import Rules, running
from tests.waiting import until

TOKEN = "correct-horse-battery"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path, "127.0.0.1")


def served_by(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


async def waits(ours: Publishing) -> str:
    """Why it does."""
    await until(lambda: "waiting" in ours.states(), "the publisher gives up for now", 15.0)
    return next(stats.detail for stats in ours.said if stats.state == "waiting")


async def test_a_server_of_the_configured_authority_is_published_to(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    keys = {"ca_file": str(certificate[0]), "token_file": str(tmp_path / "token")}
    async with running(Rules(token=TOKEN), tls=served_by(certificate)) as server:
        async with publishing(server.url, **keys):
            await server.until(frames(server, 5))
        assert server.methods() == ["POST 201", "PATCH 204", "DELETE 200"]


async def test_a_server_that_nobody_vouches_for_gets_nothing(
    certificate: tuple[Path, Path],
) -> None:
    async with running(tls=served_by(certificate)) as server, publishing(server.url) as ours:
        assert "certificate verify failed" in await waits(ours)
        assert server.requests == []


async def test_the_way_from_https_to_http_is_not_taken(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    keys = {"ca_file": str(certificate[0]), "token_file": str(tmp_path / "token")}
    async with running(Rules(token=TOKEN)) as plain:
        rules = Rules(token=TOKEN, redirect=(307, plain.url))
        async with (
            running(rules, tls=served_by(certificate)) as server,
            publishing(server.url, **keys, token_hosts=("127.0.0.1",)) as ours,
        ):
            assert "which has no TLS; it is not followed" in await waits(ours)
            assert plain.requests == []


def whep(certificate: tuple[Path, Path], tmp_path: Path, port: int) -> MediaConfig:
    (tmp_path / "token").write_text(TOKEN)
    cert, key = map(str, certificate)
    own = WhepConfig(
        port=port, token_file=str(tmp_path / "token"), cert_file=cert, key_file=key
    )  # fmt: skip
    return MediaConfig(unit="ex-cv-01", mark=Mark.EXERCISE, cameras=(SMALL,), whep=own)


async def test_the_units_own_server_is_watched_over_tls(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    port = free_port()
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {TOKEN}"}
    where = f"127.0.0.1:{port}/whep/front"

    async def exchange(offer: str) -> str:
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(f"https://{where}", data=offer, ssl=trusted) as made,
        ):
            assert made.status == 201
            return await made.text()

    async with media_running(whep(certificate, tmp_path, port)) as media:
        await media.until(lambda: media.host.stats.whep.state == "up")
        assert (await viewer.watch(exchange, seconds=3)).frames_decoded > 5
        async with aiohttp.ClientSession(headers=headers) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.post(f"http://{where}", data="v=0")
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.post(f"https://{where}", data="v=0")


async def test_without_its_certificate_it_does_not_serve_in_the_clear(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    port = free_port()
    absent = (tmp_path / "absent.pem", certificate[1])
    async with media_running(whep(absent, tmp_path, port)) as media:
        await media.until(lambda: media.host.stats.whep.state == "down")
        assert "No such file" in media.host.stats.whep.detail
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", port)
