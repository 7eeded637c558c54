"""A short soak, and whether its judge sees growth."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("aiortc")

from tests.mosquitto import Mosquitto
from tests.soak.__main__ import soak
from tests.soak.figures import TOLERATED, Sample, judge


def samples(files_per_hour: float, wobble: float = 4.0) -> list[Sample]:
    """Half an hour; viewers make the count go up and down."""
    return [
        Sample(at, 150.0, 20 + files_per_hour * at / 3600 + (wobble if at % 20 < 10 else 0), 9)
        for at in range(0, 1800, 2)
    ]


def test_what_comes_and_goes_is_flat_and_a_handle_lost_now_and_then_is_not() -> None:
    assert not any(one.grows for one in judge("media", samples(0.0)))
    leaking = [one for one in judge("media", samples(18.0)) if one.grows]
    assert [one.figure for one in leaking] == ["files"]
    assert leaking[0].growth > TOLERATED["files"]


def test_what_rises_while_it_warms_up_is_no_growth() -> None:
    warming = [Sample(at, min(200.0, 100 + at), 20, 9) for at in range(0, 1800, 2)]
    assert not any(one.grows for one in judge("media", warming))


async def test_a_short_one_works_and_nothing_fails(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Too short for memory, which is still warming up; handles and threads do not grow."""
    result = await soak(tmp_path / "unit", mosquitto.port, 45.0)
    assert result.failed == []
    assert result.watched >= 2
    assert result.frames > 0
    assert result.sounds > 0
    assert len(result.verdicts) == 6
