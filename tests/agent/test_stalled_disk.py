"""No fdatasync returns and no center is there: every alarm lights the lamp all the same.

How soon is bench/lamp.py's to measure; a busy machine breaks no test.
"""

from __future__ import annotations

import shutil

import pytest

from bench import lamp
from bench.rig import OUTPOST

ALARMS = 3


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.skipif(shutil.which(OUTPOST[0]) is None, reason="outpost is not installed")
async def test_alarms_light_the_lamp_while_the_disk_stalls() -> None:
    found, floor = await lamp.delays(ALARMS, stalled=True, video=False)
    assert len(found) == len(floor) == ALARMS
    assert min(found) > 0
