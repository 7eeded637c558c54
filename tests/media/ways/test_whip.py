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
from agent.media.ways.config import IceConfig, WhipConfig
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
