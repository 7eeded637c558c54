"""What stands, on the unit's own panel: the most urgent alarm decides lamp and buzzer.  Pure.

Only who is at the unit ends a sound, by its own button or a page on board: a center that has seen
an alarm does not stand in the gas.
What is dangerous sounds again after `REMIND_S`, as long as its cause holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agent.alarms.person import QUIET_RANK
from agent.alarms.sos import Stage
from agent.messages import Alarm, AlarmState

PATTERNS = {
    "high": "high", "critical": "high", "over_range": "high", "sos": "sos", "low": "low",
    "deficient": "high", "fault": "fault", "silent": "fault", "under_range": "fault",
    "bus": "fault", "frozen": "fault", "disk": "fault", "clock_stopped": "fault",
    "clock_unset": "fault", "lel_invalid": "low", "stel": "low", "twa": "low", "coverage": "fault",
    "no_motion": "no_motion", "check_in": "no_motion", "zone_hot": "low", "zone_outside": "low",
    "zone_warm": "fault", "position_lost": "fault", "battery": "fault", "battery_critical": "fault",
    "not_recording": "fault",
}  # fmt: skip
STAGE_PATTERNS = {
    Stage.QUEUED: "sos", Stage.REACHED: "sos_reached", Stage.UNCONFIRMED: "sos_unconfirmed",
}  # fmt: skip
"""What a caller for help sees and hears: how far the call has come."""
DISCREET = frozenset({"sos_silent"})
"""Neither lamp nor buzzer tells of it."""
OFF = "off"
SEEN = "acknowledged"
"""A steady lamp without sound."""
REMIND_S = 60.0
REMIND_RANK = 1
REMIND_CODES = frozenset({"stel", "twa"})
"""Also reminded of: the button silences a dose that is too high only for a while (FIELD.md 4.5)."""


class Prompt(NamedTuple):
    """What the wearer is told that is no alarm: a question, or the answer to a call."""

    rank: float
    """Among alarms' ranks: what is more urgent goes before it."""
    pattern: str
    key: str
    """Of what is spoken; empty: it has been spoken of."""
    always: bool = False
    """It sounds while driving, too."""


PREALARM = Prompt(2.5, "prealarm", "no_motion_soon")
CHECK_IN = Prompt(3.5, "prompt", "check_in_due")
CODE = Prompt(1.5, "code", "sos_code")
NEIGHBOUR = Prompt(3.2, "neighbour", "", always=True)
"""What is dangerous at a unit nearby: before a fault of one's own, after the gas one stands in."""
CONFIRMED = Prompt(1.5, "sos_confirmed", "sos_confirmed")


class Shown(NamedTuple):
    """What the panel shows."""

    pattern: str
    lamp_only: bool = False


class Annunciator:
    """Remembers what was silenced; `at` is monotonic seconds."""

    def __init__(self) -> None:
        self._silenced: dict[str, float] = {}

    def changed(self, changes: list[Alarm]) -> None:
        """What is raised anew sounds anew, and what is over is forgotten."""
        for change in changes:
            if change.change in ("raised", "worsened") or change.state is AlarmState.NORMAL:
                self._silenced.pop(change.alarm, None)

    def silence(self, alarms: Iterable[Alarm], at: float) -> None:
        """A person at the unit has heard these of those that stand."""
        self._silenced |= {alarm.alarm: at for alarm in alarms}

    def shown(
        self,
        active: tuple[Alarm, ...],
        at: float,
        *,
        stage: Stage = Stage.QUEUED,
        prompts: Iterable[Prompt] = (),
        driving: bool = False,
    ) -> Shown:
        """`stage`: of the call for help; `driving`: what is not urgent is a lamp without sound."""
        audible = [alarm for alarm in active if alarm.code not in DISCREET]
        sounding = [alarm for alarm in audible if not self._is_silent(alarm, at)]
        worst = min(sounding, key=lambda alarm: alarm.rank, default=None)
        prompt = min(prompts, default=None)
        if prompt is not None and (worst is None or prompt.rank < worst.rank):
            quiet = driving and prompt.rank >= QUIET_RANK and not prompt.always
            return Shown(prompt.pattern, lamp_only=quiet)
        if worst is not None:
            return Shown(_pattern(worst, stage), lamp_only=driving and worst.rank >= QUIET_RANK)
        if any(alarm.code == "sos" for alarm in audible):
            # Without its sound the lamp still says how far the call has come.
            return Shown(STAGE_PATTERNS.get(stage, SEEN), lamp_only=True)
        return Shown(SEEN if audible else OFF)

    def _is_silent(self, alarm: Alarm, at: float) -> bool:
        since = self._silenced.get(alarm.alarm)
        remind = alarm.rank <= REMIND_RANK or alarm.code in REMIND_CODES
        return since is not None and (not remind or at - since < REMIND_S)


def _pattern(alarm: Alarm, stage: Stage) -> str:
    return STAGE_PATTERNS.get(stage, "sos") if alarm.code == "sos" else PATTERNS[alarm.code]
