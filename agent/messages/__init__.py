"""The JSON on the wire, as types.  Pure: no loop, no file, no clock.

Every durable topic (`readings`, `alarms`, `events`, `media`, `ack`) carries a `Batch`; each of its
records has a number (`epoch`, `seq`) that is never given twice.  A receiver removes repeats by
(unit, epoch, seq).  Codes stand on the wire, words only on screens.  One noun a file.
"""

from agent.messages.advice import Advice, Exceedance, Upwind
from agent.messages.alarm import ActiveAlarms, Alarm, AlarmState
from agent.messages.base import SCHEMA_VERSION, Class, Clock, Mark
from agent.messages.command import Ack, Command, Outcome
from agent.messages.dose import Dose, Exposure
from agent.messages.event import Event
from agent.messages.link import Link, UplinkStatus
from agent.messages.media import Chunk, MediaItem
from agent.messages.neighbour import NeighbourAlarm, NeighbourStatus
from agent.messages.orders import ShownMessage, Task, TaskState, Urgency
from agent.messages.outbox import OutboxStatus
from agent.messages.person import PersonStatus, SosStatus, ZoneStatus
from agent.messages.position import CRS, FixBody, fix_body
from agent.messages.reading import Reading
from agent.messages.record import (
    Batch,
    Envelope,
    InIncident,
    Skipped,
    epoch_order,
    in_incident,
    join_record,
)
from agent.messages.rollup import Rolled, Rollup
from agent.messages.rtc import Answer, Offer, Still
from agent.messages.selftest import BumpTest, SelftestItem, SelftestReport, SelftestStatus
from agent.messages.status import (
    Air,
    CameraStatus,
    EpochStatus,
    LimitStatus,
    MediaServerStatus,
    RelayedUnit,
    SourceStatus,
    Status,
    WhepStatus,
)

__all__ = [
    "CRS",
    "SCHEMA_VERSION",
    "Ack",
    "ActiveAlarms",
    "Advice",
    "Air",
    "Alarm",
    "AlarmState",
    "Answer",
    "Batch",
    "BumpTest",
    "CameraStatus",
    "Chunk",
    "Class",
    "Clock",
    "Command",
    "Dose",
    "Envelope",
    "EpochStatus",
    "Event",
    "Exceedance",
    "Exposure",
    "FixBody",
    "InIncident",
    "LimitStatus",
    "Link",
    "Mark",
    "MediaItem",
    "MediaServerStatus",
    "NeighbourAlarm",
    "NeighbourStatus",
    "Offer",
    "OutboxStatus",
    "Outcome",
    "PersonStatus",
    "Reading",
    "RelayedUnit",
    "Rolled",
    "Rollup",
    "SelftestItem",
    "SelftestReport",
    "SelftestStatus",
    "ShownMessage",
    "Skipped",
    "SosStatus",
    "SourceStatus",
    "Status",
    "Still",
    "Task",
    "TaskState",
    "UplinkStatus",
    "Upwind",
    "Urgency",
    "WhepStatus",
    "ZoneStatus",
    "epoch_order",
    "fix_body",
    "in_incident",
    "join_record",
]
