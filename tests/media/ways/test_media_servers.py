"""Publishing to media servers that are no part of this project, where they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("aiortc")
from bench.whip_kinds import KINDS, Kind, running
from bench.whip_servers import killed, published, token

HERE = [
    pytest.param(
        kind,
        id=kind.variable.lower(),
        marks=pytest.mark.skipif(
            kind.path is None, reason=f"{kind.title} is not here ({kind.variable} names it)"
        ),
    )
    for kind in KINDS
]
NO_WHEP = "http://127.0.0.1:9/whep"


@pytest.mark.parametrize("kind", HERE)
async def test_pictures_and_sound_come_out_at_its_other_side(kind: Kind, tmp_path: Path) -> None:
    assert kind.path is not None
    with running(kind, kind.path, tmp_path, NO_WHEP) as server:
        told = await published(server, tmp_path)
    assert re.fullmatch(r"\d\d+ pictures, the tone", told)


@pytest.mark.parametrize("kind", HERE)
async def test_a_wrong_token_is_refused_and_the_right_one_taken(kind: Kind, tmp_path: Path) -> None:
    assert kind.path is not None
    with running(kind, kind.path, tmp_path, NO_WHEP) as server:
        if not server.plan.token:
            pytest.skip(f"{kind.title} asks for none")
        assert re.fullmatch(r"taken; a wrong one refused \(40[13]\)", await token(server, tmp_path))


@pytest.mark.parametrize("kind", HERE)
async def test_a_server_that_was_killed_is_found_again(kind: Kind, tmp_path: Path) -> None:
    assert kind.path is not None
    with running(kind, kind.path, tmp_path, NO_WHEP) as server:
        assert re.search(r"is back, [1-9]\d+ pictures", await killed(server, tmp_path))
