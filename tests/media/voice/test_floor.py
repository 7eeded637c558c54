"""One at a time, and who waits is told why."""

from __future__ import annotations

import pytest

from agent.media.voice.floor import YIELD_S, Floor, FloorError


def test_the_second_is_refused_and_told_who_talks() -> None:
    floor = Floor(60)
    floor.ask("a", "Chen", 0.0)
    with pytest.raises(FloorError, match="'Chen' has been talking for 3 s: one at a time") as why:
        floor.ask("b", "Wu", 3.0)
    assert why.value.code == "busy"
    assert floor.release("a")
    assert floor.ask("b", "Wu", 3.1).by == "Wu"


def test_only_who_has_it_can_give_it_back() -> None:
    floor = Floor(60)
    floor.ask("a", "Chen", 0.0)
    assert not floor.release("b")
    assert floor.talker is not None


def test_a_talker_who_is_forgotten_loses_it() -> None:
    floor = Floor(60)
    floor.ask("a", "Chen", 0.0)
    assert floor.ask("a", "Chen", 50.0).since_s == 0.0
    assert floor.tick(109.9) is None
    over = floor.tick(110.0)
    assert over is not None
    assert over.session == "a"
    assert floor.tick(110.0) is None


def test_a_key_that_is_held_is_never_taken_over() -> None:
    floor = Floor(60)
    floor.ask("a", "Chen", 0.0)
    with pytest.raises(FloorError):
        floor.ask("b", "Wu", 50.0)


def test_an_open_line_gives_way_when_it_is_silent() -> None:
    floor = Floor(60)
    floor.ask("a", "Chen", 0.0, open_line=True)
    floor.heard("a", 5.0)
    floor.heard("b", 6.5)
    with pytest.raises(FloorError):
        floor.ask("b", "Wu", 5.0 + YIELD_S - 0.1)
    assert floor.ask("b", "Wu", 5.0 + YIELD_S).by == "Wu"
