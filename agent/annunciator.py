"""What stands, on the unit's own panel: the most urgent alarm decides lamp and buzzer."""

from __future__ import annotations

from agent.alarms.engine import worst
from agent.messages import Alarm, AlarmState

PATTERNS = {
    "high": "high", "critical": "high", "over_range": "high", "sos": "sos", "low": "low",
    "deficient": "high", "fault": "fault", "silent": "fault", "under_range": "fault",
}  # fmt: skip
OFF = "off"
ACKNOWLEDGED = "acknowledged"


def pattern(active: tuple[Alarm, ...]) -> str:
    """`high`, `sos`, `low`, `fault`; `acknowledged` (lamp without sound); `off`."""
    alarm = worst(active)
    if alarm is None:
        return OFF
    if alarm.state is AlarmState.ACKNOWLEDGED:
        return ACKNOWLEDGED
    return PATTERNS[alarm.code]
