"""What a person hears and sees at the unit."""

from __future__ import annotations

import pytest

from agent.alarms.standing import RANKS
from agent.annunciator import PATTERNS, REMIND_S, Annunciator
from agent.messages import Alarm, AlarmState
from drivers import panel


def alarm(
    code: str, state: AlarmState = AlarmState.UNACKNOWLEDGED, change: str = "stands"
) -> Alarm:
    return Alarm(
        alarm=f"gas/cl2/{code}", code=code, rank=RANKS[code], change=change, state=state,
        source="gas", quantity="cl2", since=1,
    )  # fmt: skip


def test_every_alarm_has_a_pattern_and_every_pattern_is_the_panel_s() -> None:
    assert PATTERNS.keys() == RANKS.keys()
    assert {*PATTERNS.values(), "off", "acknowledged"} <= panel.PATTERNS.keys()


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], "off"),
        (["low"], "low"),
        (["silent", "low"], "low"),
        (["low", "sos"], "sos"),
        (["sos", "high", "low"], "high"),
        (["fault", "sos", "over_range"], "high"),
        (["low", "deficient"], "high"),
        (["silent"], "fault"),
    ],
)
def test_the_most_urgent_is_heard(codes: list[str], expected: str) -> None:
    active = tuple(alarm(code) for code in codes)
    assert Annunciator().pattern(active, at=0.0) == expected


def test_the_button_silences_what_stands() -> None:
    annunciator = Annunciator()
    active = (alarm("low"), alarm("sos"), alarm("silent"))
    annunciator.silence(active, at=0.0)
    assert annunciator.pattern(active, at=1.0) == "acknowledged"
    # Nothing of these is a reason to call again.
    assert annunciator.pattern(active, at=1e6) == "acknowledged"


def test_a_center_s_acknowledgement_silences_nothing_here() -> None:
    active = (alarm("high", AlarmState.ACKNOWLEDGED),)
    assert Annunciator().pattern(active, at=0.0) == "high"


def test_what_comes_after_the_button_is_heard() -> None:
    annunciator = Annunciator()
    low = alarm("low")
    annunciator.silence((low,), at=0.0)
    assert annunciator.pattern((low, alarm("high")), at=1.0) == "high"


def test_a_danger_sounds_again_after_a_minute() -> None:
    annunciator = Annunciator()
    active = (alarm("high", AlarmState.ACKNOWLEDGED),)
    annunciator.silence(active, at=0.0)
    assert annunciator.pattern(active, at=REMIND_S - 0.1) == "acknowledged"
    assert annunciator.pattern(active, at=REMIND_S) == "high"
    annunciator.silence(active, at=REMIND_S)
    assert annunciator.pattern(active, at=REMIND_S + 1) == "acknowledged"


@pytest.mark.parametrize(
    ("change", "state", "expected"),
    [
        ("raised", AlarmState.UNACKNOWLEDGED, "low"),
        ("cleared", AlarmState.NORMAL, "low"),
        ("acknowledged", AlarmState.ACKNOWLEDGED, "acknowledged"),
    ],
)
def test_what_is_raised_anew_sounds_anew(change: str, state: AlarmState, expected: str) -> None:
    annunciator = Annunciator()
    annunciator.silence((alarm("low"),), at=0.0)
    annunciator.changed([alarm("low", state, change)])
    assert annunciator.pattern((alarm("low"),), at=1.0) == expected
