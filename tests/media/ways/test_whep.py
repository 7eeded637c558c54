"""This unit's own WHEP server: each answer, and real players: Chromium, GStreamer, aiortc."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from yarl import URL

from agent.media import viewer
from agent.media.ways.config import IceConfig, IceServerTable, WhepConfig
from agent.media.wire import MediaConfig
from agent.messages import Mark
from tests.media.conftest import SMALL, Watched, running
from tests.media.test_browser import CHROMIUM, decoded
from tests.media.ways.coturn import free_port
from tests.media.ways.player import player

TOKEN = "correct-horse-battery"
SYSTEM_PYTHON = Path("/usr/bin/python3")
FRAGMENT = "application/trickle-ice-sdpfrag"


@asynccontextmanager
async def serving(tmp_path: Path, **keys: Any) -> AsyncIterator[tuple[Watched, str]]:
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    whep = WhepConfig(port=port, token_file=str(tmp_path / "token"), **keys)
    ice = IceConfig(server=(IceServerTable(urls=("stun:127.0.0.1:9",)),), gather_s=0.2)
    config = MediaConfig(unit="ex-cv-01", mark=Mark.EXERCISE, cameras=(SMALL,), whep=whep, ice=ice)
    async with running(config) as media:
        await media.until(lambda: any(e.event == "whep" and e.state == "up" for e in media.events))
        yield media, f"http://127.0.0.1:{port}/whep/front"


async def offer() -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.addTransceiver("video", direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        return connection.localDescription.sdp
    finally:
        await connection.close()


@asynccontextmanager
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        yield session


async def test_each_case_of_the_draft_has_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, max_sessions=1) as (_, url), http() as client:
        sdp = {"Content-Type": "application/sdp"}

        async def status(method: str, where: str, **keys: Any) -> int:
            async with client.request(method, where, **keys) as response:
                assert response.status < 400 or (await response.json())["detail"]
                return response.status

        wrong = {"Authorization": "Bearer guess"}
        text = await offer()
        assert await status("POST", url, data=text, headers=sdp | wrong) == 401
        assert await status("POST", url, data=text, headers={"Content-Type": "text/plain"}) == 415
        assert await status("POST", url, data="hello", headers=sdp) == 400
        assert await status("POST", f"{url}s", data=text, headers=sdp) == 404
        assert await status("PUT", url) == 405
        assert await status("GET", url) == 204
        no_h264 = text.replace("H264", "H265")
        assert await status("POST", url, data=no_h264, headers=sdp) == 406
        async with client.post(url, data=text, headers=sdp | {"Origin": "http://page"}) as made:
            assert made.status == 201
            assert made.headers["Access-Control-Allow-Origin"] == "*"
            assert "Location" in made.headers["Access-Control-Expose-Headers"]
            assert 'stun:127.0.0.1:9>; rel="ice-server"' in made.headers["Link"]
            etag = made.headers["ETag"]
            session = str(made.url.join(URL(made.headers["Location"])))
        async with client.post(url, data=await offer(), headers=sdp) as full:
            assert full.status == 503
            assert int(full.headers["Retry-After"]) > 0
        kind = {"Content-Type": FRAGMENT}
        lines = [
            line
            for line in text.splitlines()
            if line.startswith(("a=ice-ufrag", "a=ice-pwd", "a=mid", "m=", "a=candidate"))
        ]
        ours = "\r\n".join(lines) + "\r\n"
        other = ours.replace("a=ice-ufrag:", "a=ice-ufrag:x")
        assert await status("PATCH", session, data=ours, headers=kind) == 428
        assert await status("PATCH", session, data=ours, headers=kind | {"If-Match": '"no"'}) == 412
        assert await status("PATCH", session, data=other, headers=kind | {"If-Match": etag}) == 412
        assert await status("PATCH", session, data="x", headers=kind | {"If-Match": etag}) == 400
        assert await status("PATCH", session, data=ours, headers=sdp | {"If-Match": etag}) == 415
        assert await status("PATCH", session, data=ours, headers=kind | {"If-Match": etag}) == 204
        async with client.patch(session, data=other, headers=kind | {"If-Match": "*"}) as again:
            assert again.status == 200
            assert again.headers["ETag"] not in ("", etag)
            assert "a=ice-pwd:" in await again.text()
        assert await status("PUT", session) == 405
        assert await status("DELETE", session) == 200
        assert await status("DELETE", session) == 404


async def test_a_page_may_ask_first_and_gets_no_secret_for_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, url), aiohttp.ClientSession() as client:
        asked = {"Origin": "http://page", "Access-Control-Request-Method": "POST"}
        async with client.options(url, headers=asked) as preflight:
            assert preflight.status == 200
            assert preflight.headers["Accept-Post"] == "application/sdp"
            assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
            assert "Link" not in preflight.headers
        async with client.options(url) as bare:
            assert bare.status == 401


async def test_who_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, url), http() as client:
        statuses = set()
        for _ in range(60):
            async with client.post(
                url, data="hello", headers={"Content-Type": "application/sdp"}
            ) as r:
                statuses.add(r.status)
        assert statuses == {400, 429}


async def test_a_viewer_that_watched_is_an_event(tmp_path: Path) -> None:
    async with serving(tmp_path) as (media, url):
        stats = await viewer.watch_whep(url, 3, TOKEN)
        assert stats.frames_decoded > 5, stats
        await media.until(
            lambda: any(e.event == "whep" and e.state == "ended" for e in media.events)
        )
        watched = [e for e in media.events if e.event == "whep" and e.session]
        assert [e.state for e in watched] == ["ok", "ended"]
        assert watched[0].camera == "front"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_chromium_plays_and_restarts_ice(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, url), player() as page:
        await page.evaluate("([url, token]) => playWhep(url, token, {})", [url, TOKEN])
        before = await decoded(page, 30)
        assert before["state"] == "connected"
        assert before["freezeCount"] == 0
        assert before["jitterBufferDelay"] / before["jitterBufferEmittedCount"] < 0.2
        tags = await page.evaluate("token => restart(token)", TOKEN)
        assert tags["before"] != tags["after"]
        after = await decoded(page, before["framesDecoded"] + 60)
        assert after["state"] == "connected"


def has_gstreamer() -> bool:
    look = "import gi; gi.require_version('GstWebRTC','1.0'); from gi.repository import GstWebRTC"
    return (
        SYSTEM_PYTHON.exists()
        and not subprocess.run(
            [SYSTEM_PYTHON, "-c", look], capture_output=True, check=False
        ).returncode
    )


@pytest.mark.skipif(not has_gstreamer(), reason="GStreamer's webrtcbin or python3-gi is absent")
async def test_gstreamer_plays_the_pictures(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, url):
        script = Path(__file__).with_name("gst_whep.py")
        process = await asyncio.create_subprocess_exec(
            SYSTEM_PYTHON, script, url, TOKEN, "30", stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin"}, stderr=sys.stderr if sys.stderr.isatty() else None,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert int(out.split()[-1]) >= 30
