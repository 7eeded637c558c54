"""Publishing by WHIP to a server that was written from the RFC alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.media.overlay import Painter
from agent.media.pipeline import Pipeline
from agent.media.ways.config import IceConfig, Start, WhipConfig
from agent.media.ways.supply import Supply
from agent.media.ways.whip import Publisher
from agent.media.wire import WhipStats
from tests.media.conftest import SMALL, media_config
from tests.media.ways.whip_server import Rules, WhipServer, running


class Publishing:
    def __init__(self, publisher: Publisher, pipeline: Pipeline, said: list[WhipStats]) -> None:
        self.publisher = publisher
        self.pipeline = pipeline
        self.said = said

    def states(self) -> list[str]:
        return [stats.state for stats in self.said]


@asynccontextmanager
async def publishing(url: str, **keys: Any) -> AsyncIterator[Publishing]:
    said: list[WhipStats] = []
    loop = asyncio.get_running_loop()
    pipeline = Pipeline(SMALL, Painter(media_config()), loop, lambda *_: None)
    config = WhipConfig(name="center", url=url, **keys)
    publisher = Publisher(config, pipeline, Supply(IceConfig(), "ex-cv-01"), said.append)
    task = asyncio.create_task(publisher.run(), name="publisher")
    try:
        yield Publishing(publisher, pipeline, said)
    finally:
        task.cancel()
        await asyncio.wait({task})
        pipeline.close()


def frames(server: WhipServer, count: int) -> Any:
    return lambda: any(s.frames >= count for s in server.sessions.values() if not s.deleted)


@pytest.mark.parametrize("location", ["relative", "absolute"])
async def test_a_camera_is_published_and_the_end_is_told(location: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct-horse\n")
    async with running(Rules(token="correct-horse", location=location)) as server:
        async with publishing(server.url, token_file=str(tmp_path / "token")) as ours:
            await server.until(frames(server, 10))
            assert ours.states() == ["connecting", "live"]
        assert server.methods() == ["POST 201", "PATCH 204", "DELETE 200"]
        assert all(s.deleted for s in server.sessions.values())
    assert ours.pipeline.fanout.viewers == 0


async def test_where_no_token_is_configured_none_is_sent() -> None:
    async with running() as server, publishing(server.url) as ours:
        await server.until(frames(server, 3))
        assert not any("Authorization" in seen.headers for seen in server.requests)
        assert ours.publisher.stats().state == "live"


async def test_without_an_etag_nothing_is_patched_and_the_picture_comes() -> None:
    async with running(Rules(etag=False, patch=False)) as server, publishing(server.url):
        await server.until(frames(server, 3))
        assert server.methods() == ["POST 201"]


@pytest.mark.parametrize(
    ("rules", "status"),
    [(Rules(trickle=False), 422), (Rules(patch=False), 405)],
    ids=["restarts only", "no PATCH"],
)
async def test_candidates_that_are_not_taken_do_not_end_the_session(
    rules: Rules, status: int
) -> None:
    async with running(rules) as server, publishing(server.url) as ours:
        await server.until(frames(server, 5))
        assert server.methods() == ["POST 201", f"PATCH {status}"]
        assert ours.publisher.stats().sessions == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_keeps_the_method_the_body_and_on_one_host_the_token(
    status: int, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("correct-horse")
    rules = Rules(token="correct-horse", redirect=(status, "/whip/other"))
    async with (
        running(rules) as server,
        publishing(server.url, token_file=str(tmp_path / "token")),
    ):
        await server.until(frames(server, 3))
        first, second = server.requests[:2]
        assert (second.method, second.path, second.body) == ("POST", "/whip/other", first.body)


@pytest.mark.parametrize("named", [False, True], ids=["not named", "named"])
async def test_the_token_goes_to_another_server_only_where_it_is_named(
    named: bool, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("correct-horse")
    async with running(Rules(token="correct-horse")) as target:
        rules = Rules(token="correct-horse", redirect=(307, target.url))
        keys: dict[str, Any] = {"token_file": str(tmp_path / "token")}
        if named:
            keys["token_hosts"] = (target.url.split("/")[2],)
        async with running(rules) as server, publishing(server.url, **keys) as ours:
            if named:
                await target.until(frames(target, 3))
                return
            await server.until(lambda: "waiting" in ours.states())
            (refused,) = target.requests
            assert "Authorization" not in refused.headers
            detail = next(s.detail for s in ours.said if s.state == "waiting")
            assert "name '127.0.0.1:" in detail
            assert "in token_hosts" in detail


@pytest.mark.parametrize(
    ("redirect", "sentence"),
    [
        ((302, "/whip/other"), "redirects with 302, which would turn POST into GET"),
        ((307, "/whip/endpoint"), "redirects more than 5 times"),
        ((307, ""), "redirects to '', expected an http or https address"),
        ((307, "file:///etc/passwd"), "expected an http or https address"),
    ],
    ids=["302", "in circles", "nowhere", "not http"],
)
async def test_a_redirect_that_cannot_be_followed_is_named(
    redirect: tuple[int, str], sentence: str
) -> None:
    async with running(Rules(redirect=redirect)) as server, publishing(server.url) as ours:
        await server.until(lambda: "waiting" in ours.states())
        assert sentence in next(s.detail for s in ours.said if s.state == "waiting")
        assert len(server.requests) <= 6


async def test_a_busy_server_is_asked_again_when_it_wants_and_not_before() -> None:
    async with running(Rules(busy=1, retry_after="2")) as server:
        loop = asyncio.get_running_loop()
        async with publishing(server.url) as ours:
            await server.until(lambda: len(server.requests) == 1)
            asked = loop.time()
            await server.until(lambda: len(server.requests) >= 2)
            assert loop.time() - asked >= 1.9
            await server.until(frames(server, 3))
            assert ours.states() == ["connecting", "waiting", "connecting", "live"]
            assert "asks to wait 2 s" in ours.said[1].detail


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 503])
async def test_a_refusal_is_said_with_the_servers_own_words(status: int) -> None:
    async with running(Rules(refuse=status)) as server, publishing(server.url) as ours:
        await server.until(lambda: "waiting" in ours.states())
        detail = ours.said[1].detail
        assert f"({status})" in detail
        assert "this server was told to refuse" in detail


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("hello", "without an SDP answer; its text begins 'hello'"),
        ("v=0\r\nm=nonsense", "the server's answer cannot be used"),
    ],
)
async def test_an_answer_that_is_none_is_named(body: str, sentence: str) -> None:
    async with running(Rules(body=body)) as server, publishing(server.url) as ours:
        await server.until(lambda: "waiting" in ours.states())
        assert sentence in ours.said[1].detail


async def test_asked_for_it_starts_and_told_to_it_stops() -> None:
    async with running() as server, publishing(server.url, start=Start.ASKED) as ours:
        assert ours.publisher.stats().state == "off"
        ours.publisher.want(True)
        await server.until(frames(server, 3))
        ours.publisher.want(False)
        await server.until(lambda: ours.publisher.stats().state == "off")
        assert server.methods()[-1] == "DELETE 200"
        ours.publisher.want(True)
        await server.until(lambda: ours.publisher.stats().sessions == 2)


async def test_a_server_that_went_away_gets_a_new_session_when_it_is_back() -> None:
    async with running() as server, publishing(server.url) as ours:
        await server.until(frames(server, 3))
        await server.only().connection.close()
        await server.until(lambda: ours.publisher.stats().sessions == 2, 30)


def blocked(server: WhipServer) -> None:
    """The server's sockets hear nothing more on the path of now."""
    transport = server.only().connection.getTransceivers()[0].receiver.transport.transport
    for protocol in transport._connection._protocols:
        protocol.transport.pause_reading()  # type: ignore[attr-defined]


async def test_a_path_that_dies_is_replaced_by_an_ice_restart_of_the_same_session() -> None:
    async with running() as server, publishing(server.url) as ours:
        await server.until(frames(server, 5))
        before = server.only().etag
        blocked(server)
        loop = asyncio.get_running_loop()
        loop.time()
        await server.until(lambda: server.only().restarts == 1)
        seen = server.only().frames
        await server.until(lambda: server.only().frames > seen + 2)
        assert server.only().etag != before
        assert ours.publisher.stats().sessions == 1
        restart = next(s for s in server.requests if s.headers.get("If-Match") == "*")
        assert restart.status == 200
        await server.until(lambda: ours.publisher.stats().restarts == 1)


@pytest.mark.parametrize(
    "rules", [Rules(restarts=False), Rules(patch=False)], ids=["trickle only", "no PATCH"]
)
async def test_where_the_server_cannot_restart_a_new_session_is_opened(rules: Rules) -> None:
    async with running(rules) as server, publishing(server.url) as ours:
        await server.until(frames(server, 5))
        blocked(server)
        await server.until(lambda: ours.publisher.stats().sessions == 2, 30)
        await server.until(frames(server, 5))
        assert [s.deleted for s in server.sessions.values()] == [True, False]
