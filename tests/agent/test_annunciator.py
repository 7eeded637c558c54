"""What a person hears and sees at the unit."""

from __future__ import annotations

import pytest

from agent.alarms.sos import Stage
from agent.alarms.standing import HEARD_BY_NEIGHBOURS, RANKS
from agent.annunciator import (
    CHECK_IN,
    CODE,
    CONFIRMED,
    DISCREET,
    NEIGHBOUR,
    PATTERNS,
    PREALARM,
    REMIND_S,
    STAGE_PATTERNS,
    Annunciator,
    Prompt,
    Shown,
)
from agent.messages import Alarm, AlarmState
from agent.orders.book import PATTERN as MESSAGE
from agent.speech import SENTENCES
from drivers import patterns


def alarm(
    code: str, state: AlarmState = AlarmState.UNACKNOWLEDGED, change: str = "stands"
) -> Alarm:
    return Alarm(
        alarm=f"gas/cl2/{code}", code=code, rank=RANKS[code], change=change, state=state,
        source="gas", quantity="cl2", since=1,
    )  # fmt: skip


def test_every_alarm_has_a_pattern_and_every_pattern_is_the_panel_s() -> None:
    assert PATTERNS.keys() | DISCREET == RANKS.keys()
    prompts = {prompt.pattern for prompt in (CHECK_IN, CODE, CONFIRMED, NEIGHBOUR, PREALARM)}
    shown = {*PATTERNS.values(), *STAGE_PATTERNS.values(), *prompts, "off", "acknowledged"}
    shown.add(MESSAGE)
    assert shown == patterns.PATTERNS.keys()
    assert {prompt.key for prompt in (CHECK_IN, CODE, CONFIRMED, PREALARM)} <= SENTENCES.keys()


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
    assert Annunciator().shown(active, at=0.0).pattern == expected


def test_the_button_silences_what_stands() -> None:
    annunciator = Annunciator()
    active = (alarm("low"), alarm("silent"))
    annunciator.silence(active, at=0.0)
    assert annunciator.shown(active, at=1.0).pattern == "acknowledged"
    # Nothing of these is a reason to call again.
    assert annunciator.shown(active, at=1e6).pattern == "acknowledged"


def test_a_center_s_acknowledgement_silences_nothing_here() -> None:
    active = (alarm("high", AlarmState.ACKNOWLEDGED),)
    assert Annunciator().shown(active, at=0.0).pattern == "high"


def test_what_comes_after_the_button_is_heard() -> None:
    annunciator = Annunciator()
    low = alarm("low")
    annunciator.silence((low,), at=0.0)
    assert annunciator.shown((low, alarm("high")), at=1.0).pattern == "high"


def test_a_danger_sounds_again_after_a_minute() -> None:
    annunciator = Annunciator()
    active = (alarm("high", AlarmState.ACKNOWLEDGED),)
    annunciator.silence(active, at=0.0)
    assert annunciator.shown(active, at=REMIND_S - 0.1).pattern == "acknowledged"
    assert annunciator.shown(active, at=REMIND_S).pattern == "high"
    annunciator.silence(active, at=REMIND_S)
    assert annunciator.shown(active, at=REMIND_S + 1).pattern == "acknowledged"


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
    assert annunciator.shown((alarm("low"),), at=1.0).pattern == expected


def test_the_caller_for_help_sees_and_hears_how_far_the_call_has_come() -> None:
    active = (alarm("sos"),)
    heard = [Annunciator().shown(active, 0.0, stage=stage) for stage in STAGE_PATTERNS]
    assert heard == [Shown("sos"), Shown("sos_reached"), Shown("sos_unconfirmed")]
    # No two alike, and none like another alarm's.
    rhythms = [patterns.PATTERNS[name] for name in patterns.PATTERNS]
    assert all(rhythms.count(one) == 1 for one in rhythms)


def test_without_its_sound_the_lamp_still_says_how_far_a_call_has_come() -> None:
    annunciator = Annunciator()
    active = (alarm("sos"),)
    annunciator.silence(active, at=0.0)
    assert annunciator.shown(active, 1.0, stage=Stage.QUEUED) == Shown("sos", lamp_only=True)
    assert annunciator.shown(active, 1.0, stage=Stage.REACHED) == Shown("sos_reached", True)
    # Nobody has answered: it is raised again, and sounds again.
    annunciator.changed([alarm("sos", change="raised")])
    assert annunciator.shown(active, 2.0, stage=Stage.UNCONFIRMED) == Shown("sos_unconfirmed")


def test_a_silent_call_is_neither_seen_nor_heard() -> None:
    assert Annunciator().shown((alarm("sos_silent"),), 0.0) == Shown("off")
    both = (alarm("sos_silent"), alarm("low"))
    assert Annunciator().shown(both, 0.0) == Shown("low")


@pytest.mark.parametrize(
    ("codes", "prompts", "driving", "expected"),
    [
        ([], [PREALARM], False, Shown("prealarm")),
        ([], [CHECK_IN], False, Shown("prompt")),
        ([], [CHECK_IN, PREALARM], False, Shown("prealarm")),
        (["low"], [PREALARM], False, Shown("prealarm")),
        (["low"], [CHECK_IN], False, Shown("low")),
        (["high"], [PREALARM], False, Shown("high")),
        (["sos"], [CODE], False, Shown("code")),
        (["high"], [CODE], False, Shown("high")),
        ([], [CONFIRMED], False, Shown("sos_confirmed")),
        # danger at another: after the gas one stands in, before what is only out of order
        (["low"], [NEIGHBOUR], False, Shown("low")),
        (["silent"], [NEIGHBOUR], False, Shown("neighbour")),
        ([], [NEIGHBOUR, CHECK_IN], True, Shown("neighbour")),
        # while driving what is not urgent is a lamp alone
        (["low"], [], True, Shown("low", lamp_only=True)),
        (["silent"], [], True, Shown("fault", lamp_only=True)),
        (["no_motion"], [], True, Shown("no_motion")),
        (["sos", "low"], [], True, Shown("sos")),
        (["high", "low"], [], True, Shown("high")),
        (["deficient"], [], True, Shown("high")),
        ([], [CHECK_IN], True, Shown("prompt", lamp_only=True)),
        ([], [PREALARM], True, Shown("prealarm")),
    ],
)
def test_prompts_and_driving(
    codes: list[str], prompts: list[Prompt], driving: bool, expected: Shown
) -> None:
    active = tuple(alarm(code) for code in codes)
    assert Annunciator().shown(active, 0.0, prompts=prompts, driving=driving) == expected


@pytest.mark.parametrize("code", [code for code, rank in RANKS.items() if rank <= 2])
def test_what_is_urgent_sounds_also_while_driving(code: str) -> None:
    shown = Annunciator().shown((alarm(code),), 0.0, driving=True)
    assert shown.lamp_only is False
    sounds = any(step[1] for step in patterns.PATTERNS[shown.pattern])
    assert sounds is (code not in DISCREET)


def test_the_order_of_urgency_is_the_field_guide_s() -> None:
    """FIELD.md 4.5: high and over range, a person, low, fault, battery."""
    order = [
        ["high", "critical", "over_range", "deficient"],
        ["sos", "sos_silent", "no_motion", "check_in"],
        ["low", "stel", "twa", "lel_invalid", "zone_hot", "zone_outside"],
        ["fault", "under_range", "silent", "bus", "frozen", "zone_warm", "position_lost",
         "battery_critical"],
        ["battery", "coverage", "disk", "clock_stopped", "clock_unset"],
    ]  # fmt: skip
    told = {code: rank for rank, codes in enumerate(order, 1) for code in codes}
    assert {code: RANKS[code] for code in told} == told


@pytest.mark.parametrize(
    ("code", "again"),
    [("high", True), ("critical", True), ("over_range", True), ("deficient", True), ("stel", True),
     ("twa", True), ("low", False), ("fault", False), ("silent", False), ("zone_hot", False)],
)  # fmt: skip
def test_the_button_silences_what_is_dangerous_for_a_minute_and_the_rest_for_good(
    code: str, again: bool
) -> None:
    annunciator, active = Annunciator(), (alarm(code),)
    loud = annunciator.shown(active, 0.0)
    annunciator.silence(active, at=0.0)
    assert annunciator.shown(active, 59.9) == Shown("acknowledged")
    assert annunciator.shown(active, 60.0) == (loud if again else Shown("acknowledged"))


def test_what_sounds_at_neighbours_is_the_issue_s_list() -> None:
    """High, over range, SOS, no motion: nothing else, and no silent call."""
    assert HEARD_BY_NEIGHBOURS == {"high", "critical", "over_range", "sos", "no_motion"}
    assert not HEARD_BY_NEIGHBOURS & DISCREET
