"""A verb reaches a unit through every broker, also through those that carry no point in a topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import topics
from agent.messages import Class
from agent.settings.authority import VERBS
from bench.broker_kinds import KINDS, Kind, running
from tests.agent.rig import center, connected, unit, uplink_config
from tests.waiting import until


def test_a_verb_and_its_level_are_one_another() -> None:
    for verb in VERBS:
        level = topics.command_level(verb)
        assert "." not in level
        assert topics.verb_of(level) == topics.verb_of(verb) == verb


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
async def test_a_verb_with_a_point_reaches_a_unit(kind: Kind, tmp_path: Path) -> None:
    if not kind.path:
        pytest.skip(f"{kind.title} is not installed")
    with running(kind, tmp_path) as broker:
        async with (
            center(broker.port) as heard,
            unit(tmp_path / "store", uplink_config(broker.port)) as made,
        ):
            await connected(made)
            heard.command(topics.command_level("alarm.ack"), {"alarm": "none"})
            await until(lambda: bool(heard.of(Class.ACK)), "the ack comes", 20.0)
            ack = heard.of(Class.ACK)[0].body
            assert (ack["verb"], ack["code"]) == ("alarm.ack", "not_found")
