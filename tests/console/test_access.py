"""Who may use the console, over real HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import CookieJar, WSServerHandshakeError

from agent.console import app
from agent.console.access import AccessError, Token, is_loopback, read_token, read_tokens
from agent.console.options import Datum, MapKind, MapSource
from tests.console.wire import options

TOKEN = "a-token-of-some-length"
INSTRUCTOR = "another-token-of-some-length"
NO_BROKER = "mqtt://127.0.0.1:1"
"""Nothing listens there: who may come in does not depend on a broker."""


@pytest.fixture
def static_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><p>page")
    (folder / "page.css").write_text("p{}")
    return folder


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield session


async def fetch(
    http: aiohttp.ClientSession, url: str, method: str = "GET", **headers: str
) -> tuple[int, str, Any]:
    async with http.request(method, url, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers


async def test_loopback_needs_no_token(http: aiohttp.ClientSession, static_dir: Path) -> None:
    async with app.running(options(NO_BROKER, static_dir)) as url:
        status, text, headers = await fetch(http, url)
        assert (status, text) == (200, "<!doctype html><p>page")
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert (await fetch(http, url + "static/page.css"))[0] == 200
        assert (await fetch(http, url + "static/../../wire.py"))[0] == 404


async def test_a_name_that_points_here_is_no_way_in(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    async with app.running(options(NO_BROKER, static_dir)) as url:
        status, text, _ = await fetch(http, url + "api/state", Host="evil.example:8765")
        assert status == 403
        assert text == "This console is for this machine only, not for 'evil.example'.\n"
        assert (await fetch(http, url + "api/state", Host="localhost:8765"))[0] == 200


async def test_a_foreign_page_may_not_post_nor_listen(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    async with app.running(options(NO_BROKER, static_dir)) as url:
        command = url + "api/units/ex-cv-01/commands/message"
        status, text, _ = await fetch(http, command, "POST", Origin="https://evil.example")
        assert (status, text) == (403, "A page of https://evil.example may not use this console.\n")
        assert (await fetch(http, command, "POST", Origin="null"))[0] == 403
        assert (await fetch(http, command, "POST", Origin=url.rstrip("/")))[0] == 404
        with pytest.raises(WSServerHandshakeError, match="403"):
            await http.ws_connect(url + "api/live", origin="https://evil.example")
        async with http.ws_connect(url + "api/live", origin=url.rstrip("/")) as socket:
            assert (await socket.receive_json())["type"] == "hello"


async def test_with_a_token_nothing_goes_without_it(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    async with app.running(options(NO_BROKER, static_dir, token=TOKEN)) as url:
        for path in ("", "api/state", "static/page.css", "api/stills/a/b"):
            status, text, headers = await fetch(http, url + path)
            assert status == 401
            assert "open the address that ends in ?token=" in text
            assert "Content-Security-Policy" in headers
        with pytest.raises(WSServerHandshakeError, match="401"):
            await http.ws_connect(url + "api/live")
        status, text, _ = await fetch(http, url + "?token=a-token-of-some-lengtH")
        assert (status, text) == (403, "This is not the token of this console.\n")
        bearer = f"Bearer {TOKEN}"
        assert (await fetch(http, url + "api/state", Authorization=bearer))[0] == 200


async def test_the_token_becomes_a_cookie_that_does_not_give_it_away(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    async with app.running(options(NO_BROKER, static_dir, token=TOKEN)) as url:
        status, _, headers = await fetch(http, f"{url}?token={TOKEN}&lang=en")
        assert (status, headers["Location"]) == (303, "/?lang=en")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert (await fetch(http, url))[0] == 200
        async with http.ws_connect(url + "api/live") as socket:
            assert (await socket.receive_json())["instructor"] is False


async def test_an_instructor_enters_by_a_token_of_their_own(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    chosen = options(NO_BROKER, static_dir, token=TOKEN, instructor_token=INSTRUCTOR)
    async with app.running(chosen) as url:
        status, _, headers = await fetch(http, f"{url}?token={TOKEN}&instructor={INSTRUCTOR}")
        assert (status, headers["Location"]) == (303, "/")
        async with http.ws_connect(url + "api/live") as socket:
            assert (await socket.receive_json())["instructor"] is True
        assert (await fetch(http, f"{url}?instructor={TOKEN}"))[0] == 403


async def test_nobody_is_an_instructor_where_there_is_no_such_token(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    async with app.running(options(NO_BROKER, static_dir)) as url:
        assert (await fetch(http, f"{url}?instructor="))[0] == 403
        assert (await fetch(http, f"{url}?token=anything"))[0] == 303, "none is needed here"


async def test_a_page_that_is_not_built_says_what_to_do(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with app.running(options(NO_BROKER, tmp_path / "absent")) as url:
        status, text, _ = await fetch(http, url)
        assert (status, text) == (503, app.NOT_BUILT)
        assert "make setup" in text


async def test_a_map_file_is_served_in_pieces(
    http: aiohttp.ClientSession, static_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "wuhan.pmtiles"
    file.write_bytes(b"PMTiles\x03" + bytes(range(100)))
    source = MapSource(kind=MapKind.PMTILES, url="/map/file.pmtiles", datum=Datum.WGS84)
    async with app.running(options(NO_BROKER, static_dir, map=source, map_file=file)) as url:
        async with http.get(url + "map/file.pmtiles", headers={"Range": "bytes=8-11"}) as answer:
            assert answer.status == 206
            assert await answer.read() == b"\x00\x01\x02\x03"


async def test_the_map_of_another_host_is_let_through_and_nothing_else(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    tiles = "https://tiles.example/{z}/{x}/{y}.png"
    source = MapSource(kind=MapKind.RASTER, url=tiles, datum=Datum.GCJ02)
    async with app.running(options(NO_BROKER, static_dir, map=source)) as url:
        _, _, headers = await fetch(http, url)
        hosts = re.findall(r"https://\S+?(?=[;\s])", headers["Content-Security-Policy"])
        assert set(hosts) == {"https://tiles.example"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"short\n", "must hold at least 16 printable ASCII characters, but holds 5 characters"),
        (b"\xff" * 20, "cannot be read: it is not text"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_token_file_that_cannot_serve_is_told(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AccessError) as caught:
        read_token(file)
    assert sentence in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("LOCALHOST.", True), ("0.0.0.0", False), ("192.168.1.2", False),
        ("localhost.evil.example", False), ("", False),
    ],
)  # fmt: skip
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


ALICE, BO = "alices-own-long-token", "bos-own-and-long-token"


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        (f"{TOKEN}\n", [("", TOKEN)]),
        (f"# who may\n{ALICE} Alice Chen\n\n{BO}\t陈伟\n", [("Alice Chen", ALICE), ("陈伟", BO)]),
        (f"{ALICE} Alice\n", [("Alice", ALICE)]),
    ],
)
def test_a_token_for_all_or_one_for_each(
    tmp_path: Path, content: str, tokens: list[tuple[str, str]]
) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    assert [(one.operator, one.secret) for one in read_tokens(path)] == tokens


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (f"{ALICE} Alice\n{BO}\n", "line 2: expected TOKEN NAME, the name printable"),
        (f"{ALICE} a/b\n", "line 1: expected TOKEN NAME, the name printable, without '/'"),
        ("short Alice\n", "line 1 must have at least 16 printable ASCII characters, but holds 5"),
        (f"{ALICE} Alice\n{ALICE} Bo\n", "line 2: its token or its name is there already"),
    ],
)
def test_a_file_of_operators_that_cannot_serve(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AccessError) as caught:
        read_tokens(path)
    assert sentence in str(caught.value)


async def test_each_operator_comes_in_with_a_token_of_their_own(
    http: aiohttp.ClientSession, static_dir: Path
) -> None:
    operators = (Token(ALICE, "Alice"), Token(BO, "Bo"))
    async with app.running(options(NO_BROKER, static_dir, operators=operators)) as url:
        assert (await fetch(http, url))[0] == 401
        assert (await fetch(http, f"{url}?token={ALICE[:-1]}x"))[0] == 403
        bearer = {"Authorization": f"Bearer {BO}"}
        assert (await fetch(http, url + "api/operator", **bearer))[1] == '{"name":"Bo"}'
        assert (await fetch(http, f"{url}?token={ALICE}"))[0] == 303
        assert (await fetch(http, url + "api/operator"))[1] == '{"name":"Alice"}'
