"""Recordings over HTTP: listed, fetched in parts, gone on with, by who has the token."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from agent.media.ways.config import WhepConfig
from tests.media.conftest import Watched, running
from tests.media.record.rig import closed, config, probe
from tests.media.ways.coturn import free_port
from tests.waiting import until

TOKEN = "correct-horse-battery"


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[tuple[Watched, str, aiohttp.ClientSession]]:
    """A unit with a closed recording, at that address."""
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    made = msgspec.structs.replace(
        config(tmp_path / "recordings"),
        whep=WhepConfig(port=port, token_file=str(tmp_path / "token")),
    )
    async with running(made) as media:
        await until(lambda: bool(closed(tmp_path / "recordings")), "one is closed", 40)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            yield media, f"http://127.0.0.1:{port}", session


async def test_a_recording_is_listed_fetched_in_parts_and_gone_on_with(tmp_path: Path) -> None:
    async with serving(tmp_path) as (media, url, http):
        side = closed(tmp_path / "recordings")[0]
        async with http.get(f"{url}/recordings") as answer:
            listed = await answer.json()
        entry = next(one for one in listed if one["id"] == side.id)
        assert (entry["digest"], entry["size"], entry["open"]) == (side.digest, side.size, False)
        at = url + entry["url"]
        async with http.head(at) as answer:
            assert answer.headers["Content-Length"] == str(side.size)
            assert answer.headers["ETag"] == f'"{side.digest}"'
        cut = side.size // 3
        async with http.get(at, headers={"Range": f"bytes=0-{cut - 1}"}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes 0-{cut - 1}/{side.size}"
            begun = await answer.read()
        same = {"Range": f"bytes={cut}-", "If-Range": f'"{side.digest}"'}
        async with http.get(at, headers=same) as answer:
            assert answer.status == 206
            film = begun + await answer.read()
        assert f"sha256:{hashlib.sha256(film).hexdigest()}" == side.digest
        other = {"Range": f"bytes={cut}-", "If-Range": '"sha256:other"'}
        async with http.get(at, headers=other) as answer:
            assert (answer.status, await answer.read()) == (200, film)
        async with http.get(at, headers={"If-None-Match": f'"{side.digest}"'}) as answer:
            assert answer.status == 304
        async with http.get(at, headers={"Range": f"bytes={side.size}-"}) as answer:
            assert answer.status == 416
            assert answer.headers["Content-Range"] == f"bytes */{side.size}"
        # Who fetched is an event, once however many parts a player asks for.
        await media.until(lambda: media.count("fetched") > 0)
        (told,) = [event for event in media.events if event.event == "fetched"]
        assert (told.name, told.camera, told.detail) == (side.id, "front", "127.0.0.1")


async def test_an_independent_client_goes_on_where_it_was(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    async with serving(tmp_path) as (_, url, _http):
        side = closed(tmp_path / "recordings")[0]
        made = tmp_path / "fetched.mp4"
        made.write_bytes((tmp_path / "recordings" / side.file).read_bytes()[:5000])
        command = [
            "curl", "-sf", "-C", "-", "-o", str(made), "-H", f"Authorization: Bearer {TOKEN}",
            f"{url}/recordings/{side.id}",
        ]  # fmt: skip
        done = await asyncio.to_thread(subprocess.run, command, check=False, timeout=30)
        assert done.returncode == 0
        assert made.stat().st_size == side.size
        assert int(probe(made)["h264"]["nb_read_frames"]) > 30


async def test_nobody_else_learns_anything(tmp_path: Path) -> None:
    async with serving(tmp_path) as (media, url, http):
        side = closed(tmp_path / "recordings")[0]
        async with aiohttp.ClientSession() as stranger:
            for method in ("GET", "HEAD"):
                for path in ("/recordings", f"/recordings/{side.id}"):
                    async with stranger.request(method, url + path) as answer:
                        assert answer.status == 401
            for path in ("/recordings", f"/recordings/{side.id}"):
                async with stranger.options(url + path) as answer:
                    assert (answer.status, await answer.read()) == (204, b"")
        for name in ("rec-none", "..%2F..%2Ftoken", f"{side.id}.json", "head"):
            async with http.get(f"{url}/recordings/{name}") as answer:
                assert answer.status == 404
        async with http.delete(f"{url}/recordings/{side.id}") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert media.count("fetched") == 0
