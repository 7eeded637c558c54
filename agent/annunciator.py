"""What stands, on the unit's own panel: the most urgent alarm decides lamp and buzzer.  Pure.

Only the unit's own button ends a sound: a center that has seen an alarm does not stand in the gas.
What is dangerous sounds again after `REMIND_S`, as long as its cause holds.
"""

from __future__ import annotations

from agent.messages import Alarm, AlarmState

PATTERNS = {
    "high": "high", "critical": "high", "over_range": "high", "sos": "sos", "low": "low",
    "deficient": "high", "fault": "fault", "silent": "fault", "under_range": "fault",
    "bus": "fault", "frozen": "fault", "disk": "fault", "clock_stopped": "fault",
    "clock_unset": "fault", "lel_invalid": "low", "stel": "low", "twa": "low", "coverage": "fault",
}  # fmt: skip
OFF = "off"
SEEN = "acknowledged"
"""A steady lamp without sound."""
REMIND_S = 60.0
REMIND_RANK = 1
REMIND_CODES = frozenset({"stel", "twa"})
"""Also reminded of: the button silences a dose that is too high only for a while (FIELD.md 4.5)."""


class Annunciator:
    """Remembers what the button has silenced; `at` is monotonic seconds."""

    def __init__(self) -> None:
        self._silenced: dict[str, float] = {}

    def changed(self, changes: list[Alarm]) -> None:
        """What is raised anew sounds anew, and what is over is forgotten."""
        for change in changes:
            if change.change in ("raised", "worsened") or change.state is AlarmState.NORMAL:
                self._silenced.pop(change.alarm, None)

    def silence(self, active: tuple[Alarm, ...], at: float) -> None:
        """The button was pressed: nothing that stands now sounds."""
        self._silenced = {alarm.alarm: at for alarm in active}

    def pattern(self, active: tuple[Alarm, ...], at: float) -> str:
        """`high`, `sos`, `low`, `fault`; `acknowledged`; `off`."""
        if not active:
            return OFF
        sounding = [alarm for alarm in active if not self._is_silent(alarm, at)]
        if not sounding:
            return SEEN
        return PATTERNS[min(sounding, key=lambda alarm: alarm.rank).code]

    def _is_silent(self, alarm: Alarm, at: float) -> bool:
        since = self._silenced.get(alarm.alarm)
        remind = alarm.rank <= REMIND_RANK or alarm.code in REMIND_CODES
        return since is not None and (not remind or at - since < REMIND_S)
